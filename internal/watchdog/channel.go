package watchdog

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"director/internal/control"
)

const (
	// childFD is the file descriptor at which a child finds its end of the channel.
	childFD = 3
	// maxQueuedEvents bounds what a child keeps for a parent that does not read.
	maxQueuedEvents = 10_000
	// maxPacked is how many events travel in one message: a farm that starts has one for
	// each server, and a message costs more than what it says. So many fit into a packet.
	maxPacked = 64
)

// Channel carries Messages between the parent and one child. It is safe for
// any number of senders and one receiver.
//
// A sender never waits: messages are queued, and one goroutine encodes and
// writes them in order. The reader is the caller's goroutine.
type Channel struct {
	conn io.ReadWriteCloser

	mu      sync.Mutex
	queue   []Message
	events  int           // queued events
	dropped uint64        // events dropped because the queue was full
	writing bool          // the writer holds a message that is not in queue
	final   bool          // an Ack that is Final was sent
	err     error         // why writing ended
	wake    chan struct{} // closed and replaced whenever queue, writing or err changed

	reading  sync.Mutex
	buf      []byte
	message  assembler
	unpacked []control.Event // received together and not handed out yet
	observe  func(Message)
}

// NewChannel returns a channel over f, one end of a SOCK_SEQPACKET socket
// pair. The channel owns f from then on.
func NewChannel(f *os.File) (*Channel, error) {
	fd := int(f.Fd())
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_SEQPACKET {
		return nil, fmt.Errorf("watchdog: %s is not one end of a sequenced packet socket pair", f.Name())
	}
	// f may be in blocking mode, in which Close would not wake a reader: a
	// duplicate in non-blocking mode is handed to the runtime's poller.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("watchdog: duplicate %s: %w", f.Name(), err)
	}
	name := f.Name()
	if err := f.Close(); err != nil {
		unix.Close(own)
		return nil, fmt.Errorf("watchdog: close %s: %w", name, err)
	}
	if err := unix.SetNonblock(own, true); err != nil {
		unix.Close(own)
		return nil, fmt.Errorf("watchdog: %s: %w", name, err)
	}
	return newChannel(seqpacket{os.NewFile(uintptr(own), name)}), nil
}

// ChildChannel returns the child's end of the channel, file descriptor 3. It
// fails in a process that the parent did not start.
func ChildChannel() (*Channel, error) {
	// Checked before an os.File is made of it: without a parent, the number may
	// belong to the runtime's poller, which must not be closed.
	if kind, err := unix.GetsockoptInt(childFD, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		return nil, errors.New("watchdog: no channel to a parent: this role is started by director itself")
	}
	return NewChannel(os.NewFile(childFD, "channel"))
}

// Pipe returns the two ends of a channel inside one process. It has no file
// descriptor, so that loops can be tested in a testing/synctest bubble.
func Pipe() (parent, child *Channel) {
	a, b := net.Pipe()
	return newChannel(a), newChannel(b)
}

// socketPair returns the parent's channel and the file that a child inherits.
func socketPair(role string) (*Channel, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("watchdog: socket pair for %s: %w", role, err)
	}
	theirs := os.NewFile(uintptr(fds[1]), role+" channel, child's end")
	ch, err := NewChannel(os.NewFile(uintptr(fds[0]), role+" channel"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ch, theirs, nil
}

func newChannel(conn io.ReadWriteCloser) *Channel {
	c := &Channel{conn: conn, wake: make(chan struct{})}
	go c.write()
	return c
}

// Send queues m and returns at once. What m points to must not be changed
// afterwards.
//
// A Snapshot that nobody asked for (Seq 0) replaces an older one that is still
// queued. When the other end does not read for so long that 10000 events are
// queued, the oldest of them is dropped and counted.
func (c *Channel) Send(m Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Snapshot != nil && m.Snapshot.Seq == 0 {
		c.queue = slices.DeleteFunc(c.queue, func(o Message) bool {
			return o.Snapshot != nil && o.Snapshot.Seq == 0
		})
	}
	if m.Ack != nil && m.Ack.Final {
		c.final = true
	}
	if m.Event != nil {
		if c.events >= maxQueuedEvents {
			// What is before the oldest event is little, what is behind it is not.
			i := slices.IndexFunc(c.queue, func(o Message) bool { return o.Event != nil })
			copy(c.queue[1:], c.queue[:i])
			c.queue = c.queue[1:]
			c.events--
			c.dropped++
		}
		c.events++
	}
	c.enqueue(m)
}

// enqueue adds m to the queue unless writing has ended. c.mu is held.
func (c *Channel) enqueue(m Message) {
	if c.err != nil {
		return
	}
	c.queue = append(c.queue, m)
	c.signal()
}

// signal wakes whoever waits for a change. c.mu is held.
func (c *Channel) signal() {
	close(c.wake)
	c.wake = make(chan struct{})
}

// Dropped returns how many events were dropped because the other end did not read.
func (c *Channel) Dropped() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// write is the writer goroutine. It ends when the channel is closed or the
// other end is gone.
func (c *Channel) write() {
	scratch := make([]byte, packetSize)
	for {
		m, ok := c.next()
		if !ok {
			return
		}
		text, err := encodeMessage(m)
		if err == nil {
			err = writeMessage(c.conn, text, scratch)
		}
		c.mu.Lock()
		c.writing = false
		if err != nil && c.err == nil {
			c.err = fmt.Errorf("watchdog: channel: %w", err)
		}
		if c.err != nil {
			c.queue = nil
		}
		c.signal()
		c.mu.Unlock()
	}
}

// next takes the oldest message from the queue; ok is false when writing has ended.
func (c *Channel) next() (m Message, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 || c.err != nil {
		if c.err != nil {
			return Message{}, false
		}
		wake := c.wake
		c.mu.Unlock()
		<-wake
		c.mu.Lock()
	}
	n := 0
	for n < min(len(c.queue), maxPacked) && c.queue[n].Event != nil {
		n++
	}
	c.events -= n
	m = c.queue[0]
	if n > 1 {
		pack := make(Events, n)
		for i := range pack {
			pack[i] = *c.queue[i].Event
		}
		m = Message{Events: &pack}
	}
	n = max(n, 1)
	clear(c.queue[:n])
	c.queue = c.queue[n:]
	c.writing = true
	return m, true
}

// Recv waits for the next message. It returns io.EOF when the other end is
// gone and everything it had sent was received, os.ErrClosed or io.ErrClosedPipe after Close,
// and a description of what is wrong when the other end sent nonsense; the
// channel is of no use after any error.
func (c *Channel) Recv() (Message, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if len(c.unpacked) > 0 {
		return c.unpack(), nil
	}
	if c.buf == nil {
		c.buf = make([]byte, packetSize+1) // one more than is ever sent, to notice a longer packet
	}
	for {
		n, err := c.conn.Read(c.buf)
		if err != nil {
			if errors.Is(err, io.EOF) {
				if c.message.started() {
					return Message{}, fmt.Errorf("watchdog: channel: %w inside a message", io.ErrUnexpectedEOF)
				}
				return Message{}, io.EOF
			}
			return Message{}, fmt.Errorf("watchdog: channel: %w", err)
		}
		text, err := c.message.add(c.buf[:n])
		if err != nil {
			return Message{}, fmt.Errorf("watchdog: channel: %w", err)
		}
		if text != nil {
			m, err := decodeMessage(text)
			if err != nil {
				return Message{}, fmt.Errorf("watchdog: channel: %w", err)
			}
			if c.observe != nil {
				c.observe(m)
			}
			if m.Events == nil {
				return m, nil
			}
			if c.unpacked = *m.Events; len(c.unpacked) > 0 {
				return c.unpack(), nil
			}
		}
	}
}

// unpack returns the next of several events that were received together.
func (c *Channel) unpack() Message {
	e := &c.unpacked[0]
	c.unpacked = c.unpacked[1:]
	return Message{Event: e}
}

// Flush waits until everything queued was written. It returns an error when
// that takes longer than timeout or cannot happen any more.
func (c *Channel) Flush(timeout time.Duration) error {
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	for {
		c.mu.Lock()
		err, done, wake := c.err, len(c.queue) == 0 && !c.writing, c.wake
		c.mu.Unlock()
		if err != nil {
			return err
		}
		if done {
			return nil
		}
		select {
		case <-wake:
		case <-limit.C:
			return fmt.Errorf("watchdog: channel: not flushed after %v", timeout)
		}
	}
}

// Close ends the channel at once; queued messages are lost unless Flush was
// called before. The other end reads io.EOF.
func (c *Channel) Close() error {
	c.mu.Lock()
	if c.err == nil {
		c.err = fmt.Errorf("watchdog: channel: %w", os.ErrClosed)
	}
	c.queue = nil
	c.signal()
	c.mu.Unlock()
	return c.conn.Close()
}

// seqpacket is a sequenced packet socket as an io.ReadWriteCloser: each Write
// is one packet, each Read returns one.
type seqpacket struct{ *os.File }

// Read reads one packet. A peer that exits with unread packets makes the kernel
// report "connection reset" once, before the packets that the peer had sent:
// those are still to come, such as the reason why it exits.
func (s seqpacket) Read(b []byte) (int, error) {
	for {
		n, err := s.File.Read(b)
		if errors.Is(err, syscall.ECONNRESET) {
			continue
		}
		return n, err
	}
}
