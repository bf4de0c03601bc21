package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxBody is how much of a reply's body is read, in bytes. What must be
	// contained in the body must be contained in this part of it.
	MaxBody = 1 << 20
	// maxHead bounds the status line and the header lines of a reply.
	maxHead = 64 << 10
	// maxInterim bounds the 1xx replies before the real one.
	maxInterim = 8
	// goodbye is how long a server that has sent its whole reply may take to end
	// the connection itself.
	goodbye = 50 * time.Millisecond
)

// HTTPSettings says what is asked and what is a good answer.
type HTTPSettings struct {
	// Method is the request's method; empty means GET.
	Method string
	// Path is the request's target with its query; empty means "/".
	Path string
	// Host is the Host header; empty means the target's address, with the port
	// unless that is 80.
	Host string
	// Status lists the status codes that are good; empty means 200-299.
	Status []StatusRange
	// Body must be contained in the first MaxBody bytes of the reply's body.
	Body string
}

// StatusRange is an inclusive range of HTTP status codes.
type StatusRange struct{ From, To int }

func (r StatusRange) String() string {
	if r.From == r.To {
		return strconv.Itoa(r.From)
	}
	return strconv.Itoa(r.From) + "-" + strconv.Itoa(r.To)
}

// HTTP sends one HTTP/1.1 request (RFC 9112) over a connection of its own and
// judges the reply.
//
// A redirect is an answer like any other: it is not followed. No proxy is used.
// The reply must be complete, as far as MaxBody, before the deadline: a server
// that sends its header and then stalls is not well.
func HTTP(ctx context.Context, to Target, s HTTPSettings) Result {
	start := time.Now()
	request, err := s.request(to)
	if err != nil {
		return failed(start, Local, err.Error())
	}
	c, err := connectTCP(ctx, to)
	if err != nil {
		return broken(ctx, start, "connect", err)
	}
	defer c.Close()
	if _, err := c.Write(request); err != nil {
		c.abort()
		return broken(ctx, start, "send request", err)
	}
	in := io.LimitedReader{R: c.File, N: maxHead}
	buffered := bufio.NewReaderSize(&in, 4<<10)
	reply, err := readHead(buffered, s.method())
	if err != nil {
		c.abort()
		if in.N <= 0 {
			return failed(start, BadAnswer, fmt.Sprintf("header of more than %d bytes", maxHead))
		}
		return broken(ctx, start, "read reply", plain(err))
	}
	in.N = 8 * MaxBody // room for the framing of a body in very small chunks
	size, found, err := readBody(reply.Body, s.Body)
	if err != nil {
		c.abort()
		return broken(ctx, start, fmt.Sprintf("read body of reply with status %d", reply.StatusCode), plain(err))
	}
	result := s.judge(start, reply, size, found)
	c.partWays(buffered)
	return result
}

// judge compares a complete reply with what is wanted.
func (s *HTTPSettings) judge(start time.Time, reply *http.Response, size int64, found bool) Result {
	if !s.accepts(reply.StatusCode) {
		return failed(start, BadStatus, fmt.Sprintf("status %s, want %s", printable(reply.Status, 64), s.want()))
	}
	if !found {
		return failed(start, BodyMismatch,
			fmt.Sprintf("status %d, but the body (%d bytes read) does not contain %q", reply.StatusCode, size, s.Body))
	}
	return passed(start, "status "+strconv.Itoa(reply.StatusCode))
}

// partWays lets the server end the connection first, as it was asked to: then
// neither side is reset and this machine keeps no TIME_WAIT state. A server that
// does not is reset.
func (c *conn) partWays(in *bufio.Reader) {
	if c.stop() { // a deadline set now must not undo a cancellation
		c.SetReadDeadline(time.Now().Add(goodbye))
	}
	if _, err := in.ReadByte(); err != io.EOF {
		c.abort()
	}
}

// readHead reads the status line and header of the final reply.
func readHead(in *bufio.Reader, method string) (*http.Response, error) {
	for range maxInterim {
		reply, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil || reply.StatusCode >= 200 {
			return reply, err
		}
		if reply.StatusCode == http.StatusSwitchingProtocols {
			return nil, errors.New("status 101: the server switches to a protocol nobody asked for")
		}
	}
	return nil, fmt.Errorf("more than %d interim replies", maxInterim)
}

// readBody reads as far as MaxBody and looks for want. It returns how many
// bytes it read.
func readBody(body io.Reader, want string) (size int64, found bool, err error) {
	if want == "" {
		size, err = io.Copy(io.Discard, io.LimitReader(body, MaxBody))
		return size, true, err
	}
	var text bytes.Buffer
	size, err = text.ReadFrom(io.LimitReader(body, MaxBody))
	return size, bytes.Contains(text.Bytes(), []byte(want)), err
}

func (s *HTTPSettings) method() string {
	if s.Method == "" {
		return http.MethodGet
	}
	return s.Method
}

// request returns the text of the request.
func (s *HTTPSettings) request(to Target) ([]byte, error) {
	path, host := s.Path, s.Host
	if path == "" {
		path = "/"
	}
	if host == "" {
		host = to.Addr.String()
		if to.Addr.Port() == 80 {
			host = strings.TrimSuffix(host, ":80")
		}
	}
	for _, field := range [...]struct{ name, value string }{{"method", s.method()}, {"path", path}, {"host", host}} {
		// A space or line end would make another request of it.
		if strings.ContainsFunc(field.value, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("http: %s %q contains a space or control character", field.name, field.value)
		}
	}
	text := make([]byte, 0, 128+len(path)+len(host))
	text = append(text, s.method()...)
	text = append(text, ' ')
	text = append(text, path...)
	text = append(text, " HTTP/1.1\r\nHost: "...)
	text = append(text, host...)
	text = append(text, "\r\nUser-Agent: director\r\nAccept: */*\r\nConnection: close\r\n\r\n"...)
	return text, nil
}

// accepts says whether code is a good status.
func (s *HTTPSettings) accepts(code int) bool {
	if len(s.Status) == 0 {
		return code >= 200 && code <= 299
	}
	for _, r := range s.Status {
		if code >= r.From && code <= r.To {
			return true
		}
	}
	return false
}

// want names the good statuses.
func (s *HTTPSettings) want() string {
	if len(s.Status) == 0 {
		return "200-299"
	}
	names := make([]string, len(s.Status))
	for i, r := range s.Status {
		names[i] = r.String()
	}
	return strings.Join(names, ",")
}

// plain gives the reader's errors a wording for operators.
func plain(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the server closed the connection before the reply was complete")
	}
	return err
}
