package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a socket with the deadline and the cancellation of a context.
//
// The sockets are made here rather than by package net because a probe needs
// options before it connects, and because net's dialer costs more processor time
// than the probe itself.
type conn struct {
	*os.File
	raw  syscall.RawConn
	stop func() bool // ends the watch over the context
}

// open returns an unconnected socket of the target's family that obeys ctx.
func open(ctx context.Context, to Target, kind, proto int) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := socket(&to, kind, proto)
	if err != nil {
		return nil, err
	}
	return newConn(ctx, fd)
}

// newConn makes a conn of a socket, which is closed when that fails.
func newConn(ctx context.Context, fd int) (*conn, error) {
	c := &conn{File: os.NewFile(uintptr(fd), "probe")}
	var err error
	if c.raw, err = c.SyscallConn(); err != nil {
		c.File.Close()
		return nil, err
	}
	// The end of the context, be it its deadline or its caller, ends what the
	// socket is waiting for.
	c.stop = context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

// socket returns an unconnected socket as the target wants it.
func socket(to *Target, kind, proto int) (int, error) {
	family := unix.AF_INET
	if to.Addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if to.Device != "" {
		err := os.NewSyscallError("bind to interface", unix.BindToDevice(fd, to.Device))
		if errors.Is(err, unix.ENODEV) {
			// As a kernel error: the address cannot be reached from here.
			err = fmt.Errorf("interface %q: %w", to.Device, unix.ENETUNREACH)
		}
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	if err := to.options(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if kind != unix.SOCK_STREAM {
		// Without it the kernel tells such a socket only of the ICMP errors that it takes
		// for final. A router that knows no way to the server is not among them.
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
		if family == unix.AF_INET6 {
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		}
	}
	return fd, nil
}

// options sets what the target wants of a socket beside the interface.
func (to *Target) options(fd int) error {
	if to.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(to.Mark)); err != nil {
			return os.NewSyscallError("set mark", err)
		}
	}
	if !to.Source.IsValid() {
		return nil
	}
	if to.Source.Is4() != to.Addr.Addr().Is4() {
		return localError("bind address " + to.Source.String() + " is of another IP version than the server")
	}
	from, err := sockaddr(netip.AddrPortFrom(to.Source, 0))
	if err == nil {
		// The port is chosen at the connection, when the kernel knows both ends: else
		// all probes would share the ports of one address.
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		err = os.NewSyscallError("bind to "+to.Source.String(), unix.Bind(fd, from))
	}
	return err
}

// localError is why this machine cannot ask.
type localError string

func (e localError) Error() string { return string(e) }

// fromNetwork is the meaning of an error that came from the network after the
// system call. A packet filter that says with ICMPv6 that it prohibits the packet
// (RFC 4443 section 3.1) makes EACCES, which is also the kernel's word for what we may
// not do; the same in ICMP makes EHOSTUNREACH.
func fromNetwork(err error) error {
	if errors.Is(err, unix.EACCES) {
		return unix.EHOSTUNREACH
	}
	return err
}

// Read reads what has come, or the ICMP error that has.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.File.Read(b)
	return n, fromNetwork(err)
}

// Close closes the socket. A connection that both sides have not ended is
// closed in the background by the kernel; see abort.
func (c *conn) Close() error {
	c.stop()
	return c.File.Close()
}

// abort makes the following Close send a reset and forget the connection at
// once. Close never waits: a linger time of zero is the only one used.
func (c *conn) abort() {
	c.raw.Control(func(fd uintptr) { forget(int(fd)) })
}

// connect connects the socket and waits until that is decided.
func (c *conn) connect(addr netip.AddrPort) error {
	to, err := sockaddr(addr)
	if err != nil {
		return err
	}
	var result error
	waited := false
	err = c.raw.Write(func(fd uintptr) bool {
		// Asking again is how to learn the outcome: EALREADY while undecided,
		// EISCONN when connected, else the error.
		result = unix.Connect(int(fd), to)
		switch result {
		case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
			waited = true
			return false
		case unix.EISCONN:
			result = nil
		default:
			if waited {
				result = fromNetwork(result)
			}
		}
		return true
	})
	if err == nil {
		err = result
	}
	return os.NewSyscallError("connect", err)
}

// connectTCP returns a connection to the target.
func connectTCP(ctx context.Context, to Target) (*conn, error) {
	c, err := open(ctx, to, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	if err != nil {
		return nil, err
	}
	c.raw.Control(func(fd uintptr) { holdBack(int(fd)) })
	if to.ConnectTimeout > 0 {
		c.limit(ctx, time.Now().Add(to.ConnectTimeout))
	}
	if err := c.connect(to.Addr); err != nil {
		c.abort()
		c.Close()
		return nil, err
	}
	if to.ConnectTimeout > 0 {
		c.limit(ctx, time.Time{})
	}
	return c, nil
}

// holdBack keeps the acknowledgement that ends the handshake: with a request it
// travels in the same packet, and where the probe ends there it is never sent, so
// that the server's program does not even see the connection.
func holdBack(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0) }

// forget makes closing a socket send a reset and forget the connection at once.
func forget(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// limit sets a deadline before that of the context, or takes it back; the end of
// the context is not undone.
func (c *conn) limit(ctx context.Context, at time.Time) {
	c.SetDeadline(at)
	if ctx.Err() != nil {
		c.SetDeadline(time.Unix(1, 0))
	}
}

// sockaddr turns addr into what the system calls want.
func sockaddr(addr netip.AddrPort) (unix.Sockaddr, error) {
	ip := addr.Addr()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}, nil
	}
	to := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			to.ZoneId = uint32(n)
			return to, nil
		}
		link, err := net.InterfaceByName(zone)
		if err != nil {
			// As a kernel error: the address cannot be reached from here.
			return nil, fmt.Errorf("interface %q of %s: %w", zone, ip, unix.ENETUNREACH)
		}
		to.ZoneId = uint32(link.Index)
	}
	return to, nil
}
