package probe

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// judgeReply judges a reply of which nothing more will come.
func (s *HTTPSettings) judgeReply(start time.Time, in *bufio.Reader) Result {
	reply, err := readHead(in, s.method())
	if err != nil {
		return broken(context.Background(), start, "read reply", plain(err))
	}
	body, size, err := s.readBody(reply.Body)
	if err != nil {
		return broken(context.Background(), start, fmt.Sprintf("read body of reply with status %d", reply.StatusCode), plain(err))
	}
	return s.judge(start, reply.StatusCode, reply.Status, body, size)
}

// resume goes on with a reply that has begun with text, on a socket that it closes.
func (s *HTTPSettings) resume(ctx context.Context, start time.Time, to Target, fd int, text []byte) Result {
	c, err := newConn(ctx, fd)
	if err != nil {
		return broken(ctx, start, "read reply", err)
	}
	defer c.Close()
	in := &stream{raw: c, Conn: plainConn{c, to.Addr}}
	in.buffer()
	in.budget.R = io.MultiReader(bytes.NewReader(text), in.Conn)
	return s.receive(ctx, start, in)
}

// complete says that a reply is whole, or as much of it as is read. False may be wrong:
// the end of the connection tells as well.
func (s *HTTPSettings) complete(text []byte) bool {
	code, head := statusOf(text), headEnd(text)
	switch {
	case code == noStatus:
		return true // nothing that follows could make it one
	case head == 0:
		return false
	case code < 200 && code != http.StatusSwitchingProtocols: // interim: the real one follows
		return s.complete(text[head:])
	case s.method() == http.MethodHead, code < 200, code == http.StatusNoContent, code == http.StatusNotModified:
		return true
	}
	body := text[head:]
	// RFC 9112 section 6.3.
	length, chunked := -1, false
	lines := text[:head]
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch value = bytes.TrimSpace(value); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, _ = strconv.Atoi(string(value))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	switch {
	case chunked:
		// The last chunk and the trailer end with an empty line.
		return bytes.HasSuffix(body, []byte("0\r\n\r\n")) && wholeChunks(body)
	case length >= 0:
		return len(body) >= min(length, s.maxBody())
	}
	return len(body) >= s.maxBody()
}

// wholeChunks says whether a body in chunks has its last one.
func wholeChunks(body []byte) bool {
	for {
		line, rest, found := bytes.Cut(body, []byte("\n"))
		size, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
		if !found || err != nil || uint64(len(rest)) < n+2 {
			return false
		}
		if n == 0 {
			return true
		}
		body = rest[n+2:]
	}
}

// headEnd returns where the body of a reply begins, 0 while its header is not whole.
func headEnd(text []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(text[i:], '\n')
		if n < 0 {
			return 0
		}
		if i += n + 1; bytes.HasPrefix(text[i:], []byte("\r\n")) {
			return i + 2
		} else if bytes.HasPrefix(text[i:], []byte("\n")) {
			return i + 1
		}
	}
}

// noStatus is the status of a first line that is none of HTTP.
const noStatus = -1

// statusOf returns the status of a reply, 0 while its first line is not whole.
func statusOf(text []byte) int {
	line, _, whole := bytes.Cut(text, []byte("\n"))
	if !whole {
		return 0
	}
	version, rest, _ := bytes.Cut(line, []byte(" "))
	rest, _, _ = bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	code, err := strconv.Atoi(string(bytes.TrimSpace(rest)))
	if err != nil || code < 0 || !bytes.HasPrefix(version, []byte("HTTP/")) {
		return noStatus
	}
	return code
}
