package probe

import (
	"container/heap"
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Exchange is one probe of a Poller. It belongs to the Poller until it has been
// answered, and may then be used again.
type Exchange struct {
	// To is what is asked, and Timeout how long the whole may take.
	To      Target
	Timeout time.Duration
	// HTTP is the request, of version 1 and without TLS; nil: the connection is all.
	HTTP *HTTPSettings
	// Owner is the caller's.
	Owner any

	phase    phase
	fd       int
	looks    int // that it has had while young
	start    time.Time
	deadline time.Time // of the whole
	due      time.Time // of what is awaited now
	index    int       // in the heap of deadlines, -1 outside
	request  []byte
	unsent   []byte // of the request
	reply    []byte
	result   Result             // while parting
	giveUp   context.CancelFunc // while away
}

// Answer is what became of an Exchange.
type Answer struct {
	Exchange *Exchange
	At       time.Time // when it was started
	Result   Result
}

// phase is how far an exchange has come.
type phase uint8

const (
	idle       phase = iota // it is the caller's
	connecting              // the outcome is not known
	asking                  // the request is on its way, the reply awaited
	parting                 // the result is there, and the server may end the connection
	away                    // a goroutine goes on with it
)

// shortReply is how much of a reply the Poller reads, in bytes. A longer one is left to
// a goroutine: reading and judging it would keep the Poller from the others.
const shortReply = 16 << 10

// begin opens the connection of an exchange.
func (p *Poller) begin(x *Exchange) {
	now := time.Now()
	x.start, x.deadline, x.fd, x.reply = now, now.Add(x.Timeout), -1, x.reply[:0]
	x.phase, x.due, x.index = connecting, x.deadline, -1
	if c := x.To.ConnectTimeout; c > 0 && c < x.Timeout {
		x.due = now.Add(c)
	}
	if x.HTTP != nil && x.request == nil {
		var err error
		if x.request, err = x.HTTP.request(x.To); err != nil {
			p.finish(x, failed(now, Local, err.Error()))
			return
		}
	}
	x.unsent = x.request
	to, err := sockaddr(x.To.Addr)
	if err == nil {
		x.fd, err = socket(&x.To, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	}
	if err == nil {
		holdBack(x.fd)
		if err = unix.Connect(x.fd, to); err == unix.EINPROGRESS || err == unix.EINTR {
			err = nil
		}
		err = os.NewSyscallError("connect", err)
	}
	if err != nil {
		p.fail(x, "connect", err)
		return
	}
	x.looks = 0
	p.young = append(p.young, x)
}

// ready goes on with an exchange whose socket has something to tell.
func (p *Poller) ready(x *Exchange, events uint32) {
	switch {
	case x.phase == connecting && events&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
		err := unix.ECONNRESET // unless the kernel knows better
		if code, e := unix.GetsockoptInt(x.fd, unix.SOL_SOCKET, unix.SO_ERROR); e == nil && code != 0 {
			err = unix.Errno(code)
		}
		p.fail(x, "connect", fromNetwork(os.NewSyscallError("connect", err)))
		return
	case x.phase == connecting && x.HTTP == nil:
		forget(x.fd)
		p.finish(x, passed(x.start, "connected"))
		return
	case x.phase == connecting:
		x.phase = asking
		p.await(x, x.deadline)
	}
	if len(x.unsent) > 0 {
		n, err := unix.Write(x.fd, x.unsent)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			p.fail(x, "send request", os.NewSyscallError("write", err))
			return
		}
		x.unsent = x.unsent[max(n, 0):]
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		p.read(x, events&unix.EPOLLRDHUP != 0)
	}
}

// read takes what has arrived of a reply; hungUp says that the server has sent all.
func (p *Poller) read(x *Exchange, hungUp bool) {
	for {
		if len(x.reply) == cap(x.reply) {
			x.reply = append(x.reply, make([]byte, max(1<<10, len(x.reply)))...)[:len(x.reply)]
		}
		room := x.reply[len(x.reply):cap(x.reply)]
		n, err := unix.Read(x.fd, room)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return
		case x.phase == parting && n <= 0:
			p.finish(x, x.result)
			return
		case err != nil:
			p.fail(x, "read reply", os.NewSyscallError("read", err))
			return
		}
		x.reply = x.reply[:len(x.reply)+n]
		switch over := n == 0 || hungUp && n < len(room); {
		case x.phase == parting:
			// More than the reply: it is not waited for.
			forget(x.fd)
			p.finish(x, x.result)
			return
		case len(x.reply) > shortReply:
			p.handOver(x)
			return
		case over || x.HTTP.complete(x.reply):
			p.text.Reset(x.reply)
			p.in.Reset(&p.text)
			x.result = x.HTTP.judgeReply(x.start, p.in)
			if over {
				p.finish(x, x.result)
				return
			}
			// The server ends the connection first, as it was asked to; see partWays.
			x.phase = parting
			p.await(x, time.Now().Add(goodbye))
		case n < len(room):
			return
		}
	}
}

// await sets until when an exchange waits.
func (p *Poller) await(x *Exchange, due time.Time) {
	x.due = due
	if x.index >= 0 {
		heap.Fix(&p.waiting, x.index)
	}
}

// expire ends an exchange whose time is over.
func (p *Poller) expire(x *Exchange) {
	if x.phase == parting {
		forget(x.fd)
		p.finish(x, x.result)
		return
	}
	what := "connect"
	if x.phase == asking {
		what = "read reply"
		if headEnd(x.reply) > 0 {
			what = fmt.Sprintf("read body of reply with status %d", statusOf(x.reply))
		}
	}
	p.fail(x, what, os.ErrDeadlineExceeded)
}

// fail ends an exchange with an error.
func (p *Poller) fail(x *Exchange, what string, err error) {
	if x.fd >= 0 {
		forget(x.fd)
	}
	p.finish(x, broken(context.Background(), x.start, what, plain(err)))
}

// finish ends an exchange.
func (p *Poller) finish(x *Exchange, r Result) {
	if x.phase != away && x.fd >= 0 {
		unix.Close(x.fd) // which takes it out of the epoll set
	}
	p.leave(x)
	x.phase, x.result = idle, Result{}
	p.answers = append(p.answers, Answer{x, x.start, r})
}

// leave ends the waiting for an exchange.
func (p *Poller) leave(x *Exchange) {
	if x.index >= 0 {
		heap.Remove(&p.waiting, x.index)
		delete(p.old, int32(x.fd))
	}
}

// handOver lets a goroutine go on with an exchange whose reply is not short.
func (p *Poller) handOver(x *Exchange) {
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, x.fd, nil) // a young one is not in it
	p.leave(x)
	x.phase = away
	ctx, cancel := context.WithDeadline(p.ctx, x.deadline)
	x.giveUp = cancel
	p.away.Go(func() {
		defer cancel()
		r := x.HTTP.resume(ctx, x.start, x.To, x.fd, x.reply)
		x.reply = nil
		p.mu.Lock()
		defer p.mu.Unlock()
		p.returned = append(p.returned, Answer{x, x.start, r})
		p.wake()
	})
}
