// The service behind both edges: answers every rpc that it is told of with the same bytes.
//
// In Go, so that it takes as little as it can of the machine that the edges are measured on.
//
//	backend ADDRESS /package.Service/Method=HEX …
package main

import (
	"encoding/hex"
	"fmt"
	"log"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// raw passes messages on as the bytes that they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(message any) ([]byte, error) { return message.([]byte), nil }

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func main() {
	answers := make(map[string][]byte)
	for _, argument := range os.Args[2:] {
		method, text, _ := strings.Cut(argument, "=")
		answer, err := hex.DecodeString(text)
		if err != nil {
			log.Fatalf("%s: %v", method, err)
		}
		answers[method] = answer
	}
	answer := func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		message, known := answers[method]
		if !known {
			return status.Error(codes.Unimplemented, fmt.Sprintf("no answer for %s", method))
		}
		var request []byte
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		return stream.SendMsg(message)
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(answer))
	log.Fatal(server.Serve(listener))
}
