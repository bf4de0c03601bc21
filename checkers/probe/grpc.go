package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

const maxGRPC = 64 << 10 // bytes of a reply

// GRPCSettings says what is asked.
type GRPCSettings struct {
	// Service is the name that the server gives one of its services; empty asks
	// for the server as a whole.
	Service string
	// TLS encrypts the connection when it is not nil; else HTTP/2 is spoken in clear.
	TLS *TLSSettings
}

// GRPC calls grpc.health.v1.Health/Check, the standard question of gRPC, and wants
// SERVING.
func GRPC(ctx context.Context, to Target, s GRPCSettings) Result {
	start := time.Now()
	request := h2Request{
		method: "POST", scheme: "http", authority: to.Addr.String(), path: "/grpc.health.v1.Health/Check",
		header: [][2]string{{"content-type", "application/grpc"}, {"te", "trailers"}},
		body:   grpcRequest(s.Service),
	}
	secure := s.TLS
	if secure != nil {
		request.scheme = "https"
		with := *secure
		with.Protocols = []string{http2.NextProtoTLS}
		secure = &with
		if with.Name != "" {
			request.authority = with.Name
		}
	}
	c, what, err := dial(ctx, to, secure, maxGRPC+maxHandshake)
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	defer c.Close()
	reply, err := c.http2(request, maxGRPC)
	if err != nil {
		return c.failed(ctx, start, "health question", err)
	}
	if err := parseGRPC(reply); err != nil {
		return c.failed(ctx, start, "health", err)
	}
	return c.passed(start, "SERVING")
}

// grpcRequest is a HealthCheckRequest in its frame: one field, a string.
func grpcRequest(service string) []byte {
	var m []byte
	if service != "" {
		m = binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(service)))
		m = append(m, service...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

// parseGRPC judges a reply.
func parseGRPC(r *h2Reply) error {
	if r.status != 200 {
		return refused("HTTP status %d", r.status)
	}
	code, given := r.header["grpc-status"]
	if !given {
		return wrongAnswer("a reply without grpc-status: this is no gRPC server")
	}
	if code != "0" {
		text := r.header["grpc-message"]
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
		n, _ := strconv.Atoi(code)
		return refused("%s: %s", grpcCode(n), text)
	}
	if len(r.body) < 5 || r.body[0] != 0 || int64(binary.BigEndian.Uint32(r.body[1:])) != int64(len(r.body)-5) {
		return wrongAnswer("a malformed gRPC message of %d bytes", len(r.body))
	}
	status, err := parseHealth(r.body[5:])
	switch {
	case err != nil:
		return err
	case status == 1:
		return nil
	case status == 0:
		return refused("UNKNOWN")
	case status == 2:
		return refused("NOT_SERVING")
	case status == 3:
		return refused("SERVICE_UNKNOWN")
	}
	return refused("status %d", status)
}

// parseHealth reads a HealthCheckResponse: field 1 is a number, others are left
// out.
func parseHealth(m []byte) (status uint64, err error) {
	for len(m) > 0 {
		key, n := binary.Uvarint(m)
		if n <= 0 {
			return 0, wrongAnswer("a malformed health message")
		}
		m = m[n:]
		skip := uint64(0)
		switch key & 7 {
		case 0:
			value, n := binary.Uvarint(m)
			if n <= 0 {
				return 0, wrongAnswer("a malformed health message")
			}
			if key>>3 == 1 {
				status = value
			}
			skip = uint64(n)
		case 1:
			skip = 8
		case 2:
			size, n := binary.Uvarint(m)
			if n <= 0 || size > uint64(len(m)) {
				return 0, wrongAnswer("a malformed health message")
			}
			skip = uint64(n) + size
		case 5:
			skip = 4
		default:
			return 0, wrongAnswer("a malformed health message")
		}
		if skip > uint64(len(m)) {
			return 0, wrongAnswer("a malformed health message")
		}
		m = m[skip:]
	}
	return status, nil
}

// grpcCode names a status of gRPC.
func grpcCode(n int) string {
	names := [...]string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
		"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}
	if n >= 0 && n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("status %d", n)
}
