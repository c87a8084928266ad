// The grpc-gateway of the measured contract, as its documentation sets it up.
//
//	gateway <address of the backend> <port>
//
// It prints nothing, and serves until it is killed. Answers of one piece have their length, as those of the other
// sides, and large answers of the backend are allowed.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"meshwright.example/peers/gen"
)

const messageBytesMax = 64 << 20

func main() {
	mux := runtime.NewServeMux(runtime.WithWriteContentLength())
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageBytesMax)),
	}
	if err := gen.RegisterUnaryServiceHandlerFromEndpoint(context.Background(), mux, os.Args[1], options); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[2], mux))
}
