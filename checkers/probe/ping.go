package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// pingPayload is the size of an echo's data in bytes: a random mark that no
// other program's reply carries, and filling up to the usual packet size.
const (
	pingMark    = 16
	pingPayload = 56
)

// Ping sends one ICMP echo request (RFC 792, RFC 4443) and waits for its reply.
//
// It uses a ping socket, which needs no privilege, where the system's
// net.ipv4.ping_group_range lets this process have one, and a raw socket
// otherwise. A lost packet is not sent again: how many losses matter is for the
// check's fall count to say.
func Ping(ctx context.Context, to Target) Result {
	start := time.Now()
	p, err := openPing(ctx, to)
	if err != nil {
		return broken(ctx, start, "open ping socket", err)
	}
	defer p.Close()
	// Connected, so that the kernel gives us this address's packets only and
	// turns ICMP errors about it into errors of the socket.
	if err := p.connect(netip.AddrPortFrom(to.Addr.Addr(), 0)); err != nil {
		return broken(ctx, start, "ping", err)
	}
	if p.ownID {
		p.drain()
	}
	request, err := p.request()
	if err != nil {
		return failed(start, Local, err.Error())
	}
	if _, err := p.Write(request); err != nil {
		return broken(ctx, start, "send echo request", err)
	}
	var packet [1500]byte
	for {
		n, err := p.Read(packet[:])
		if err != nil {
			return broken(ctx, start, "echo request", err)
		}
		if p.isReply(packet[:n]) {
			return passed(start, fmt.Sprintf("reply in %s", time.Since(start).Round(time.Microsecond)))
		}
	}
}

// ping is one echo exchange.
type ping struct {
	*conn
	v6    bool
	ownID bool // a raw socket: the identifier is ours to choose and to check
	id    uint16
	seq   uint16
	// mark is the random start of the data.
	mark [pingMark]byte
}

// openPing returns a socket for one exchange with the target.
func openPing(ctx context.Context, to Target) (*ping, error) {
	p := &ping{v6: to.Addr.Addr().Is6()}
	proto := unix.IPPROTO_ICMP
	if p.v6 {
		proto = unix.IPPROTO_ICMPV6
	}
	c, err := open(ctx, to, unix.SOCK_DGRAM, proto)
	if errors.Is(err, os.ErrPermission) {
		p.ownID = true
		if c, err = open(ctx, to, unix.SOCK_RAW, proto); errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("needs CAP_NET_RAW or a group in net.ipv4.ping_group_range: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	p.conn = c
	if p.ownID {
		p.filter()
	}
	return p, nil
}

// filter lets only echo replies through to a raw socket, which otherwise gets a
// copy of every ICMP packet of its address. It is an economy only: isReply checks.
func (p *ping) filter() {
	p.conn.raw.Control(func(fd uintptr) {
		if p.v6 {
			var block unix.ICMPv6Filter // a set bit blocks its type
			for i := range block.Data {
				block.Data[i] = ^uint32(0)
			}
			reply := uint(ipv6.ICMPTypeEchoReply)
			block.Data[reply/32] &^= 1 << (reply % 32)
			unix.SetsockoptICMPv6Filter(int(fd), unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &block)
			return
		}
		const icmpFilter = 1 // linux/icmp.h
		unix.SetsockoptInt(int(fd), unix.SOL_RAW, icmpFilter, int(^uint32(1<<uint(ipv4.ICMPTypeEchoReply))))
	})
}

// drain throws away what a raw socket got before it was connected: replies to
// everybody else's pings, of which there may be so many that there is no room
// left for ours.
func (p *ping) drain() {
	p.conn.raw.Control(func(fd uintptr) {
		var packet [1]byte // what does not fit is cut off
		for {
			if _, _, err := unix.Recvfrom(int(fd), packet[:], unix.MSG_DONTWAIT); err != nil {
				return
			}
		}
	})
}

// request returns the echo request. A ping socket's identifier is set by the
// kernel, and so is the checksum of ICMPv6.
func (p *ping) request() ([]byte, error) {
	var random [4]byte
	rand.Read(random[:])
	rand.Read(p.mark[:])
	p.id, p.seq = binary.BigEndian.Uint16(random[:]), binary.BigEndian.Uint16(random[2:])
	data := make([]byte, pingPayload)
	copy(data, p.mark[:])
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(p.id), Seq: int(p.seq), Data: data}}
	if p.v6 {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	return m.Marshal(nil)
}

// isReply says whether packet answers our request: the type, the identifier
// where it is ours, the sequence number and the data must fit.
func (p *ping) isReply(packet []byte) bool {
	proto, want := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	switch {
	case p.v6:
		proto, want = 58, ipv6.ICMPTypeEchoReply
	case p.ownID: // a raw IPv4 socket hands out the IP header as well
		if len(packet) < ipv4.HeaderLen {
			return false
		}
		size := int(packet[0]&0xf) * 4
		if size < ipv4.HeaderLen || len(packet) < size {
			return false
		}
		packet = packet[size:]
	}
	m, err := icmp.ParseMessage(proto, packet)
	if err != nil || m.Type != want || m.Code != 0 {
		return false
	}
	echo, ok := m.Body.(*icmp.Echo)
	return ok && echo.Seq == int(p.seq) && (!p.ownID || echo.ID == int(p.id)) &&
		len(echo.Data) == pingPayload && bytes.HasPrefix(echo.Data, p.mark[:])
}
