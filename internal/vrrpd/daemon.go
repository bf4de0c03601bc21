// Package vrrpd is the VRRP child: the one loop that joins the pure protocol of
// package vrrp to the sockets and addresses of package vrrp/link.
//
// One goroutine, the loop, owns every virtual router. It sleeps in epoll, woken
// by packets, by the earliest deadline and by its inbox, into which three other
// goroutines post: the reader of the parent's channel, the netlink monitor and
// the address worker. The loop itself never blocks on anything else.
package vrrpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	bfdlink "director/bfd/link"
	"director/internal/watchdog"
	"director/vrrp/link"
)

// stopLimit bounds the wait for the last addresses to come off, at a stop and
// before a reload that removes routers is acknowledged.
const stopLimit = 3 * time.Second

// Daemon is the VRRP child.
type Daemon struct {
	log *slog.Logger
	dir string

	mu    sync.Mutex
	inbox []any // posted by other goroutines, taken by the loop

	poller   *link.Poller
	engine   *engine
	routes   *routeWatch
	firewall func() error // begins to watch the nftables rules, once

	synced    bool
	configure *watchdog.Configure // arrived before the monitor's first list was complete
	ack       *watchdog.Ack       // waits until the routers that left are gone
	stopping  bool
	limit     time.Time // ends the wait of a stop or an Ack
}

// New returns a VRRP child that has started nothing yet. In dir, the runtime
// directory, it remembers what it changed of the host's settings.
func New(log *slog.Logger, dir string) *Daemon {
	return &Daemon{log: log, dir: dir}
}

// firewallChanged says that the nftables rules of the host are not what they were.
type firewallChanged struct{}

// firewallCalm is how long the rules must not have changed to be looked at: a
// firewall is often loaded in several steps.
const firewallCalm = 100 * time.Millisecond

// closed says that the parent's channel has ended with err.
type closed struct{ err error }

// post hands the loop an event from another goroutine.
func (d *Daemon) post(ev any) {
	d.mu.Lock()
	d.inbox = append(d.inbox, ev)
	first := len(d.inbox) == 1
	d.mu.Unlock()
	if first {
		d.poller.Wake()
	}
}

// Run serves the parent on ch until it asks for a stop, dies, or ctx ends; in
// each case every MASTER says good-bye and its addresses are taken off. The
// error is nil after a clean stop.
func (d *Daemon) Run(ctx context.Context, ch *watchdog.Channel) error {
	poller, err := link.NewPoller()
	if err != nil {
		return fmt.Errorf("vrrpd: %w", err)
	}
	defer poller.Close()
	d.poller = poller

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	former, err := link.ReadFormer(d.dir)
	if err != nil {
		d.log.Error("settings that a former process changed will stay", "reason", err)
	}
	worker, err := link.NewWorker(former, func(r link.Result) { d.post(r) })
	if err != nil {
		return fmt.Errorf("vrrpd: %w", err)
	}
	defer worker.Close()
	d.engine = newEngine(d.log, opener{d}, worker, ch.Send)
	d.engine.bfd.net = opener{d}
	d.engine.drain = poller.Drain
	poller.Woken = func() { d.engine.wake(time.Now()) }
	d.engine.gates = newKeeper(ctx, d.post)
	monitor, err := link.StartMonitor(ctx, func(ev link.Event) { d.post(ev) })
	if err != nil {
		return fmt.Errorf("vrrpd: %w", err)
	}
	d.routes = &routeWatch{start: func() (*link.RouteMonitor, error) {
		return link.StartRouteMonitor(ctx, func(ev link.RouteEvent) { d.post(ev) })
	}}
	d.firewall = sync.OnceValue(func() error {
		return link.WatchFirewall(ctx, firewallCalm, func() { d.post(firewallChanged{}) })
	})
	defer func() {
		cancel()
		monitor.Wait()
		d.routes.wait()
	}()
	watcher := newWatcher(ctx, d.post, func(what string, err error) { d.log.Error(what, "reason", err) })
	d.engine.observer = watcher
	defer func() {
		cancel()
		watcher.wait()
	}()
	go func() {
		for {
			m, err := ch.Recv()
			if err != nil {
				d.post(closed{err})
				return
			}
			d.post(m)
		}
	}()
	stop := context.AfterFunc(ctx, func() { d.post(closed{ctx.Err()}) })
	defer stop()

	if err := d.loop(ch); err != nil {
		return err
	}
	return ch.Flush(time.Second)
}

func (d *Daemon) loop(ch *watchdog.Channel) error {
	var inbox []any
	for {
		deadline := d.engine.deadline()
		if (d.stopping || d.ack != nil) && (deadline.IsZero() || d.limit.Before(deadline)) {
			deadline = d.limit
		}
		if err := d.poller.Wait(deadline); err != nil {
			return fmt.Errorf("vrrpd: %w", err)
		}
		now := time.Now()
		d.mu.Lock()
		inbox, d.inbox = d.inbox, inbox[:0]
		d.mu.Unlock()
		for i, ev := range inbox {
			inbox[i] = nil
			d.handle(now, ev, ch)
		}
		now = time.Now()
		d.engine.tick(now)
		d.engine.flush(now)
		if d.finish(now, ch) {
			return nil
		}
	}
}

// finish ends the wait for routers that left: it acknowledges the configuration
// that removed them, and reports whether a stop is complete.
func (d *Daemon) finish(now time.Time, ch *watchdog.Channel) (stopped bool) {
	settled := d.engine.settled()
	if !settled && now.Before(d.limit) {
		return false
	}
	d.acknowledge(ch)
	if d.stopping && !settled {
		d.log.Error("stopped with addresses still on", "reason", "the kernel did not answer in time")
		d.engine.abandon()
		d.engine.flush(now)
	}
	return d.stopping
}

func (d *Daemon) handle(now time.Time, ev any, ch *watchdog.Channel) {
	switch ev := ev.(type) {
	case watchdog.Message:
		d.message(now, ev, ch)
	case link.Event:
		if ev.Kind != link.Synced {
			d.engine.linkEvent(now, ev)
			return
		}
		d.synced = true
		if d.configure != nil && !d.stopping {
			d.apply(now, d.configure, ch)
			d.configure = nil
		}
	case link.Result:
		d.engine.result(now, ev)
	case firewallChanged:
		d.engine.recheckBlocks()
	case gateAnswer:
		d.engine.gateAnswered(now, ev)
	case link.RouteEvent:
		d.engine.routeEvent(now, ev)
	case fileSeen:
		d.engine.fileSeen(now, ev)
	case processesSeen:
		d.engine.processesSeen(now, ev)
	case answered:
		d.engine.answered(now, ev)
	case closed:
		if !errors.Is(ev.err, io.EOF) && !errors.Is(ev.err, context.Canceled) {
			d.log.Error("lost the parent", "reason", ev.err)
		} else if !d.stopping {
			d.log.Warn("the parent is gone, stopping")
		}
		d.stop(now)
	}
}

func (d *Daemon) message(now time.Time, m watchdog.Message, ch *watchdog.Channel) {
	switch {
	case m.Configure != nil && d.stopping:
	case m.Configure != nil && !d.synced:
		d.configure = m.Configure
	case m.Configure != nil:
		d.apply(now, m.Configure, ch)
	case m.Ping != nil:
		ch.Send(watchdog.Message{Pong: m.Ping})
	case m.Inquire != nil:
		ch.Send(watchdog.Message{Snapshot: &watchdog.Snapshot{Seq: m.Inquire.Seq, VRRP: d.engine.snapshot()}})
	case m.Fenced != nil:
		d.engine.fenced(now, m.Fenced)
	case m.Followed != nil:
		d.engine.followed(now, m.Followed)
	case m.Standing != nil:
		d.engine.stand(now, m.Standing.Orders)
		if m.Standing.ID != 0 {
			ch.Send(watchdog.Message{Ordered: &watchdog.Ordered{ID: m.Standing.ID}})
		}
	case m.Pools != nil:
		d.engine.pools = m.Pools.States
	case m.Readiness != nil:
		d.engine.readinessTold(now, m.Readiness)
	case m.ScriptDone != nil:
		d.engine.scriptDone(now, m.ScriptDone)
	case m.Plan != nil:
		ch.Send(watchdog.Message{Planned: watchdog.NewPlanned(m.Plan.Generation, d.engine.foresee(m.Plan.Config), nil)})
	case m.Stop != nil:
		d.stop(now)
	}
}

func (d *Daemon) apply(now time.Time, c *watchdog.Configure, ch *watchdog.Channel) {
	d.acknowledge(ch)
	changes := d.engine.foresee(c.Config)
	changes.Shorten(watchdog.MaxChanges)
	ack := &watchdog.Ack{Generation: c.Generation, Changes: changes}
	if err := d.engine.configure(now, c); err != nil {
		ack.Error, ack.Final = err.Error(), true
	}
	if d.engine.hasRoutes() { // before the first of them is added
		if err := d.routes.begin(); err != nil {
			d.log.Error("routes and rules that somebody else removes are not put back", "reason", err)
		}
	}
	if d.engine.hasBlocks() {
		if err := d.firewall(); err != nil {
			d.log.Error("firewall rules of accept = false that somebody else removes are not put back", "reason", err)
		}
	}
	d.engine.flush(now)
	// With the Ack the parent forgets the former generation, and the scripts of
	// routers that are gone with it: their end has to be told first.
	d.ack, d.limit = ack, now.Add(stopLimit)
}

// routeWatch is the monitor of routes and rules. A host that has none configured
// does without.
type routeWatch struct {
	start   func() (*link.RouteMonitor, error)
	monitor *link.RouteMonitor
}

func (w *routeWatch) begin() (err error) {
	if w.monitor == nil {
		w.monitor, err = w.start()
	}
	return err
}

func (w *routeWatch) wait() {
	if w.monitor != nil {
		w.monitor.Wait()
	}
}

// acknowledge sends the Ack that waits.
func (d *Daemon) acknowledge(ch *watchdog.Channel) {
	if d.ack != nil {
		ch.Send(watchdog.Message{Ack: d.ack})
		d.ack = nil
	}
}

func (d *Daemon) stop(now time.Time) {
	if d.stopping {
		return
	}
	d.stopping, d.limit = true, now.Add(stopLimit)
	d.engine.stop(now)
}

// opener opens sockets for the engine.
type opener struct{ d *Daemon }

func (o opener) OpenClaims(ifi link.Interface) (claims, error) {
	c, err := link.OpenClaims(ifi)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (o opener) Open(ifi link.Interface, key portKey) (socket, error) {
	handle := func(dg link.Datagram) { o.d.engine.receive(ifi.Name, dg) }
	if key.ah {
		return o.d.poller.OpenAH(ifi, handle)
	}
	return o.d.poller.Open(ifi, key.family, handle)
}

// Listen opens a listener for BFD packets and watches it.
func (o opener) Listen(e bfdlink.Endpoint, shared bool, handle func(bfdlink.Datagram)) (io.Closer, error) {
	l, err := bfdlink.Listen(e, shared)
	if err != nil {
		return nil, err
	}
	// An error of reading passes by itself: the silence that follows tells.
	if err := o.d.poller.Watch(l.FD(), func() { _ = l.Read(handle) }); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return watchedListener{l, o.d.poller}, nil
}

func (o opener) Dial(p bfdlink.Path, port uint16) (bfdSender, error) { return bfdlink.Dial(p, port) }

// watchedListener takes itself out of the poller when it is closed.
type watchedListener struct {
	*bfdlink.Listener
	poller *link.Poller
}

func (w watchedListener) Close() error {
	w.poller.Unwatch(w.FD())
	return w.Listener.Close()
}
