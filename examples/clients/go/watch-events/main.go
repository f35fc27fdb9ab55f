// Watch-events prints every time a model becomes ready, from the first one that is kept on, until it is interrupted.
//
// A broken connection loses nothing: the next subscription begins after the last event seen.
//
// Usage: MILL_API_KEY=... go run ./watch-events [host:port] [filter]
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	// Generated from protos/, see README.md.
	mill "modelmill.example/clients/gen/modelmill/v1"
)

func main() {
	address, filter := "127.0.0.1:8081", "model.*.*.ready"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if len(os.Args) > 2 {
		filter = os.Args[2]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := watch(ctx, address, os.Getenv("MILL_API_KEY"), filter); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func watch(ctx context.Context, address, key, filter string) error {
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// A watcher may hear nothing for hours: pings find out whether the other side is still there.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second}))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	events := mill.NewEventsClient(connection)

	var last uint64 // 0: before the first event that is kept; to hear only of what is new, leave Start out at first
	for {
		err := subscribe(ctx, events, filter, &last)
		// The gateway is away, or shut down and hung up. Anything else will not go away by itself.
		if code := status.Code(err); ctx.Err() != nil || (code != codes.Unavailable && code != codes.Canceled && !errors.Is(err, io.EOF)) {
			return err
		}
		fmt.Fprintf(os.Stderr, "connection lost after #%d: %v\n", last, err)
		time.Sleep(500 * time.Millisecond)
	}
}

// subscribe prints the events after the last one seen until the stream ends, and tells why it ended.
func subscribe(ctx context.Context, events mill.EventsClient, filter string, last *uint64) error {
	request := &mill.SubscribeRequest{
		Filters: []string{filter},
		Start:   &mill.SubscribeRequest_AfterSequence{AfterSequence: *last},
	}
	// No deadline: a subscription has no end. While there is no connection, it waits for one.
	stream, err := events.Subscribe(ctx, request, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		event := answer.Event
		*last = event.Sequence
		data := event.Data.AsMap()
		fmt.Printf("#%d model %s version %s is ready\n", event.Sequence, data["model"], data["version"])
	}
}
