// The test cases of gRPC's interoperability tests, called by grpc-go.
//
//	interop <address>
//
// It prints the name of each case that has passed; the first one that fails ends it. "compressed" and "busy" are cases
// of our own: all others once more with messages that the client compresses, and many at the same time.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
)

const (
	timeout    = time.Minute
	busyCalls  = 100
	busyRounds = 5
)

type testCase struct {
	name string
	run  func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)
}

var cases = []testCase{
	{"empty_unary", interop.DoEmptyUnaryCall},
	{"large_unary", interop.DoLargeUnaryCall},
	{"client_streaming", interop.DoClientStreaming},
	{"server_streaming", interop.DoServerStreaming},
	{"ping_pong", interop.DoPingPong},
	{"empty_stream", interop.DoEmptyStream},
	{"timeout_on_sleeping_server", interop.DoTimeoutOnSleepingServer},
	{"cancel_after_begin", interop.DoCancelAfterBegin},
	{"cancel_after_first_response", interop.DoCancelAfterFirstResponse},
	{"status_code_and_message", interop.DoStatusCodeAndMessage},
	{"special_status_message", interop.DoSpecialStatusMessage},
}

func main() {
	connection, err := grpc.NewClient(
		os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	client := testgrpc.NewTestServiceClient(connection)
	for _, each := range cases {
		each.run(ctx, client)
		fmt.Println(each.name)
	}
	interop.DoUnimplementedMethod(ctx, connection)
	fmt.Println("unimplemented_method")
	interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(connection))
	fmt.Println("unimplemented_service")
	for _, each := range cases {
		each.run(ctx, client, grpc.UseCompressor(gzip.Name))
	}
	fmt.Println("compressed")
	busy(ctx, client)
	fmt.Println("busy")
}

func busy(ctx context.Context, client testgrpc.TestServiceClient) {
	var group sync.WaitGroup
	for range busyCalls {
		group.Go(func() {
			for range busyRounds {
				interop.DoEmptyUnaryCall(ctx, client)
				interop.DoPingPong(ctx, client)
			}
		})
	}
	group.Wait()
}
