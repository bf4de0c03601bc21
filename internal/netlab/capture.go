package netlab

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Filter chooses what a capture takes; values can be joined with |.
type Filter int

// The filters.
const (
	FilterVRRP Filter = 1 << iota // IPv4 and IPv6 packets of protocol 112
	FilterARP                     // ARP
	FilterNDP                     // ICMPv6 of the types 133 to 137: neighbour discovery
	FilterAll                     // every frame
)

// A Frame is one captured Ethernet frame.
type Frame struct {
	Time     time.Time // when the kernel took it, in the real-time clock
	Data     []byte    // from the destination MAC address on
	Outgoing bool      // sent by the interface, not received
}

// A Capture takes frames from an interface until it is closed.
type Capture struct {
	file *os.File
	done chan struct{} // closed when the reader has ended

	mu     sync.Mutex
	frames []Frame
	from   time.Time         // frames that passed before are forgotten
	sink   func(Frame) error // where frames go besides, or nil
	err    error
}

// Capture starts capturing on an interface of the host, sent and received frames alike. What passes after it has returned is
// certain to be taken; it is there to be read a moment later, and at the latest when Close returns.
func (h *Host) Capture(ifname string, filter Filter) (*Capture, error) {
	return h.capture(ifname, filter, false, nil)
}

func (h *Host) capture(ifname string, filter Filter, promiscuous bool, sink func(Frame) error) (*Capture, error) {
	c := &Capture{done: make(chan struct{}), sink: sink}
	link, err := h.nl.LinkByName(ifname)
	if err == nil {
		index := link.Attrs().Index
		err = h.Do(func() (err error) {
			c.file, err = openCapture(index, filter, promiscuous)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("capture on %s %s: %w", h.name, ifname, err)
	}
	go c.read()
	return c, nil
}

// openCapture opens the packet socket. It is bound only when its filter is in place, so that nothing unwanted is queued.
func openCapture(index int, filter Filter, promiscuous bool) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	fail := func(what string, err error) (*os.File, error) {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fail("time stamps", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	if filter&FilterAll == 0 {
		raw, err := bpf.Assemble(captureProgram(filter))
		if err != nil {
			return fail("filter", err)
		}
		prog := make([]unix.SockFilter, len(raw))
		for i, r := range raw {
			prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
		}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}); err != nil {
			return fail("filter", err)
		}
	}
	if promiscuous {
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}); err != nil {
			return fail("promiscuous mode", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return fail("bind", err)
	}
	return os.NewFile(uintptr(fd), "capture"), nil
}

// htons brings a 16-bit number into network byte order.
func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }

// captureProgram accepts what the filter names.
func captureProgram(filter Filter) []bpf.Instruction {
	var (
		accept = bpf.RetConstant{Val: 1 << 18}
		reject = bpf.RetConstant{Val: 0}
		prog   = []bpf.Instruction{bpf.LoadAbsolute{Off: 12, Size: 2}}
	)
	if filter&FilterARP != 0 {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_ARP, SkipTrue: 1}, accept)
	}
	if filter&FilterVRRP != 0 {
		prog = append(prog,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 4},
			bpf.LoadAbsolute{Off: 14 + 9, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoVRRP, SkipTrue: 1}, accept, reject,
		)
	}
	if filter&(FilterVRRP|FilterNDP) != 0 {
		prog = append(prog,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 1}, reject,
			bpf.LoadAbsolute{Off: 14 + 6, Size: 1})
	}
	if filter&FilterVRRP != 0 {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoVRRP, SkipTrue: 1}, accept)
	}
	if filter&FilterNDP != 0 {
		prog = append(prog,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 1}, reject,
			bpf.LoadAbsolute{Off: 14 + 40, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: 133, SkipTrue: 1}, reject,
			bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: 137, SkipFalse: 1}, accept,
		)
	}
	return append(prog, reject)
}

// read takes frames until Close, which sets a deadline in the past, and then those that the kernel has queued.
func (c *Capture) read() {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	if err != nil {
		c.end(err)
		return
	}
	buf, oob := make([]byte, 1<<16), make([]byte, 256)
	for wait := true; ; {
		var n, oobn int
		var from unix.Sockaddr
		var rerr error
		take := func(fd uintptr) {
			n, oobn, _, from, rerr = unix.Recvmsg(int(fd), buf, oob, 0)
		}
		if wait {
			wait = raw.Read(func(fd uintptr) bool { take(fd); return rerr != unix.EAGAIN }) == nil
			if !wait {
				continue
			}
		} else if raw.Control(take) != nil || rerr == unix.EAGAIN {
			return
		}
		switch rerr {
		case nil:
		case unix.EINTR, unix.ENETDOWN: // the latter is told once when the interface goes down; the socket goes on
			continue
		default:
			c.end(rerr)
			return
		}
		f := Frame{Time: stamp(oob[:oobn]), Data: slices.Clone(buf[:n])}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok {
			f.Outgoing = ll.Pkttype == unix.PACKET_OUTGOING
		}
		if err := c.keep(f); err != nil {
			c.end(err)
			return
		}
	}
}

func (c *Capture) keep(f Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sink != nil {
		return c.sink(f)
	}
	if !f.Time.Before(c.from) {
		c.frames = append(c.frames, f)
	}
	return nil
}

// stamp reads the kernel's time stamp from a message's ancillary data.
func stamp(oob []byte) time.Time {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err == nil {
		for _, m := range msgs {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
				return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
			}
		}
	}
	return time.Now()
}

func (c *Capture) end(err error) {
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
}

// Frames returns the frames so far.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames)
}

// Adverts returns the VRRP adverts among the frames so far.
func (c *Capture) Adverts() []Advert {
	var out []Advert
	for _, f := range c.Frames() {
		if a, ok := f.Advert(); ok {
			out = append(out, a)
		}
	}
	return out
}

// ARPs returns the ARP packets among the frames so far.
func (c *Capture) ARPs() []ARP {
	var out []ARP
	for _, f := range c.Frames() {
		if a, ok := f.ARP(); ok {
			out = append(out, a)
		}
	}
	return out
}

// Reset forgets the frames that have passed so far, also those that have not been read yet.
func (c *Capture) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames, c.from = nil, time.Now()
}

// WaitAdvert waits until the capture holds an advert for which match is true and returns the first such.
func (c *Capture) WaitAdvert(limit time.Duration, match func(Advert) bool) (Advert, error) {
	var found Advert
	err := EventuallyWithin(limit, func() error {
		all := c.Adverts()
		i := slices.IndexFunc(all, match)
		if i < 0 {
			return fmt.Errorf("none of %d adverts is the expected one", len(all))
		}
		found = all[i]
		return nil
	})
	return found, err
}

// Close ends the capture. What had passed before is in it, and its frames stay readable. The error is what ended the capture
// early, if anything did.
func (c *Capture) Close() error {
	_ = c.file.SetReadDeadline(time.Unix(1, 0)) // fails only after a first Close
	<-c.done
	c.file.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Pcap captures all that passes an interface into a file that tcpdump, tshark and Wireshark read, until the capture is closed.
func (h *Host) Pcap(ifname, path string) (*Capture, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	// Nanosecond format, snapshot length 256 KiB, Ethernet.
	if _, err := f.Write(appendLE32(nil, 0xa1b23c4d, 2|4<<16, 0, 0, 1<<18, 1)); err != nil {
		f.Close()
		return nil, err
	}
	c, err := h.capture(ifname, FilterAll, false, func(fr Frame) error {
		n := uint32(len(fr.Data))
		rec := appendLE32(nil, uint32(fr.Time.Unix()), uint32(fr.Time.Nanosecond()), n, n)
		_, err := f.Write(append(rec, fr.Data...))
		return err
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	go func() {
		<-c.done
		f.Close()
	}()
	return c, nil
}

func appendLE32(b []byte, vs ...uint32) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// macString is a MAC address as it is usually written.
func macString(b []byte) string { return net.HardwareAddr(b).String() }
