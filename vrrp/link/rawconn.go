package link

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// descriptor is a non-blocking socket that is not a member of the runtime's
// epoll set. It implements syscall.RawConn, which is how x/net makes its system
// calls: each of them is made once, with MSG_DONTWAIT, and never waited for.
//
// Descriptors made by package net are members of that set, edge triggered for
// reading and for writing: each advert received, and each advert sent once its
// buffer is free again, wakes a runtime thread that finds nothing to do.
type descriptor int

func (d descriptor) Control(f func(fd uintptr)) error {
	f(uintptr(d))
	return nil
}

func (d descriptor) Read(f func(fd uintptr) (done bool)) error {
	f(uintptr(d))
	return nil
}

func (d descriptor) Write(f func(fd uintptr) (done bool)) error {
	f(uintptr(d))
	return nil
}

// ipConn shows a descriptor to x/net as an IP connection: by SyscallConn and
// ReadMsgIP it takes it for one. x/net calls nothing else of it but LocalAddr;
// the remaining methods complete net.Conn and net.PacketConn.
type ipConn struct {
	descriptor descriptor
}

func (c ipConn) SyscallConn() (syscall.RawConn, error) { return c.descriptor, nil }

func (c ipConn) ReadMsgIP(_, _ []byte) (n, oobn, flags int, addr *net.IPAddr, err error) {
	return 0, 0, 0, nil, errors.ErrUnsupported
}

func (c ipConn) LocalAddr() net.Addr                    { return &net.IPAddr{} }
func (c ipConn) RemoteAddr() net.Addr                   { return nil }
func (c ipConn) Read([]byte) (int, error)               { return 0, errors.ErrUnsupported }
func (c ipConn) Write([]byte) (int, error)              { return 0, errors.ErrUnsupported }
func (c ipConn) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, errors.ErrUnsupported }
func (c ipConn) WriteTo([]byte, net.Addr) (int, error)  { return 0, errors.ErrUnsupported }
func (c ipConn) SetDeadline(time.Time) error            { return errors.ErrUnsupported }
func (c ipConn) SetReadDeadline(time.Time) error        { return errors.ErrUnsupported }
func (c ipConn) SetWriteDeadline(time.Time) error       { return errors.ErrUnsupported }
func (c ipConn) Close() error                           { return errors.ErrUnsupported }

// headerConn is an ipConn whose messages come without a source address: by
// SetLinger x/net takes it for a stream, and does not build a net.Addr for each
// packet. A raw IPv4 packet has its source in its own header.
type headerConn struct {
	ipConn
}

// SetLinger marks headerConn; nothing calls it.
func (headerConn) SetLinger(int) error { return errors.ErrUnsupported }
