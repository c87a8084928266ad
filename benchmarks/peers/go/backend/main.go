// A gRPC server that answers each method with constant bytes, so that it costs little and the same for every side. A
// request that contains the id of one certain order is answered with NOT_FOUND.
//
//	backend <folder>
//
// The folder has a file for each method, with its name: the answer as it goes over the wire. It prints the port that it
// listens on, and serves until it is killed.
package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"os"
	"path"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const messageBytesMax = 64 << 20

// missing is the id of an order that this server does not have: benchmarks/unary_work.py asks for it.
var missing = []byte("00000000-0000-4000-8000-000000000404")

func main() {
	answers, err := readAnswers(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.UnknownServiceHandler(answers.serve),
		grpc.ForceServerCodecV2(raw{}),
		grpc.MaxRecvMsgSize(messageBytesMax),
		grpc.MaxSendMsgSize(messageBytesMax),
	)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

// answers are the bytes of each method's answer.
type answers map[string][]byte

func readAnswers(folder string) (answers, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	read := answers{}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			return nil, err
		}
		read[file.Name()] = content
	}
	return read, nil
}

func (a answers) serve(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	answer, ok := a[path.Base(method)]
	if !ok {
		return status.Errorf(codes.Unimplemented, "no method %s", method)
	}
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	if bytes.Contains(request, missing) {
		return status.Error(codes.NotFound, "There is no such order.")
	}
	return stream.SendMsg(answer)
}

// raw is a codec that leaves messages as they are.
type raw struct{}

var _ encoding.CodecV2 = raw{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(message any) (mem.BufferSlice, error) {
	content, ok := message.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not bytes", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(content)}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, message any) error {
	content, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("%T does not take bytes", message)
	}
	*content = data.Materialize()
	return nil
}
