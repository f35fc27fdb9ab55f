// Package clients generates the stubs that the programs beside it use.
package clients

//go:generate buf generate
