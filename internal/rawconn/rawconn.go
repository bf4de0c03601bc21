// Package rawconn lets golang.org/x/net make its system calls on a descriptor that
// is not a member of the runtime's epoll set.
//
// Descriptors made by package net are members of that set, edge triggered for reading
// and for writing: each packet received, and each packet sent once its buffer is free
// again, wakes a runtime thread that finds nothing to do.
package rawconn

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// Descriptor is a non-blocking socket. It implements syscall.RawConn, which is how
// x/net makes its system calls: each of them is made once, with MSG_DONTWAIT, and
// never waited for.
type Descriptor int

// Control calls f.
func (d Descriptor) Control(f func(fd uintptr)) error {
	f(uintptr(d))
	return nil
}

// Read calls f once, whatever it returns.
func (d Descriptor) Read(f func(fd uintptr) (done bool)) error {
	f(uintptr(d))
	return nil
}

// Write calls f once, whatever it returns.
func (d Descriptor) Write(f func(fd uintptr) (done bool)) error {
	f(uintptr(d))
	return nil
}

// Conn completes net.Conn and net.PacketConn for a type that embeds it and has what
// x/net calls: LocalAddr, and the method by which x/net tells IP from UDP.
type Conn struct{ Descriptor Descriptor }

// SyscallConn returns the descriptor; its error is nil.
func (c Conn) SyscallConn() (syscall.RawConn, error) { return c.Descriptor, nil }

// RemoteAddr is nil: there is none.
func (Conn) RemoteAddr() net.Addr { return nil }

// Read is not supported, as the methods below: nothing calls them.
func (Conn) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Write is not supported.
func (Conn) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// ReadFrom is not supported.
func (Conn) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, errors.ErrUnsupported }

// WriteTo is not supported.
func (Conn) WriteTo([]byte, net.Addr) (int, error) { return 0, errors.ErrUnsupported }

// SetDeadline is not supported.
func (Conn) SetDeadline(time.Time) error { return errors.ErrUnsupported }

// SetReadDeadline is not supported.
func (Conn) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

// SetWriteDeadline is not supported.
func (Conn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// Close is not supported: who made the descriptor closes it.
func (Conn) Close() error { return errors.ErrUnsupported }

// IP shows a descriptor to x/net as an IP connection.
type IP struct{ Conn }

// NewIP returns a connection on a raw socket.
func NewIP(fd int) IP { return IP{Conn{Descriptor(fd)}} }

// ReadMsgIP is what x/net takes IP connections for what they are by.
func (IP) ReadMsgIP(_, _ []byte) (n, oobn, flags int, addr *net.IPAddr, err error) {
	return 0, 0, 0, nil, errors.ErrUnsupported
}

// LocalAddr is an IP address without any.
func (IP) LocalAddr() net.Addr { return &net.IPAddr{} }

// Headers is an IP whose messages come without a source address: by SetLinger x/net
// takes it for a stream, and does not build a net.Addr for each packet. A raw IPv4
// packet has its source in its own header.
type Headers struct{ IP }

// SetLinger marks Headers; nothing calls it.
func (Headers) SetLinger(int) error { return errors.ErrUnsupported }

// UDP shows a descriptor to x/net as a UDP connection.
type UDP struct {
	Conn
	v6 bool
}

// NewUDP returns a connection on a UDP socket of a family.
func NewUDP(fd int, v6 bool) UDP { return UDP{Conn{Descriptor(fd)}, v6} }

// ReadMsgUDP is what x/net takes UDP connections for what they are by.
func (UDP) ReadMsgUDP(_, _ []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	return 0, 0, 0, nil, errors.ErrUnsupported
}

// LocalAddr tells x/net the family.
func (c UDP) LocalAddr() net.Addr {
	if c.v6 {
		return &net.UDPAddr{IP: net.IPv6unspecified}
	}
	return &net.UDPAddr{IP: net.IPv4zero}
}
