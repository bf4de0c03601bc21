package probe

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// maxFrames bounds the frames of one reply: what a server may say without ever
// coming to an end.
const maxFrames = 10000

// h2Request is a request in HTTP/2 (RFC 9113).
type h2Request struct {
	method, scheme, authority, path string
	header                          [][2]string // names in small letters
	body                            []byte
}

// h2Reply is a reply, or as much of it as was read.
type h2Reply struct {
	status int
	header map[string]string // of the header and the trailer
	body   []byte
	cut    bool // the body was longer than it may be; the rest was not read
}

// http2 makes one request on a connection of its own, with nothing but this one
// stream, so that no goroutine is needed. The connection's protocol has been
// agreed upon by ALPN, or is known beforehand.
func (s *stream) http2(r h2Request, maxBody int) (*h2Reply, error) {
	if client, is := s.Conn.(*tls.Conn); is && client.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		return nil, wrongAnswer("the server does not speak HTTP/2 here")
	}
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	// Frames are collected and sent together.
	f := http2.NewFramer(&out, s.in)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.MaxHeaderListSize = maxHead
	f.SetMaxReadFrameSize(1 << 14)
	f.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHead},
	)
	f.WriteWindowUpdate(0, 1<<31-1-65535)
	if err := r.write(f); err != nil {
		return nil, err
	}
	if _, err := s.Write(out.Bytes()); err != nil {
		return nil, err
	}
	reply := &h2Reply{header: map[string]string{}}
	for range maxFrames {
		frame, err := f.ReadFrame()
		if err != nil {
			return nil, err
		}
		out.Reset()
		done, err := reply.take(f, frame, maxBody)
		if err != nil || done {
			return reply, err
		}
		if out.Len() > 0 {
			if _, err := s.Write(out.Bytes()); err != nil {
				return nil, err
			}
		}
	}
	return nil, wrongAnswer("more than %d frames without an end", maxFrames)
}

// write writes the request's frames. Its body fits into the window that a server
// gives from the start.
func (r *h2Request) write(f *http2.Framer) error {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	field := func(name, value string) { e.WriteField(hpack.HeaderField{Name: name, Value: value}) }
	field(":method", r.method)
	field(":scheme", r.scheme)
	field(":authority", r.authority)
	field(":path", r.path)
	for _, usual := range [...][2]string{{"user-agent", "director"}, {"accept", "*/*"}} {
		if !slices.ContainsFunc(r.header, func(h [2]string) bool { return h[0] == usual[0] }) {
			field(usual[0], usual[1])
		}
	}
	for _, h := range r.header {
		field(h[0], h[1])
	}
	if len(r.body) > 0 {
		field("content-length", strconv.Itoa(len(r.body)))
	}
	text := block.Bytes()
	first := text[:min(len(text), 1<<14)]
	if err := f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: first, EndStream: len(r.body) == 0, EndHeaders: len(first) == len(text),
	}); err != nil {
		return err
	}
	for text = text[len(first):]; len(text) > 0; {
		part := text[:min(len(text), 1<<14)]
		text = text[len(part):]
		if err := f.WriteContinuation(1, len(text) == 0, part); err != nil {
			return err
		}
	}
	if len(r.body) == 0 {
		return nil
	}
	return f.WriteData(1, true, r.body)
}

// take takes a frame and writes the answer that it calls for. done says that the
// reply is complete.
func (r *h2Reply) take(f *http2.Framer, frame http2.Frame, maxBody int) (done bool, err error) {
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			return false, f.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return false, f.WritePing(true, frame.Data)
		}
	case *http2.GoAwayFrame:
		if frame.ErrCode != http2.ErrCodeNo || frame.LastStreamID < 1 {
			return false, refused("the server ends the connection: %s %s", frame.ErrCode, frame.DebugData())
		}
	case *http2.RSTStreamFrame:
		if frame.StreamID == 1 {
			if frame.ErrCode == http2.ErrCodeNo && r.status != 0 {
				return true, nil // it has said enough, and does not want the rest of the request
			}
			return false, refused("the server ends the stream: %s", frame.ErrCode)
		}
	case *http2.MetaHeadersFrame:
		if frame.StreamID == 1 {
			return r.headers(frame)
		}
	case *http2.DataFrame:
		if frame.StreamID != 1 {
			return false, nil
		}
		if r.status == 0 {
			return false, wrongAnswer("data before the header")
		}
		data := frame.Data()
		if room := maxBody - len(r.body); len(data) > room || len(data) == room && !frame.StreamEnded() {
			data, r.cut = data[:room], true
		}
		r.body = append(r.body, data...)
		return frame.StreamEnded() || r.cut, nil
	}
	return false, nil
}

// headers takes a header, an interim one, or a trailer.
func (r *h2Reply) headers(frame *http2.MetaHeadersFrame) (done bool, err error) {
	if frame.Truncated {
		return false, wrongAnswer("header of more than %d bytes", maxHead)
	}
	if r.status == 0 {
		status, err := strconv.Atoi(frame.PseudoValue("status"))
		if err != nil || status < 100 || status > 999 {
			return false, wrongAnswer("status %q", printable(frame.PseudoValue("status"), 32))
		}
		if status < 200 {
			return false, nil
		}
		r.status = status
	}
	for _, h := range frame.RegularFields() {
		r.header[h.Name] = h.Value
	}
	return frame.StreamEnded(), nil
}

// h2Header makes fields of lines such as "Name: value".
func h2Header(lines []string) [][2]string {
	fields := make([][2]string, 0, len(lines))
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, [2]string{strings.ToLower(name), strings.TrimSpace(value)})
	}
	return fields
}
