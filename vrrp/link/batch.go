package link

import (
	"net/netip"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"director/internal/rawconn"
	"director/vrrp"
)

// receiveBatch is the memory that one recvmmsg call fills.
type receiveBatch struct {
	messages []ipv4.Message
	headers  []mmsghdr // over the same memory
	names    []unix.RawSockaddrInet6
	vectors  []unix.Iovec
}

const (
	// batchSize is how many packets one system call reads at most.
	batchSize = 64
	// maxPacket is the longest packet that is read whole. A VRRP packet with 255
	// IPv6 addresses and authentication data stays below 4200 bytes, one with IPv4
	// addresses and IP options below 1200.
	maxPacket = 4608
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

func newReceiveBatch() receiveBatch {
	b := receiveBatch{
		messages: make([]ipv4.Message, batchSize),
		headers:  make([]mmsghdr, batchSize),
		names:    make([]unix.RawSockaddrInet6, batchSize),
		vectors:  make([]unix.Iovec, batchSize),
	}
	packets := make([]byte, batchSize*maxPacket)
	control := make([]byte, batchSize*controlSpace)
	for i := range b.messages {
		packet := packets[i*maxPacket : (i+1)*maxPacket : (i+1)*maxPacket]
		b.messages[i].Buffers = [][]byte{packet}
		b.messages[i].OOB = control[i*controlSpace : (i+1)*controlSpace : (i+1)*controlSpace]
		b.vectors[i].Base = &packet[0]
		b.vectors[i].SetLen(maxPacket)
		h := &b.headers[i].header
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Control = &b.messages[i].OOB[0]
	}
	return b
}

// receiver reads the packets of a raw socket into a batch.
type receiver struct {
	family vrrp.Family
	fd     int
	conn   *ipv4.PacketConn // IPv4: read without source addresses, as the packet has its own
}

func newReceiver(fd int, family vrrp.Family) receiver {
	r := receiver{family: family, fd: fd}
	if family == vrrp.IPv4 {
		r.conn = ipv4.NewPacketConn(rawconn.Headers{IP: rawconn.NewIP(fd)})
	}
	return r
}

// read fills the batch with what has arrived and returns how many packets that
// is; with none the error is EAGAIN. Over IPv6 the source comes beside the
// packet, and x/net would allocate an address for each; so the call is our own.
func (r receiver) read(b *receiveBatch) (int, error) {
	if r.family == vrrp.IPv4 {
		return r.conn.ReadBatch(b.messages, unix.MSG_DONTWAIT)
	}
	for i := range b.headers {
		h := &b.headers[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSpace)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&b.headers[0])),
		uintptr(len(b.headers)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	for i := range int(n) {
		b.messages[i].N = int(b.headers[i].length)
		b.messages[i].NN = int(b.headers[i].header.Controllen)
	}
	return int(n), nil
}

// packet returns the i-th packet that was read, and what the kernel says beside
// it. It says false for one that is not as the kernel should deliver it.
func (r receiver) packet(b *receiveBatch, i int) (Datagram, control, bool) {
	m := &b.messages[i]
	c := parseControl(m.OOB[:m.NN])
	if r.family == vrrp.IPv4 {
		d, ok := parseIPv4(m.Buffers[0][:m.N])
		return d, c, ok
	}
	if !c.dst.IsValid() || b.names[i].Family != unix.AF_INET6 {
		return Datagram{}, c, false
	}
	return Datagram{
		Src: netip.AddrFrom16(b.names[i].Addr), Dst: c.dst, TTL: c.hops,
		Payload: m.Buffers[0][:m.N:m.N], Protocol: vrrp.ProtocolNumber,
	}, c, true
}
