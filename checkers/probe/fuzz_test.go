package probe

import (
	"bytes"
	hexadecimal "encoding/hex"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// recorded is a server that says what it says, whatever it hears.
type recorded struct {
	net.Conn
	in io.Reader
}

func (s *recorded) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *recorded) Write(p []byte) (int, error) { return len(p), nil }

func scripted(text []byte) *stream {
	s := &stream{Conn: &recorded{in: bytes.NewReader(text)}}
	s.budget.N = 64 << 10
	s.buffer()
	return s
}

func unhex(t interface{ Fatal(...any) }, text string) []byte {
	b, err := hexadecimal.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzDNS(f *testing.F) {
	query, err := (&DNSSettings{Name: "www.example.com", Type: 1}).query()
	if err != nil {
		f.Fatal(err)
	}
	answer := append(bytes.Clone(query), unhex(f, "c00c00010001000000050004c0000201")...)
	answer[2], answer[7] = 0x81, 1
	f.Add(answer)
	f.Add(append(bytes.Clone(answer), 0))
	f.Add(query)
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > 1 {
			copy(packet, query[:2])
		}
		r, err := parseDNS(packet, query)
		if err == nil && (r.rcode < 0 || r.rcode > 15 || len(r.answers) > maxAnswers) {
			t.Errorf("%+v", r)
		}
	})
}

func FuzzSMTP(f *testing.F) {
	f.Add([]byte("220-a\r\n220 b\r\n"))
	f.Add([]byte("250-STARTTLS\n250 \n"))
	f.Add([]byte("220"))
	f.Add([]byte("99999999\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, err := scripted(text).smtp("", 220)
		if err == nil && len(lines) == 0 {
			t.Error("a good reply without a line")
		}
	})
}

func FuzzMySQL(f *testing.F) {
	f.Add(unhex(f, "0a382e302e333300080000004a5b1c3d2e6f7081"+"00ffff080200ffc7150000000000000000000021314151617181910111213100"+"6d7973716c5f6e61746976655f70617373776f726400"))
	f.Add([]byte("\xff\x15\x04#28000Access denied"))
	f.Add([]byte{10, 0})
	f.Fuzz(func(t *testing.T, packet []byte) {
		version, _, err := parseMySQLGreeting(packet)
		if err == nil && len(version) > 128 {
			t.Errorf("version %q", version)
		}
		if len(packet) > 0 {
			scripted(packet).mysqlPacket()
			scripted(packet).mysqlLogin("check", "mysql_native_password", 1)
		}
	})
}

func FuzzPostgres(f *testing.F) {
	f.Add([]byte("R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I"))
	f.Add([]byte("E\x00\x00\x00\x1aSFATAL\x00C57P03\x00Mwait\x00\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scripted(text)
		for {
			kind, body, err := s.postgresMessage()
			if err != nil {
				return
			}
			if _, err := postgresStep(kind, body); err != nil {
				return
			}
		}
	})
}

func FuzzLDAP(f *testing.F) {
	f.Add(unhex(f, "300c02010161070a010004000400"))
	f.Add(unhex(f, "30050201026400"+"300c02010265070a010004000400"))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, text []byte) {
		scripted(text).ldapResult(1, ldapBindResponse)
		scripted(text).ldapResult(2, ldapSearchDone)
	})
}

func FuzzRedis(f *testing.F) {
	f.Add("+PONG", "PONG")
	f.Add("-NOAUTH Authentication required.", "OK")
	f.Fuzz(func(t *testing.T, line, want string) {
		if parseRedis(line, want) == nil && line != "+"+want {
			t.Error("taken")
		}
	})
}

func FuzzAgent(f *testing.F) {
	for _, line := range []string{"up 75%", "down # reason", "drain, maint ready", "maxconn:3", "0%"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := parseAgent(time.Now(), line)
		if r.Advice.Value < 0 || r.Advice.Value > 10000 || r.OK != (r.Reason == Passed) {
			t.Errorf("%+v", r)
		}
	})
}

func FuzzGRPC(f *testing.F) {
	f.Add([]byte{8, 1})
	f.Add([]byte{0x12, 2, 1, 2, 8, 3})
	f.Add([]byte{0xd, 1, 2, 3, 4, 9, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, m []byte) {
		parseHealth(m)
		parseGRPC(&h2Reply{status: 200, header: map[string]string{"grpc-status": "0"}, body: m})
	})
}

func FuzzHTTP2(f *testing.F) {
	var reply bytes.Buffer
	w := http2.NewFramer(&reply, nil)
	w.WriteSettings()
	w.WriteSettingsAck()
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true}) // :status 200
	w.WriteData(1, false, []byte("hello"))
	w.WritePing(false, [8]byte{1})
	w.WriteData(1, true, nil)
	f.Add(reply.Bytes())
	f.Add(reply.Bytes()[:20])
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := scripted(text).http2(h2Request{method: "GET", scheme: "http", authority: "h", path: "/"}, 100)
		if err == nil && (r.status < 200 || len(r.body) > 100) {
			t.Errorf("%+v", r)
		}
	})
}

func FuzzHTTPHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("HTTP/1.0 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scripted(text)
		reply, err := readHead(s.in, "GET")
		if err != nil {
			return
		}
		want := HTTPSettings{Body: "ok", MaxBody: 50}
		if body, size, err := want.readBody(reply.Body); err == nil && (size > 50 || int64(len(body)) != size) {
			t.Errorf("%d bytes, %d", len(body), size)
		}
	})
}
