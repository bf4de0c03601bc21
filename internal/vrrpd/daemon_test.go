package vrrpd

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/config"
	"director/internal/watchdog"
	"director/vrrp/link"
)

// child is a Daemon around a world, whose loop the test plays, and the parent's
// end of its channel.
type child struct {
	*world
	d      *Daemon
	ch     *watchdog.Channel
	parent *watchdog.Channel
}

func newChild(t *testing.T) *child {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*watchdog.Channel
	for i, fd := range fds {
		if ends[i], err = watchdog.NewChannel(os.NewFile(uintptr(fd), "pair")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].Close() })
	}
	c := &child{world: newWorld(t), d: New(slog.New(slog.DiscardHandler), t.TempDir()), ch: ends[0], parent: ends[1]}
	c.d.engine = c.e
	c.e.parent = c.ch.Send
	c.d.synced = true
	return c
}

func (c *child) generation(n uint64, instances ...config.Instance) watchdog.Message {
	return watchdog.Message{Configure: &watchdog.Configure{Generation: n, Config: &config.Config{Instances: instances}}}
}

// turn is one turn of the loop with these events in the inbox.
func (c *child) turn(events ...any) (stopped bool) {
	for _, ev := range events {
		c.d.handle(c.now, ev, c.ch)
	}
	c.e.tick(c.now)
	c.settle()
	return c.d.finish(c.now, c.ch)
}

// told returns what the parent was told, without snapshots.
func (c *child) told() string {
	c.t.Helper()
	c.ch.Send(watchdog.Message{Pong: &watchdog.Ping{}}) // marks the end
	var words []string
	for {
		m, err := c.parent.Recv()
		switch {
		case err != nil:
			c.t.Fatal(err)
		case m.Pong != nil:
			return strings.Join(words, ", ")
		case m.Event != nil:
			words = append(words, m.Event.Subject+" "+m.Event.To)
		case m.Ack != nil:
			words = append(words, "ack")
		}
	}
}

func (c *child) wantTold(want string) {
	c.t.Helper()
	if got := c.told(); got != want {
		c.t.Errorf("told %q, want %q", got, want)
	}
}

// With the acknowledgement the parent forgets the former generation, so the end
// of a removed instance, on which its stop script hangs, is told first.
func TestEndIsToldBeforeTheAck(t *testing.T) {
	c := newChild(t)
	c.turn(c.generation(1, instance("web", 51, 255, "192.0.2.10/32")))
	c.wantTold("web MASTER, ack")
	c.hold = true
	c.turn(c.generation(2, instance("db", 52, 100, "192.0.2.20/32")))
	c.wantTold("db BACKUP")
	c.hold = false
	c.turn()
	c.wantTold("web STOP, ack")
	// A kernel that does not answer holds nothing up for ever.
	c.turn(c.generation(3, instance("db", 52, 255, "192.0.2.20/32")))
	c.pass(5 * time.Second)
	c.told()
	c.hold = true
	c.turn(c.generation(4))
	c.wantTold("")
	c.now = c.now.Add(stopLimit)
	c.turn()
	c.wantTold("ack")
}

func TestStopEndsThoughTheKernelDoesNotAnswer(t *testing.T) {
	c := newChild(t)
	c.turn(c.generation(1, instance("web", 51, 255, "192.0.2.10/32")))
	c.told()
	c.hold = true
	if c.turn(watchdog.Message{Stop: &watchdog.Stop{}}) {
		t.Error("the stop does not wait for the addresses")
	}
	c.wantTold("")
	c.now = c.now.Add(stopLimit)
	if !c.turn() {
		t.Error("the stop never ends")
	}
	c.wantTold("web STOP")
}

// A configuration that waits for the monitor is not put in force by a process
// that was told to stop in the meantime.
func TestStopBeforeTheMonitorIsReady(t *testing.T) {
	c := newChild(t)
	c.d.synced = false
	stopped := c.turn(c.generation(1, instance("web", 51, 255, "192.0.2.10/32")),
		watchdog.Message{Stop: &watchdog.Stop{}}, link.Event{Kind: link.Synced})
	if !stopped || len(c.kernel) != 0 {
		t.Errorf("stopped %v, the kernel holds %v", stopped, c.kernel)
	}
	c.wantTold("")
}

// A MASTER that was stalled finds many adverts of a router that took over; all
// of them get one answer.
func TestOneAnswerForABacklog(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 200, "192.0.2.10/32")
	w.configure(nil, c)
	w.pass(4 * time.Second)
	w.take()
	for range 1000 {
		w.hear("192.0.2.2", 100, settings(&c))
	}
	w.settle()
	w.want("advert 200 from 192.0.2.1", "announce 192.0.2.10/32")
	w.hear("192.0.2.2", 100, settings(&c))
	w.settle()
	w.want("advert 200 from 192.0.2.1")
}
