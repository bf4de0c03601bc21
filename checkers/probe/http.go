package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
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
	// unless that is the usual one.
	Host string
	// Header lists further header lines, such as "Accept: text/plain".
	Header []string
	// Content is the request's body.
	Content []byte
	// Version is "1.0", "1.1" or "2"; empty means "1.1".
	Version string
	// TLS encrypts the connection when it is not nil.
	TLS *TLSSettings
	// MaxBody bounds how many bytes of a body are read; 0 means MaxBody.
	MaxBody int

	// Status lists the status codes that are good; empty means 200-299.
	Status []StatusRange
	// Body must be contained in the part of the reply's body that is read.
	Body string
	// Regexp must match that part, and Not must not match it; nil says nothing.
	Regexp, Not *regexp.Regexp
	// Digest is the sum of the whole body, MD5 with 16 and SHA-256 with 32 bytes;
	// empty says nothing. A body that is longer than MaxBody has not got it.
	Digest []byte
}

// StatusRange is an inclusive range of HTTP status codes.
type StatusRange struct{ From, To int }

func (r StatusRange) String() string {
	if r.From == r.To {
		return strconv.Itoa(r.From)
	}
	return strconv.Itoa(r.From) + "-" + strconv.Itoa(r.To)
}

// HTTP sends one request over a connection of its own and judges the reply:
// HTTP/1.1 (RFC 9112), 1.0, or 2 (RFC 9113).
//
// A redirect is an answer like any other: it is not followed. No proxy is used.
// The reply must be complete, as far as it is read, before the deadline: a server
// that sends its header and then stalls is not well.
func HTTP(ctx context.Context, to Target, s HTTPSettings) Result {
	start := time.Now()
	if s.Version == "2" {
		return s.two(ctx, start, to)
	}
	request, err := s.request(to)
	if err != nil {
		return failed(start, Local, err.Error())
	}
	c, what, err := s.dial(ctx, to)
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	defer c.raw.Close()
	if _, err := c.Write(request); err != nil {
		c.raw.abort()
		return broken(ctx, start, "send request", err)
	}
	return s.receive(ctx, start, c)
}

// receive reads the reply to a request and judges it.
func (s *HTTPSettings) receive(ctx context.Context, start time.Time, c *stream) Result {
	// The handshake's bytes are not the reply's. The reader has none yet.
	c.budget.N = maxHead
	reply, err := readHead(c.in, s.method())
	if err != nil {
		c.raw.abort()
		if c.spent() {
			return failed(start, BadAnswer, fmt.Sprintf("header of more than %d bytes", maxHead))
		}
		return broken(ctx, start, "read reply", plain(err))
	}
	c.budget.N = 8 * int64(s.readLimit()) // room for the framing of a body in very small chunks
	body, size, err := s.readBody(reply.Body)
	if err != nil {
		c.raw.abort()
		return broken(ctx, start, fmt.Sprintf("read body of reply with status %d", reply.StatusCode), plain(err))
	}
	result := s.judge(start, reply.StatusCode, reply.Status, body, size)
	c.cert.tell(&result)
	c.partWays()
	return result
}

// HTTPAll makes several requests one after the other, until one is not answered as
// it should be.
func HTTPAll(ctx context.Context, to Target, list []HTTPSettings) Result {
	if len(list) == 1 {
		return HTTP(ctx, to, list[0])
	}
	start := time.Now()
	var r Result
	for i := range list {
		if r = HTTP(ctx, to, list[i]); !r.OK {
			r.Detail = list[i].Path + ": " + r.Detail
			break
		}
	}
	if r.OK {
		r.Detail = fmt.Sprintf("%d replies, the last with %s", len(list), r.Detail)
	}
	r.Duration = time.Since(start)
	return r
}

// dial connects as the settings say.
func (s *HTTPSettings) dial(ctx context.Context, to Target) (c *stream, what string, err error) {
	secure := s.TLS
	if secure != nil {
		with := *secure
		with.Protocols = []string{"http/1.1"}
		if s.Version == "2" {
			with.Protocols = []string{http2.NextProtoTLS}
		}
		secure = &with
	}
	return dial(ctx, to, secure, maxHandshake)
}

// two makes the request in HTTP/2.
func (s *HTTPSettings) two(ctx context.Context, start time.Time, to Target) Result {
	if _, err := s.request(to); err != nil {
		return failed(start, Local, err.Error())
	}
	c, what, err := s.dial(ctx, to)
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	defer c.Close()
	c.budget.N = 8*int64(s.readLimit()) + maxHead
	r := h2Request{method: s.method(), scheme: s.scheme(), authority: s.host(to), path: s.path(),
		header: h2Header(s.Header), body: s.Content}
	reply, err := c.http2(r, s.readLimit())
	if err != nil {
		return c.failed(ctx, start, "request", err)
	}
	body, size, err := s.readBody(bytes.NewReader(reply.body))
	if err != nil {
		return c.failed(ctx, start, "body", err)
	}
	status := strings.TrimSpace(fmt.Sprint(reply.status, " ", http.StatusText(reply.status)))
	result := s.judge(start, reply.status, status, body, size)
	c.cert.tell(&result)
	return result
}

// judge compares a complete reply with what is wanted. body is nil when its
// content does not matter.
func (s *HTTPSettings) judge(start time.Time, code int, status string, body []byte, size int64) Result {
	if !s.accepts(code) {
		return failed(start, BadStatus, fmt.Sprintf("status %s, want %s", printable(status, 64), s.want()))
	}
	wrong := ""
	switch {
	case s.Body != "" && !bytes.Contains(body, []byte(s.Body)):
		wrong = fmt.Sprintf("does not contain %q", s.Body)
	case s.Regexp != nil && !s.Regexp.Match(body):
		wrong = fmt.Sprintf("does not match /%s/", s.Regexp)
	case s.Not != nil && s.Not.Match(body):
		wrong = fmt.Sprintf("matches /%s/", s.Not)
	case len(s.Digest) > 0 && size > int64(s.maxBody()):
		wrong = fmt.Sprintf("is longer than max_body, %d bytes: its digest is that of the whole body", s.maxBody())
	case len(s.Digest) > 0:
		if sum := digest(body, len(s.Digest)); !bytes.Equal(sum, s.Digest) {
			wrong = fmt.Sprintf("has the digest %x", sum)
		}
	}
	if wrong != "" {
		return failed(start, BodyMismatch, fmt.Sprintf("status %d, but the body (%d bytes read) %s", code, size, wrong))
	}
	return passed(start, "status "+strconv.Itoa(code))
}

// digest returns the sum of a body that is size bytes long.
func digest(body []byte, size int) []byte {
	if size == md5.Size {
		sum := md5.Sum(body) // what keepalived's genhash prints
		return sum[:]
	}
	sum := sha256.Sum256(body)
	return sum[:]
}

// partWays lets the server end the connection first, as it was asked to: then
// neither side is reset and this machine keeps no TIME_WAIT state. A server that
// does not is reset.
func (s *stream) partWays() {
	if s.raw.stop() { // a deadline set now must not undo a cancellation
		s.raw.SetReadDeadline(time.Now().Add(goodbye))
	}
	if _, err := s.in.ReadByte(); err != io.EOF {
		s.raw.abort()
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

// readBody reads as far as it may, and returns what it read where that matters. A size
// beyond maxBody says that there is more, which only a digest has to know.
func (s *HTTPSettings) readBody(body io.Reader) (text []byte, size int64, err error) {
	body = io.LimitReader(body, int64(s.readLimit()))
	if s.Body == "" && s.Regexp == nil && s.Not == nil && len(s.Digest) == 0 {
		size, err = io.Copy(io.Discard, body)
		return nil, size, err
	}
	var b bytes.Buffer
	size, err = b.ReadFrom(body)
	return b.Bytes()[:min(b.Len(), s.maxBody())], size, err
}

// readLimit is how many bytes of a body are read.
func (s *HTTPSettings) readLimit() int {
	if len(s.Digest) > 0 {
		return s.maxBody() + 1
	}
	return s.maxBody()
}

func (s *HTTPSettings) maxBody() int {
	if s.MaxBody == 0 {
		return MaxBody
	}
	return s.MaxBody
}

func (s *HTTPSettings) method() string {
	if s.Method == "" {
		return http.MethodGet
	}
	return s.Method
}

func (s *HTTPSettings) path() string {
	if s.Path == "" {
		return "/"
	}
	return s.Path
}

func (s *HTTPSettings) scheme() string {
	if s.TLS != nil {
		return "https"
	}
	return "http"
}

func (s *HTTPSettings) host(to Target) string {
	if s.Host != "" {
		return s.Host
	}
	usual := uint16(80)
	if s.TLS != nil {
		usual = 443
	}
	host := to.Addr.String()
	if to.Addr.Port() == usual {
		host = host[:strings.LastIndexByte(host, ':')]
	}
	return host
}

// request returns the text of the request.
func (s *HTTPSettings) request(to Target) ([]byte, error) {
	path, host := s.path(), s.host(to)
	for _, field := range [...]struct{ name, value string }{{"method", s.method()}, {"path", path}, {"host", host}} {
		// A space or line end would make another request of it.
		if strings.ContainsFunc(field.value, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("http: %s %q contains a space or control character", field.name, field.value)
		}
	}
	text := make([]byte, 0, 128+len(path)+len(host)+len(s.Content))
	text = append(text, s.method()...)
	text = append(text, ' ')
	text = append(text, path...)
	if s.Version == "1.0" {
		text = append(text, " HTTP/1.0\r\nHost: "...)
	} else {
		text = append(text, " HTTP/1.1\r\nHost: "...)
	}
	text = append(text, host...)
	text = append(text, "\r\n"...)
	own := ""
	for _, line := range s.Header {
		if strings.ContainsAny(line, "\r\n\x00") {
			return nil, fmt.Errorf("http: header %q contains a line end", line)
		}
		name, _, _ := strings.Cut(line, ":")
		own += strings.ToLower(name) + " "
		text = append(append(text, line...), "\r\n"...)
	}
	if !strings.Contains(own, "user-agent ") {
		text = append(text, "User-Agent: director\r\n"...)
	}
	if !strings.Contains(own, "accept ") {
		text = append(text, "Accept: */*\r\n"...)
	}
	if len(s.Content) > 0 {
		text = append(strconv.AppendInt(append(text, "Content-Length: "...), int64(len(s.Content)), 10), "\r\n"...)
	}
	text = append(text, "Connection: close\r\n\r\n"...)
	return append(text, s.Content...), nil
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
