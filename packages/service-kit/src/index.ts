/** What every service process shares. */
export { hostAndPort } from '@modelmill/http2';
export { growHeapInLargeSteps } from './heap-growth.js';
export { runMain, shutdownSignal } from './run-main.js';
export { aborted } from './aborted.js';
export { startChild } from './child-process.js';
export type { Child, ChildOptions } from './child-process.js';
export { ConfigError, baseConfig, describeConfig, listenAddress, modelFileBytes, readConfig } from './read-config.js';
export type { BaseConfig, ConfigRow } from './read-config.js';
export { startTelemetry } from './telemetry.js';
export type { Telemetry } from './telemetry.js';
export { inSpan, injectContext, withContextOf } from './trace-context.js';
export type { Arrival, Carrier } from './trace-context.js';

// gRPC
export { RpcError, translate } from './rpc-error.js';
export type { Translate } from './rpc-error.js';
export { bidi, clientStream, serverStream, unary } from './adapters.js';
export type { AdapterOptions, CallContext } from './adapters.js';
export { AddressInUseError, serve } from './serve.js';
export type { Admit } from './door.js';
export type { Registration, ServeOptions, Served } from './serve.js';
