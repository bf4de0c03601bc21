package kernel

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"director/ipvs"
)

const (
	// replyTimeout is how long the kernel may take to answer one send. It
	// answers within the system call, so that only a broken kernel is ever late.
	replyTimeout = 5 * time.Second

	// batchSize is how many messages are sent at once. Measured: beyond 200 the
	// gain is small, and the answers to 200 failures fit in any receive buffer.
	batchSize = 200

	// receiveBuffer holds the largest datagram of a dump, 32 KB on Linux.
	receiveBuffer = 64 << 10

	// socketBuffer is what is asked for as the socket's own receive buffer.
	socketBuffer = 2 << 20
)

// errUnknownOutcome is the cause given for an operation that was sent and whose
// answer did not arrive: it may have been done.
var errUnknownOutcome = errors.New("no answer from the kernel, the outcome is unknown")

// conn is one generic netlink socket that speaks to IPVS. It has one owner:
// its methods must not run at the same time.
type conn struct {
	file   *os.File
	raw    syscall.RawConn
	family uint16 // the kernel's number for IPVS
	seq    uint32 // of the newest message
	out    []byte
	in     []byte
	stale  bool // answers of an exchange that failed may still arrive
	closed bool

	timeout time.Duration
}

// dial opens a socket in the calling thread's network namespace.
func dial(family uint16) (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	// Both are improvements that the protocol works without: errors without the
	// request's copy, and room for more of them.
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
	}
	file := os.NewFile(uintptr(fd), "netlink")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &conn{file: file, raw: raw, family: family, in: make([]byte, receiveBuffer), timeout: replyTimeout}, nil
}

func (c *conn) close() error {
	c.closed = true
	return c.file.Close()
}

// batch does operations in order and sets errs[i] to what came of ops[i].
// Each send carries up to batchSize messages and asks for an acknowledgement of
// the last only: the kernel answers a message that failed in any case, and it
// does them in order.
func (c *conn) batch(ops []ipvs.Op, errs []error) {
	for len(ops) > 0 {
		n := min(len(ops), batchSize)
		if err := c.batchOnce(ops[:n], errs[:n]); err != nil {
			// Nothing more is sent to a kernel that does not answer.
			for i := n; i < len(ops); i++ {
				errs[i] = fmt.Errorf("not sent: %w", err)
			}
			return
		}
		ops, errs = ops[n:], errs[n:]
	}
}

func (c *conn) batchOnce(ops []ipvs.Op, errs []error) error {
	first := c.seq + 1
	c.out = c.out[:0]
	for i, op := range ops {
		flags := uint16(unix.NLM_F_REQUEST)
		if i == len(ops)-1 {
			flags |= unix.NLM_F_ACK
		}
		c.seq++
		if op.Kind.OnDest() {
			c.out = appendDestOp(c.out, c.family, flags, c.seq, op)
		} else {
			c.out = appendServiceOp(c.out, c.family, flags, c.seq, op)
		}
	}
	err := c.exchange(first, uint32(len(ops)), func(i uint32, m message) error {
		if m.typ != unix.NLMSG_ERROR {
			return nil
		}
		errno, err := m.errno()
		if err != nil {
			return err
		}
		if errno != 0 {
			errs[i] = errno
		}
		return nil
	})
	if err == nil {
		return nil
	}
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
	}
	if errors.Is(err, unix.ENOBUFS) {
		return nil // the kernel is well, only some answers were lost
	}
	return err
}

// call sends one request and gives each message of its answer to on. A dump
// is a call with NLM_F_DUMP in flags. An error from on ends the call, after the
// rest of the answer was read.
func (c *conn) call(cmd uint8, flags uint16, attrs func([]byte) []byte, on func(message) error) error {
	c.seq++
	c.out = appendMessage(c.out[:0], c.family, unix.NLM_F_REQUEST|flags, c.seq, cmd)
	if attrs != nil {
		c.out = attrs(c.out)
	}
	endMessage(c.out, 0)

	var bad error
	interrupted := false
	err := c.exchange(c.seq, 1, func(_ uint32, m message) error {
		if m.flags&unix.NLM_F_DUMP_INTR != 0 {
			interrupted = true
		}
		switch m.typ {
		case unix.NLMSG_ERROR, unix.NLMSG_DONE:
			errno, err := m.errno()
			if err == nil && errno != 0 {
				err = errno
			}
			if bad == nil {
				bad = err
			}
		case c.family:
			if bad == nil {
				bad = on(m)
			}
		}
		return nil
	})
	if err == nil {
		err = bad
	}
	if err == nil && interrupted {
		err = fmt.Errorf("dump interrupted: %w", unix.EINTR)
	}
	return err
}

// exchange sends c.out, which holds n messages numbered from first on, and
// gives every answer to on, with its message's index, until the last message
// is answered by an error, an acknowledgement or the end of a dump.
//
// When answers were lost it returns an error that wraps ENOBUFS, when none came in
// time one that wraps os.ErrDeadlineExceeded; both wrap errUnknownOutcome.
func (c *conn) exchange(first, n uint32, on func(i uint32, m message) error) error {
	if c.closed {
		return os.ErrClosed
	}
	if c.stale {
		c.drain()
	}
	if err := c.wait(); err != nil {
		return err
	}
	if err := c.send(); err != nil {
		return err
	}
	c.stale = true
	lost := false
	for {
		b, err := c.receive(0)
		if err == nil {
			err = c.wait()
		}
		switch {
		case errors.Is(err, unix.ENOBUFS):
			lost = true
			continue
		case errors.Is(err, os.ErrDeadlineExceeded) && lost:
			return fmt.Errorf("%w: %w", errUnknownOutcome, unix.ENOBUFS)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("%w: %w", errUnknownOutcome, err)
		case err != nil:
			return err
		}
		for len(b) > 0 {
			var m message
			if m, b, err = cutMessage(b); err != nil {
				return err
			}
			i := m.seq - first
			if i >= n {
				continue // left over from an exchange that failed
			}
			if err := on(i, m); err != nil {
				return err
			}
			if i != n-1 || m.typ != unix.NLMSG_ERROR && m.typ != unix.NLMSG_DONE {
				continue
			}
			if lost {
				return fmt.Errorf("%w: %w", errUnknownOutcome, unix.ENOBUFS)
			}
			c.stale = false
			return nil
		}
	}
}

// wait begins the time within which the socket must have something to give.
func (c *conn) wait() error { return c.file.SetDeadline(time.Now().Add(c.timeout)) }

func (c *conn) send() error {
	var err error
	werr := c.raw.Write(func(fd uintptr) bool {
		for {
			err = unix.Sendto(int(fd), c.out, unix.MSG_DONTWAIT, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if werr != nil {
		err = werr
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receive returns the next datagram that the kernel itself sent. The slice is
// valid until the next call.
func (c *conn) receive(flags int) ([]byte, error) {
	for {
		var n, got int
		var from unix.Sockaddr
		var err error
		rerr := c.raw.Read(func(fd uintptr) bool {
			for {
				n, _, got, from, err = unix.Recvmsg(int(fd), c.in, nil, unix.MSG_DONTWAIT)
				if err != unix.EINTR {
					return err != unix.EAGAIN || flags&unix.MSG_DONTWAIT != 0
				}
			}
		})
		if rerr != nil {
			err = rerr
		}
		if err != nil {
			return nil, fmt.Errorf("receive: %w", err)
		}
		if from, ok := from.(*unix.SockaddrNetlink); !ok || from.Pid != 0 {
			continue // from another process
		}
		if got&unix.MSG_TRUNC != 0 {
			return nil, fmt.Errorf("%w: longer than %d bytes", errMalformed, len(c.in))
		}
		return c.in[:n], nil
	}
}

// drain throws away what is left of an exchange that failed. Reading also ends
// a dump that is under way, which would make the next one fail with EBUSY.
func (c *conn) drain() {
	if c.wait() != nil {
		return
	}
	for {
		_, err := c.receive(unix.MSG_DONTWAIT)
		if err == nil || errors.Is(err, unix.ENOBUFS) || errors.Is(err, errMalformed) {
			continue
		}
		break
	}
	c.stale = false
}
