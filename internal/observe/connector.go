package observe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Of linux/connector.h and linux/cn_proc.h.
const (
	cnIdxProc   = 1
	cnValProc   = 1
	mcastListen = 1

	eventNone = 0x00000000
	eventFork = 0x00000001
	eventExec = 0x00000002
	eventComm = 0x00000200
	eventExit = 0x80000000

	cnMsgLen   = 20                     // idx, val, seq, ack, len, flags
	eventHead  = 16                     // what, cpu, timestamp
	answerTime = 200 * time.Millisecond // it comes with the request
)

// connector is the kernel's stream of processes that begin and end.
type connector struct {
	*os.File
	stop func() bool
}

func (c *connector) close() {
	c.stop()
	c.File.Close()
}

var errSilent = errors.New("the kernel does not tell of processes here")

// connect subscribes. The kernel accepts a subscription from another namespace
// than the host's first in silence and never sends anything: only its answer
// says that it works.
func connect(ctx context.Context) (*connector, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &connector{File: os.NewFile(uintptr(fd), "connector")}
	c.stop = context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	if err := c.subscribe(fd); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *connector) subscribe(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: cnIdxProc}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	// Room for a burst; without the right to it, the usual room has to do.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	m := make([]byte, unix.SizeofNlMsghdr+cnMsgLen+4)
	ne := binary.NativeEndian
	ne.PutUint32(m[0:], uint32(len(m)))
	ne.PutUint16(m[4:], unix.NLMSG_DONE)
	body := m[unix.SizeofNlMsghdr:]
	ne.PutUint32(body[0:], cnIdxProc)
	ne.PutUint32(body[4:], cnValProc)
	ne.PutUint16(body[16:], 4)
	ne.PutUint32(body[cnMsgLen:], mcastListen)
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	if err := c.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	buffer := make([]byte, 8<<10)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return fmt.Errorf("%w: %w", errSilent, err)
		}
		answered := false
		events(buffer[:n], func(what uint32, data []byte) {
			answered = answered || what == eventNone && len(data) >= 4 && ne.Uint32(data) == 0
		})
		if answered {
			return nil
		}
	}
}

// events goes through the events of a datagram. data is what follows the head.
func events(datagram []byte, each func(what uint32, data []byte)) {
	ne := binary.NativeEndian
	for len(datagram) >= unix.SizeofNlMsghdr {
		size := int(ne.Uint32(datagram))
		if size < unix.SizeofNlMsghdr || size > len(datagram) {
			return
		}
		body := datagram[unix.SizeofNlMsghdr:size]
		if len(body) >= cnMsgLen+eventHead && ne.Uint32(body) == cnIdxProc && ne.Uint32(body[4:]) == cnValProc {
			each(ne.Uint32(body[cnMsgLen:]), body[cnMsgLen+eventHead:])
		}
		datagram = datagram[min((size+3)&^3, len(datagram)):]
	}
}

// follow counts by what the kernel tells, until the stream breaks.
func (w *processWatch) follow(ctx context.Context, c *connector) {
	defer c.close()
	w.scan() // after the subscription: nothing falls between
	next := time.Now().Add(processCheck)
	buffer := make([]byte, 64<<10)
	for ctx.Err() == nil {
		limit := next
		if len(w.young) > 0 && w.young[0].at.Before(limit) {
			limit = w.young[0].at
		}
		if err := c.SetReadDeadline(limit); err != nil || ctx.Err() != nil {
			return
		}
		n, err := c.Read(buffer)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, unix.ENOBUFS) || !now.Before(next):
			w.scan() // events were lost, or it is time
			next = now.Add(processCheck)
			continue
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return
		}
		if err == nil {
			events(buffer[:n], func(what uint32, data []byte) { w.event(now, what, data) })
		}
		w.grownUp(now)
		w.tell()
	}
}

// titleTime is how long after its start a process has written its own title
// into its command line, as nginx and others do; the kernel does not tell of it.
const titleTime = time.Second

// young is a process whose command line may yet change.
type young struct {
	pid int
	at  time.Time // when it is to be looked at again
}

// begun looks at a process that has begun or changed, and notes to look again.
func (w *processWatch) begun(now time.Time, pid int) {
	w.look(pid)
	needed := slices.ContainsFunc(w.matches, func(m Match) bool { return m.Name == "" })
	if needed && len(w.young) < 10000 { // beyond that the slow look has to do
		w.young = append(w.young, young{pid, now.Add(titleTime)})
	}
}

// grownUp looks again at the processes whose time has come.
func (w *processWatch) grownUp(now time.Time) {
	for len(w.young) > 0 && !w.young[0].at.After(now) {
		w.look(w.young[0].pid)
		w.young = w.young[1:]
	}
}

// event takes one event. All of them begin with a thread and its process, but
// fork, which has the parent's first.
func (w *processWatch) event(now time.Time, what uint32, data []byte) {
	ne := binary.NativeEndian
	if what == eventFork && len(data) >= 16 {
		data = data[8:]
	}
	if len(data) < 8 {
		return
	}
	thread, process := int(ne.Uint32(data)), int(ne.Uint32(data[4:]))
	switch what {
	case eventFork, eventComm:
		if thread == process {
			w.begun(now, process)
		}
	case eventExec:
		w.begun(now, process)
	case eventExit:
		if thread == process {
			delete(w.pids, process)
		}
	}
}
