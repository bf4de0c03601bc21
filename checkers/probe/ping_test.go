package probe

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func TestPing(t *testing.T) {
	tests := []struct {
		name, addr string
		want       Reason
		detail     string
	}{
		{"IPv4", "127.0.0.1:0", Passed, "reply in"},
		{"IPv4, another loopback address, port ignored", "127.9.9.9:80", Passed, "reply in"},
		{"no such interface", "[fe80::1%no-such-link]:0", Unreachable, "network is unreachable"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Ping(within(t, 10*time.Second), Target{Addr: netip.MustParseAddrPort(test.addr)})
			if got.Reason != test.want || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("got %+v, want %s with %q", got, test.want, test.detail)
			}
		})
	}
}

// Many pings at the same time, of one address and of many: each finds its own
// reply, and none is crowded out by the others'.
func TestPingConcurrently(t *testing.T) {
	tests := []struct {
		name    string
		n       int // at the same time
		address func(int) netip.Addr
	}{
		// A raw socket has room for some 250 replies, and gets those of all pings
		// of its address. One process makes one at a time.
		{"one address", 100, func(int) netip.Addr { return netip.MustParseAddr("127.0.0.1") }},
		{"many addresses", 500, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			results := make(chan Result)
			for range 4 {
				for i := range test.n {
					go func() {
						results <- Ping(within(t, 10*time.Second), Target{Addr: netip.AddrPortFrom(test.address(i), 0)})
					}()
				}
				for range test.n {
					if r := <-results; !r.OK {
						t.Error(r)
					}
				}
			}
		})
	}
}

func TestIsReply(t *testing.T) {
	mine := ping{ownID: true, id: 7, seq: 9, mark: [pingMark]byte{1, 2, 3}}
	data := make([]byte, pingPayload)
	copy(data, mine.mark[:])
	other := make([]byte, pingPayload)
	ipHeader := append([]byte{0x45}, make([]byte, 19)...)
	packet := func(kind icmp.Type, code, id, seq int, data []byte) []byte {
		m := icmp.Message{Type: kind, Code: code, Body: &icmp.Echo{ID: id, Seq: seq, Data: data}}
		text, err := m.Marshal(nil)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	reply := packet(ipv4.ICMPTypeEchoReply, 0, 7, 9, data)
	reply6 := packet(ipv6.ICMPTypeEchoReply, 0, 7, 9, data)
	withID, without := mine, mine
	without.ownID = false
	v6 := mine
	v6.v6 = true
	tests := []struct {
		name   string
		p      ping
		packet []byte
		want   bool
	}{
		{"raw, ours", withID, append(ipHeader, reply...), true},
		{"raw, with IP options", withID, append(append([]byte{0x46}, make([]byte, 23)...), reply...), true},
		{"raw, header only", withID, ipHeader, false},
		{"raw, header longer than the packet", withID, append([]byte{0x4f}, make([]byte, 19)...), false},
		{"raw, impossible header", withID, append([]byte{0x41}, make([]byte, 40)...), false},
		{"raw, empty", withID, nil, false},
		{"raw, another identifier", withID, append(ipHeader, packet(ipv4.ICMPTypeEchoReply, 0, 8, 9, data)...), false},
		{"ping socket, ours", without, reply, true},
		{"ping socket, the kernel's identifier", without, packet(ipv4.ICMPTypeEchoReply, 0, 8, 9, data), true},
		{"ping socket, the request itself", without, packet(ipv4.ICMPTypeEcho, 0, 7, 9, data), false},
		{"ping socket, another sequence number", without, packet(ipv4.ICMPTypeEchoReply, 0, 7, 8, data), false},
		{"ping socket, another mark", without, packet(ipv4.ICMPTypeEchoReply, 0, 7, 9, other), false},
		{"ping socket, cut short", without, packet(ipv4.ICMPTypeEchoReply, 0, 7, 9, data[:20]), false},
		{"ping socket, a code", without, packet(ipv4.ICMPTypeEchoReply, 1, 7, 9, data), false},
		{"IPv6, ours", v6, reply6, true},
		{"IPv6, an IPv4 reply", v6, reply, false},
	}
	for _, test := range tests {
		if got := test.p.isReply(test.packet); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func BenchmarkPing(b *testing.B) {
	to := Target{Addr: netip.MustParseAddrPort("127.0.0.1:0")}
	measure(b, func(ctx context.Context) Result { return Ping(ctx, to) })
}

// FuzzIsReply: nothing is taken for an answer that does not carry the mark of its
// question.
func FuzzIsReply(f *testing.F) {
	mine := ping{ownID: true, id: 7, seq: 9, mark: [pingMark]byte{1, 2, 3}}
	data := make([]byte, pingPayload)
	copy(data, mine.mark[:])
	for _, kind := range []icmp.Type{ipv4.ICMPTypeEchoReply, ipv6.ICMPTypeEchoReply, ipv4.ICMPTypeDestinationUnreachable} {
		m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: 7, Seq: 9, Data: data}}
		if kind == ipv4.ICMPTypeDestinationUnreachable {
			m.Body = &icmp.DstUnreach{Data: data}
		}
		text, err := m.Marshal(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, true)
		f.Add(append(append([]byte{0x45}, make([]byte, 19)...), text...), false)
	}
	f.Fuzz(func(t *testing.T, packet []byte, v6 bool) {
		p := mine
		p.v6 = v6
		if p.isReply(packet) && !bytes.Contains(packet, p.mark[:]) {
			t.Errorf("%x is taken for an answer", packet)
		}
		p.ownID = false
		p.isReply(packet)
	})
}
