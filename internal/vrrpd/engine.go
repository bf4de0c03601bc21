package vrrpd

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

// network opens the protocol's sockets.
type network interface {
	Open(ifi link.Interface) (socket, error)
}

// socket is the one socket of an interface.
type socket interface {
	SetVRIDs(vrids []uint8) error
	Queue(src, dst netip.Addr, pdu []byte)
	Flush() error
	Close() error
}

// worker does address and ARP work away from the loop, in order per instance.
type worker interface {
	Submit(link.Job)
}

// engine holds every virtual router and moves them. It starts no goroutine and
// reads no clock: the loop hands it what happened, and it leaves behind what is
// to be sent, done and told, for flush to carry out in that order.
type engine struct {
	log    *slog.Logger
	net    network
	worker worker
	parent func(watchdog.Message)

	generation uint64
	routers    map[routerKey]*router
	byID       map[string]*router // with those that are leaving
	order      []*router          // in the order of the configuration
	scripts    map[string]*script
	timers     timers
	links      map[string]link.Interface // by name
	vips       map[netip.Addr]bool       // virtual addresses that are never a source
	ports      map[string]*port          // by interface name
	leaving    []*router                 // removed or stopping, until their addresses are off
	// drain reads the sockets once more. It is called before a backup takes
	// over, so that our own delay is not mistaken for the silence of a master.
	drain func()

	acts     []vrrp.Action
	jobs     []link.Job
	messages []watchdog.Message
	changed  bool      // something that status shows changed: push a snapshot
	pushed   time.Time // when the last one was pushed

	nextID   uint64
	lateness control.Lateness
	repairs  uint64
}

// port is a used interface with its socket.
type port struct {
	name    string
	index   int // of the interface that sock is bound to
	vrids   []uint8
	sock    socket // nil while the interface is absent or opening failed
	queued  bool
	err     error
	retryAt time.Time
	failed  int
}

func newEngine(log *slog.Logger, n network, w worker, parent func(watchdog.Message)) *engine {
	return &engine{
		log: log, net: n, worker: w, parent: parent,
		routers: make(map[routerKey]*router),
		byID:    make(map[string]*router),
		scripts: make(map[string]*script),
		links:   make(map[string]link.Interface),
		ports:   make(map[string]*port),
		vips:    make(map[netip.Addr]bool),
		drain:   func() {},
	}
}

// deadline is when the loop has to call tick next; zero means never.
func (e *engine) deadline() time.Time {
	var d time.Time
	if t := e.timers.first(); t != nil {
		d = t.deadline()
	}
	earlier := func(t time.Time) {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	for _, p := range e.ports {
		earlier(p.retryAt)
	}
	if e.changed {
		earlier(e.pushed.Add(pushInterval))
	}
	return d
}

// tick does everything that is due at now.
func (e *engine) tick(now time.Time) {
	drained := false
	for {
		t := e.timers.first()
		if t == nil || t.deadline().After(now) {
			break
		}
		switch t := t.(type) {
		case *router:
			if !drained && t.sm.TakeoverDue(now) {
				drained = true
				e.drain()
				continue
			}
			e.late(now.Sub(t.deadline()))
			if !t.retryAt.IsZero() && !t.retryAt.After(now) {
				e.retryAddresses(t, now)
			}
			e.step(t, now, vrrp.Event{Kind: vrrp.EventTimer})
		case *script:
			e.nextID++
			if req := t.due(now, e.nextID); req != nil {
				e.send(watchdog.Message{RunScript: req})
			}
			e.timers.fix(t)
		}
	}
	for _, p := range e.ports {
		if !p.retryAt.IsZero() && !p.retryAt.After(now) {
			e.openPort(now, p)
			e.review(now)
		}
	}
}

func (e *engine) late(d time.Duration) {
	e.lateness.Count++
	e.lateness.Last = d
	e.lateness.Max = max(e.lateness.Max, d)
}

// step moves one router and carries out what the state machine answers.
func (e *engine) step(r *router, now time.Time, ev vrrp.Event) {
	e.acts = r.sm.Step(now, ev, e.acts[:0])
	for _, a := range e.acts {
		switch a.Kind {
		case vrrp.ActionAdvert:
			e.sendAdvert(r, now, a.Priority)
		case vrrp.ActionAcquire:
			e.acquire(r, a.Repeat)
		case vrrp.ActionRelease:
			e.release(r)
		case vrrp.ActionAnnounce:
			e.announce(r, r.addrs, a.Repeat)
		case vrrp.ActionNotify:
			e.notify(r, now, a.Transition)
		}
	}
	if r.heapSlot >= 0 {
		e.timers.fix(r)
	}
}

// sendAdvert queues an advert; flush sends all queued ones together.
func (e *engine) sendAdvert(r *router, now time.Time, prio uint8) {
	p := e.ports[r.key.device]
	if p == nil || p.sock == nil || !r.source.IsValid() {
		return
	}
	dst := vrrp.Group4()
	var err error
	if r.advert, err = vrrp.AppendAdvert(r.advert[:0], r.sm.Settings(), prio, r.source, dst); err != nil {
		e.warn(r, warnSend, "cannot send advert", err.Error())
		return
	}
	p.sock.Queue(r.source, dst, r.advert)
	p.queued = true
	r.counters.sent++
	r.lastSent = now
}

// receive takes one datagram from the socket of a device.
func (e *engine) receive(device string, d link.Datagram) {
	adv, why := vrrp.Parse(d.Payload, d.Src, d.Dst)
	vrid := adv.VRID
	if v, ok := vrrp.PeekVRID(d.Payload); ok {
		vrid = v
	}
	r := e.routers[routerKey{device, vrid}]
	if r == nil {
		return
	}
	if why == vrrp.DiscardNone {
		why = r.sm.Settings().Check(&adv, d.TTL)
	}
	if why == vrrp.DiscardNone && d.Src == r.source {
		why = vrrp.DiscardOwnPacket
	}
	if why == vrrp.DiscardNone && r.sm.State() != vrrp.Backup && r.sm.State() != vrrp.Master {
		why = vrrp.DiscardState
	}
	if why != vrrp.DiscardNone {
		r.counters.discards[why]++
		if why != vrrp.DiscardState {
			e.warn(r, warnDiscard, "advert dropped", fmt.Sprintf("%s from %s", why, d.Src))
		}
		return
	}
	r.counters.heard++
	if !adv.SameAddresses(r.sm.Settings().Addresses) {
		e.warn(r, warnPeer, "peer's configuration differs",
			fmt.Sprintf("%s advertises %d addresses that are not the %d configured here",
				d.Src, adv.Addresses(), len(r.sm.Settings().Addresses)))
	} else if adv.Interval != r.sm.Settings().AdvertInterval {
		e.warn(r, warnPeer, "peer's configuration differs",
			fmt.Sprintf("%s advertises every %v, this router every %v",
				d.Src, adv.Interval, r.sm.Settings().AdvertInterval))
	}
	// The packet counts from its arrival, not from when a stalled process got
	// round to reading it.
	e.step(r, d.Arrival, vrrp.Event{
		Kind: vrrp.EventAdvert, Src: d.Src, Priority: adv.Priority, Interval: adv.Interval,
	})
}

// The kinds of repeated warnings; a new text of a kind is logged, the same one
// only counted.
const (
	warnSend = iota
	warnDiscard
	warnPeer
	warnAnnounce
	numWarnings
)

func (e *engine) warn(r *router, kind int, msg, detail string) {
	if r.warned[kind] == detail {
		return
	}
	r.warned[kind] = detail
	e.log.Warn(msg, "instance", r.cfg.Name, "reason", detail)
}

// notify tells the parent about a transition; the parent logs it, runs scripts
// and keeps the history.
func (e *engine) notify(r *router, now time.Time, t vrrp.Transition) {
	r.warned = [numWarnings]string{}
	to := t.To.String()
	if t.To == vrrp.Init {
		// The end of an instance is told as STOP, keepalived's word, when its
		// addresses are off.
		to = "STOP"
	}
	ev := &control.Event{
		Time:       now,
		Generation: e.generation,
		Kind:       "instance",
		Subject:    r.cfg.Name,
		From:       t.From.String(),
		To:         to,
		Reason:     t.Cause.String(),
		Code:       t.Cause.Reason.String(),
		Priority:   int(r.sm.Priority()),
	}
	e.changed = true
	if t.To == vrrp.Init && r.pending > 0 {
		r.farewell = ev
		return
	}
	e.send(watchdog.Message{Event: ev})
}

// review looks at everything that decides whether each router may run, and
// starts, faults or recovers it accordingly.
func (e *engine) review(now time.Time) {
	for _, r := range e.order {
		e.reviewRouter(r, now)
	}
}

func (e *engine) reviewRouter(r *router, now time.Time) {
	before := r.faults
	e.inspect(r)
	prio := r.effective()
	if prio != r.sm.Priority() {
		e.step(r, now, vrrp.Event{Kind: vrrp.EventPriority, Priority: prio})
		e.changed = true
	}
	switch {
	case len(r.faults) > 0:
		if !r.started || r.sm.State() != vrrp.Fault || r.sm.Cause() != r.faults[0].cause {
			e.giveUpResume(r)
			r.started, r.waiting = true, ""
			e.step(r, now, vrrp.Event{Kind: vrrp.EventFault, Cause: r.faults[0].cause})
			e.changed = true
		}
	case r.started && r.sm.State() == vrrp.Fault:
		if r.waiting = r.gate(); r.waiting != "" {
			return
		}
		cause := vrrp.Cause{Reason: vrrp.ReasonRecovered, Detail: "the cause is gone"}
		if len(before) > 0 {
			cause.Detail = "no longer: " + before[0].cause.String()
		} else if c := r.sm.Cause(); c.Reason != vrrp.ReasonNone {
			cause.Detail = "no longer: " + c.String()
		}
		e.step(r, now, vrrp.Event{Kind: vrrp.EventRecover, Cause: cause})
	case !r.started:
		if r.waiting = r.gate(); r.waiting != "" {
			e.giveUpResume(r)
			return
		}
		r.started = true
		kind := vrrp.EventStart
		if r.resume {
			kind = vrrp.EventResume
		}
		e.step(r, now, vrrp.Event{Kind: kind})
	}
}

// giveUpResume takes off what a former MASTER left behind when it cannot go on.
func (e *engine) giveUpResume(r *router) {
	if r.resume {
		r.resume = false
		e.release(r)
	}
}

// inspect brings the router's source address and list of faults up to date.
func (e *engine) inspect(r *router) {
	device := r.key.device
	need := append([]string{device}, r.cfg.TrackInterface...)
	for _, a := range r.addrs {
		need = append(need, a.device)
	}
	faults := r.faults
	r.faults = nil
	add := func(key string, c vrrp.Cause) {
		r.faults = append(r.faults, fault{key, c})
	}
	seen := make(map[string]bool, len(need))
	for _, name := range need {
		if seen[name] {
			continue
		}
		seen[name] = true
		ifi, ok := e.link(name)
		switch {
		case !ok:
			add("interface "+name, vrrp.Cause{Reason: vrrp.ReasonInterfaceAbsent, Detail: name})
		case !ifi.Up:
			add("interface "+name, vrrp.Cause{Reason: vrrp.ReasonInterfaceDown, Detail: name})
		}
	}
	if ifi, ok := e.link(device); ok {
		src, why := e.chooseSource(r, ifi)
		if why != "" {
			add("source", vrrp.Cause{Reason: vrrp.ReasonNoSource, Detail: why})
		} else if src != r.source {
			r.source = src
			r.sm.SetSource(src)
			e.changed = true
		}
		if p := e.ports[device]; p != nil && p.sock == nil && p.err != nil {
			add("socket", vrrp.Cause{Reason: vrrp.ReasonSocket, Detail: device + ": " + p.err.Error()})
		}
	}
	for _, t := range r.tracks {
		if t.weight == 0 && t.script.debounce.Verdict() == vrrp.Down {
			add("script "+t.script.cfg.Name, vrrp.Cause{
				Reason: vrrp.ReasonScript,
				Detail: fmt.Sprintf("%s failed: %s", t.script.cfg.Name, t.script.last.Result),
			})
		}
	}
	// The oldest cause stays the one that is told, so that a second one does
	// not rewrite the history of the first.
	if len(faults) > 0 {
		for i, f := range r.faults {
			if f.key == faults[0].key {
				copy(r.faults[1:i+1], r.faults[:i])
				r.faults[0] = f
				if f.cause.Reason == faults[0].cause.Reason {
					r.faults[0].cause = faults[0].cause
				}
			}
		}
	}
}

// chooseSource picks the address that adverts come from: the configured one,
// else the first of the interface that is nobody's virtual address (after a
// crash those may still be there).
func (e *engine) chooseSource(r *router, ifi link.Interface) (netip.Addr, string) {
	if want := r.cfg.Source; want.IsValid() {
		for _, l := range e.links {
			for _, p := range l.Addrs {
				if p.Addr() == want {
					return want, ""
				}
			}
		}
		return netip.Addr{}, fmt.Sprintf("mcast_src_ip %s is on no interface", want)
	}
	if own := ifi.Primary(false, func(a netip.Addr) bool { return e.vips[a] }); own.IsValid() {
		return own, ""
	}
	return netip.Addr{}, fmt.Sprintf("interface %s has no IPv4 address of its own", ifi.Name)
}

func (e *engine) link(name string) (link.Interface, bool) {
	ifi, ok := e.links[name]
	return ifi, ok
}

func (e *engine) send(m watchdog.Message) { e.messages = append(e.messages, m) }

// pushInterval is the least time between two snapshots sent unasked. The first
// change after a quiet time is told at once; a burst of changes, such as a
// thousand addresses going up, is told as one.
const pushInterval = 100 * time.Millisecond

// flush carries out what has gathered: adverts first, then address work, then
// messages.
func (e *engine) flush(now time.Time) {
	for _, p := range e.ports {
		if !p.queued || p.sock == nil {
			continue
		}
		p.queued = false
		if err := p.sock.Flush(); err != nil {
			for _, r := range e.order {
				if r.key.device == p.name {
					e.warn(r, warnSend, "cannot send advert", err.Error())
				}
			}
		}
	}
	for _, j := range e.jobs {
		e.worker.Submit(j)
	}
	clear(e.jobs)
	e.jobs = e.jobs[:0]
	if e.changed && now.Sub(e.pushed) >= pushInterval {
		e.changed, e.pushed = false, now
		e.send(watchdog.Message{Snapshot: &watchdog.Snapshot{VRRP: e.snapshot()}})
	}
	for _, m := range e.messages {
		e.parent(m)
	}
	clear(e.messages)
	e.messages = e.messages[:0]
}

func (e *engine) snapshot() *control.VRRP {
	v := &control.VRRP{Generation: e.generation, Lateness: e.lateness, Repairs: e.repairs}
	for _, r := range e.order {
		v.Instances = append(v.Instances, r.snapshot())
		for _, a := range r.addrs {
			if a.err != nil {
				v.Failures = append(v.Failures, control.KernelFail{
					What:  fmt.Sprintf("add %s to %s", a.prefix, a.device),
					Error: a.err.Error(), Since: a.since, Count: a.failures,
				})
			}
		}
		for _, t := range r.tracks {
			s := t.script.snapshot()
			known := false
			for _, old := range v.Scripts {
				known = known || old.Name == s.Name
			}
			if !known {
				v.Scripts = append(v.Scripts, s)
			}
		}
	}
	return v
}

// scriptDone takes the outcome of a track script's run.
func (e *engine) scriptDone(now time.Time, d *watchdog.ScriptDone) {
	s := e.scripts[d.Name]
	if s == nil || !s.done(now, d) {
		return
	}
	e.changed = true
	e.send(watchdog.Message{Event: &control.Event{
		Time: now, Generation: e.generation, Kind: "script", Subject: d.Name,
		To: s.debounce.Verdict().String(), Reason: d.Result, Code: "script",
	}})
	e.review(now)
}
