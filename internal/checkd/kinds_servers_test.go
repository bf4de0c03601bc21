package checkd

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// answersUDP serves datagrams.
func answersUDP(t *testing.T, reply func([]byte) []byte) string {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := reply(buf[:n]); answer != nil {
				c.WriteTo(answer, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

// answersTCP serves messages of a protocol: read takes one from the connection.
func answersTCP(t *testing.T, read func(io.Reader) ([]byte, error), reply func([]byte) []byte) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					message, err := read(c)
					if err != nil {
						return
					}
					if answer := reply(message); answer != nil {
						c.Write(answer)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// nameServer answers for two addresses of a name and for nothing else.
func nameServer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.Additionals = true, nil
	if q := m.Questions[0]; q.Name.String() != "www.example.com." {
		m.RCode = dnsmessage.RCodeNameError
	} else if q.Type == dnsmessage.TypeA {
		for _, last := range []byte{80, 81} {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, last}},
			})
		}
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// The same as TestKeysReachTheProbe, of the protocols of datagrams and of bytes.
func TestKeysReachTheProbeOfOtherServers(t *testing.T) {
	echo := answersUDP(t, func(b []byte) []byte { return b })
	silent := answersUDP(t, func([]byte) []byte { return nil })
	dns := answersUDP(t, nameServer)
	dnsTCP := answersTCP(t, func(r io.Reader) ([]byte, error) {
		var size [2]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return nil, err
		}
		message := make([]byte, binary.BigEndian.Uint16(size[:]))
		_, err := io.ReadFull(r, message)
		return message, err
	}, func(query []byte) []byte {
		answer := nameServer(query)
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
	})
	// A directory that lets anybody bind and shows nobody its root entry.
	ldap := answersTCP(t, func(r io.Reader) ([]byte, error) {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, err
		}
		body := make([]byte, head[1]) // all are shorter than 128 bytes
		_, err := io.ReadFull(r, body)
		return body, err
	}, func(message []byte) []byte {
		switch id, op := message[2], message[3]; op {
		case 0x60: // bind: success
			return []byte{0x30, 12, 2, 1, id, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0}
		case 0x63: // search: done
			return []byte{0x30, 12, 2, 1, id, 0x65, 7, 0x0a, 1, 0, 4, 0, 4, 0}
		}
		return nil
	})
	grpc := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "grpc-status")
		status := byte(1) // SERVING
		if string(body) != "\x00\x00\x00\x00\x0d\x0a\x0bshop.Orders" {
			status = 2
		}
		w.Write([]byte{0, 0, 0, 0, 2, 8, status})
		w.Header().Set("grpc-status", "0")
	}))
	grpc.Config.Protocols = new(http.Protocols)
	grpc.Config.Protocols.SetUnencryptedHTTP2(true)
	grpc.Start()
	defer grpc.Close()
	health := grpc.Listener.Addr().String()

	const a = `type = "dns", query_type = "A", query_name = "www.example.com"`
	for _, test := range []struct{ address, good, bad string }{
		{silent, `type = "udp", send = "x"`, `type = "udp", send = "x", require_reply = true`},
		{echo, `type = "udp", send = "abc", min_reply_length = 3`, `type = "udp", send = "abc", min_reply_length = 4`},
		{echo, `type = "udp", send = "abc", max_reply_length = 3`, `type = "udp", send = "abc", max_reply_length = 2`},
		{echo, `type = "udp", send = "abc", expect = "bc"`, `type = "udp", send = "abc", expect = "bc", expect_at_start = true`},
		{echo, `type = "udp", send = "abc", expect = "hex:6?62", expect_at_start = true`, `type = "udp", send = "abc", expect = "hex:6?63", expect_at_start = true`},
		{dns, a, `type = "dns", query_type = "A", query_name = "none.example.com"`},
		{dns, `type = "dns", query_name = "none.example.com", rcode = ["NXDOMAIN"]`, a + `, rcode = ["NXDOMAIN", "REFUSED"]`},
		{dns, a + `, answer = ["192.0.2.81", "192.0.2.80"]`, a + `, answer = ["192.0.2.81", "192.0.2.82"]`},
		{dns, a + `, transport = "udp"`, a + `, transport = "tcp"`},
		{dnsTCP, a + `, transport = "tcp"`, a},
		{ldap, `type = "ldap"`, `type = "ldap", root_dse = true`},
		{health, `type = "grpc", grpc_service = "shop.Orders"`, `type = "grpc"`},
		{health, `type = "grpc", grpc_service = "shop.Orders"`, `type = "grpc", grpc_service = "shop.Others"`},
	} {
		port := ", connect_port = " + test.address[strings.LastIndexByte(test.address, ':')+1:]
		if r := asked(t, test.good+port, test.address); !r.OK {
			t.Errorf("%s: %s", test.good, r)
		}
		if r := askedInVain(t, test.bad+port, test.address); r.OK {
			t.Errorf("%s: %s", test.bad, r)
		}
	}
}
