// Infer lists a model's versions, asks it about handwritten digits, and shows what a refusal looks like.
//
// Usage: MILL_API_KEY=... go run ./infer [host:port] [model]
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	// Generated from protos/, see README.md.
	oip "modelmill.example/clients/gen/inference"
	mill "modelmill.example/clients/gen/modelmill/v1"
)

// Two pictures of 8 by 8 pixels from 0 to 16: a 0 and a 1.
var (
	zero = []float32{
		0, 0, 5, 13, 9, 1, 0, 0,
		0, 0, 13, 15, 10, 15, 5, 0,
		0, 3, 15, 2, 0, 11, 8, 0,
		0, 4, 12, 0, 0, 8, 8, 0,
		0, 5, 8, 0, 0, 9, 8, 0,
		0, 4, 11, 0, 1, 12, 7, 0,
		0, 2, 14, 5, 10, 12, 0, 0,
		0, 0, 6, 13, 10, 0, 0, 0,
	}
	one = []float32{
		0, 0, 0, 12, 13, 5, 0, 0,
		0, 0, 0, 11, 16, 9, 0, 0,
		0, 0, 3, 15, 16, 6, 0, 0,
		0, 7, 15, 16, 16, 2, 0, 0,
		0, 0, 1, 16, 16, 3, 0, 0,
		0, 0, 1, 16, 16, 6, 0, 0,
		0, 0, 1, 16, 16, 6, 0, 0,
		0, 0, 0, 11, 16, 10, 0, 0,
	}
)

func main() {
	address, model := "127.0.0.1:8081", "digits"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if len(os.Args) > 2 {
		model = os.Args[2]
	}
	if err := run(address, os.Getenv("MILL_API_KEY"), model); err != nil {
		log.Fatal(err)
	}
}

func run(address, key, model string) error {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	// The key travels with every call. One deadline for all of them: without it they wait for as long as the server takes.
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+key)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	if err := listVersions(ctx, mill.NewModelRegistryClient(connection), model); err != nil {
		return err
	}
	inference := oip.NewGRPCInferenceServiceClient(connection)
	if err := inferTyped(ctx, inference, model); err != nil {
		return err
	}
	if err := inferRaw(ctx, inference, model); err != nil {
		return err
	}
	return showRefusal(ctx, inference, model)
}

func listVersions(ctx context.Context, registry mill.ModelRegistryClient, model string) error {
	answer, err := registry.GetModel(ctx, &mill.GetModelRequest{Model: model})
	if err != nil {
		return err
	}
	for _, version := range answer.Model.Versions {
		state := strings.ToLower(strings.TrimPrefix(version.State.String(), "VERSION_STATE_"))
		fmt.Printf("version %s: %s, %d bytes, %s\n", version.Version, state, version.SizeBytes, version.Lineage.GetMethod())
	}
	for _, label := range answer.Model.Labels {
		var versions []string
		for _, target := range label.Targets {
			versions = append(versions, target.Version)
		}
		fmt.Printf("label %s: version %s\n", label.Name, strings.Join(versions, ", "))
	}
	return nil
}

// inferTyped sends numbers in the field that fits the datatype: simplest to write.
func inferTyped(ctx context.Context, inference oip.GRPCInferenceServiceClient, model string) error {
	answer, err := inference.ModelInfer(ctx, &oip.ModelInferRequest{
		ModelName: model,
		Inputs: []*oip.ModelInferRequest_InferInputTensor{{
			Name:     "input",
			Datatype: "FP32",
			Shape:    []int64{1, 64},
			Contents: &oip.InferTensorContents{Fp32Contents: zero},
		}},
	})
	if err != nil {
		return err
	}
	return printDigits("typed", answer)
}

// inferRaw sends little-endian bytes, one entry per input: fastest. Here two pictures in one request.
func inferRaw(ctx context.Context, inference oip.GRPCInferenceServiceClient, model string) error {
	var raw bytes.Buffer
	if err := binary.Write(&raw, binary.LittleEndian, slices.Concat(zero, one)); err != nil {
		return err
	}
	answer, err := inference.ModelInfer(ctx, &oip.ModelInferRequest{
		ModelName:        model,
		Inputs:           []*oip.ModelInferRequest_InferInputTensor{{Name: "input", Datatype: "FP32", Shape: []int64{2, 64}}},
		RawInputContents: [][]byte{raw.Bytes()},
	})
	if err != nil {
		return err
	}
	return printDigits("raw", answer)
}

// showRefusal sends a shape that the model does not take: the status says what to do, the message says what is wrong.
func showRefusal(ctx context.Context, inference oip.GRPCInferenceServiceClient, model string) error {
	_, err := inference.ModelInfer(ctx, &oip.ModelInferRequest{
		ModelName: model,
		Inputs: []*oip.ModelInferRequest_InferInputTensor{{
			Name:     "input",
			Datatype: "FP32",
			Shape:    []int64{1, 63},
			Contents: &oip.InferTensorContents{Fp32Contents: zero[:63]},
		}},
	})
	if err == nil {
		return fmt.Errorf("a picture of 63 pixels was taken")
	}
	refusal := status.Convert(err)
	fmt.Printf("refused: %s: %s\n", refusal.Code(), refusal.Message())
	return nil
}

// printDigits reads raw bytes, for answers come so whatever form the question had: one entry per output, in their order.
func printDigits(form string, answer *oip.ModelInferResponse) error {
	at := slices.IndexFunc(answer.Outputs, func(output *oip.ModelInferResponse_InferOutputTensor) bool {
		return output.Name == "probabilities"
	})
	if at < 0 {
		return fmt.Errorf("model %s has no output 'probabilities'", answer.ModelName)
	}
	rows, classes := answer.Outputs[at].Shape[0], answer.Outputs[at].Shape[1]
	probabilities := make([]float32, rows*classes)
	if _, err := binary.Decode(answer.RawOutputContents[at], binary.LittleEndian, probabilities); err != nil {
		return err
	}
	for scores := range slices.Chunk(probabilities, int(classes)) {
		best := slices.Index(scores, slices.Max(scores))
		fmt.Printf("%s: version %s sees a %d with probability %.4f\n", form, answer.ModelVersion, best, scores[best])
	}
	return nil
}
