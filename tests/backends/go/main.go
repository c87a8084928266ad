// A gRPC server of any contract, on grpc-go.
//
//	backend <descriptor image>
//
// It prints the port that it listens on, and serves until its standard input ends. The metadata x-behave of a call says
// what it does; without it the answer is the request, decoded and encoded again by this implementation:
//
//	error=<code>   ends with that code and a message, with an ErrorInfo and a BadRequest as details
//	wait           does not answer before the call is cancelled, and then prints "cancelled"
//	count=<n>      answers a stream with n copies of the request
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const messageBytesMax = 64 << 20

func main() {
	files, err := readImage(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.UnknownServiceHandler(backend{files}.serve),
		grpc.MaxRecvMsgSize(messageBytesMax),
		grpc.MaxSendMsgSize(messageBytesMax),
	)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

func readImage(path string) (*protoregistry.Files, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	image := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(content, image); err != nil {
		return nil, err
	}
	return protodesc.NewFiles(image)
}

// backend serves every method of a contract.
type backend struct {
	files *protoregistry.Files
}

func (b backend) serve(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	method, err := b.method(path)
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	asked, _ := metadata.FromIncomingContext(stream.Context())
	if err := stream.SetHeader(echoed(stream.Context(), asked)); err != nil {
		return err
	}
	behave, argument, _ := strings.Cut(strings.Join(asked.Get("x-behave"), ""), "=")
	switch behave {
	case "error":
		return failure(argument)
	case "wait":
		<-stream.Context().Done()
		fmt.Println("cancelled")
		return stream.Context().Err()
	}
	copies := 1
	if behave == "count" {
		if copies, err = strconv.Atoi(argument); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
	}
	return echo(stream, method, copies)
}

// method finds the descriptor of "/package.Service/Method".
func (b backend) method(path string) (protoreflect.MethodDescriptor, error) {
	service, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	found, err := b.files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, err
	}
	if described, ok := found.(protoreflect.ServiceDescriptor); ok {
		if method := described.Methods().ByName(protoreflect.Name(name)); method != nil {
			return method, nil
		}
	}
	return nil, fmt.Errorf("no method %s", path)
}

// echo answers each message of the request with the same, copies times.
func echo(stream grpc.ServerStream, method protoreflect.MethodDescriptor, copies int) error {
	for {
		request := dynamicpb.NewMessage(method.Input())
		if err := stream.RecvMsg(request); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		content, err := proto.Marshal(request)
		if err != nil {
			return err
		}
		reply := dynamicpb.NewMessage(method.Output())
		if err := proto.Unmarshal(content, reply); err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		for range copies {
			if err := stream.SendMsg(reply); err != nil {
				return err
			}
		}
		if !method.IsStreamingClient() {
			return nil
		}
	}
}

// echoed gives back what a test wants to see of the metadata.
func echoed(ctx context.Context, asked metadata.MD) metadata.MD {
	header := metadata.MD{}
	for _, name := range []string{"x-text", "x-raw-bin"} {
		if values := asked.Get(name); len(values) > 0 {
			header.Set("echo-"+name, values...)
		}
	}
	if _, ok := ctx.Deadline(); ok {
		header.Set("has-deadline", "true")
	}
	return header
}

func failure(code string) error {
	number, err := strconv.Atoi(code)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	failed, err := status.New(codes.Code(number), "the backend said: ü %").WithDetails(
		&errdetails.ErrorInfo{Reason: "GO_SAID_SO", Domain: "go.example", Metadata: map[string]string{"shelf": "7"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "many_int32", Description: "must be few"},
		}},
	)
	if err != nil {
		return status.Error(codes.Code(number), err.Error())
	}
	return failed.Err()
}
