package vrrpd

import (
	"log/slog"
	"net/netip"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

// network opens the protocol's sockets.
type network interface {
	Open(ifi link.Interface, key portKey) (socket, error)
	OpenClaims(ifi link.Interface) (claims, error)
}

// socket is the one socket of an interface and family.
type socket interface {
	SetVRIDs(vrids []uint8) error
	SetGroups(groups []netip.Addr) error
	Queue(src, dst netip.Addr, ttl uint8, pdu []byte)
	QueueFrom(mac link.MAC, src, dst netip.Addr, ttl uint8, pdu []byte) error
	Flush() error
	Foreign(handle func(link.Datagram)) (uint64, error)
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
	bfd    bfdTable
	parent func(watchdog.Message)

	generation   uint64
	routers      map[routerKey]*router
	holdings     map[string]*holding         // by id, with those of routers that are leaving
	host         *host                       // what is there as long as the daemon lives
	order        []*router                   // in the order of the configuration
	orders       map[string]control.Override // of operators, by instance
	groups       map[groupKey]*group
	trackers     map[trackerKey]tracker
	observer     observer
	watched      []config.ProcessTracker // the processes that are counted
	processRound uint64                  // that their counts carry
	timers       timers
	links        map[string]link.Interface // by name
	names        map[int]string            // of the links by index, to notice a new name
	users        map[string][]*router      // who needs an interface, by its name
	roaming      []*router                 // whose configured source may be on any interface
	vmacs        map[string]*router        // by the interface with their virtual MAC address
	guests       map[routerKey]*router     // by where their heartbeat paths are heard
	carriers     map[string][]*router      // whose heartbeat paths an interface carries, by its name
	judged       []*router                 // with heartbeat paths, heard since the last flush
	vips         map[vip]bool              // virtual addresses that are never a source
	holders      map[link.Key]*holding     // whose item it is
	passing      []*holding                // with items that may go without notice
	ports        map[portKey]*port         //
	dirty        []*port                   // with queued adverts
	leaving      []*router                 // removed or stopping, until their items are off
	stopping     bool
	delay        startDelay

	routerID       string
	gates          gatekeeper
	pools          map[string]string       // states of virtual servers, as the parent tells them
	poolQuestions  []gateQuestion          // open
	fenceQuestions map[uint64]gateQuestion // open, by the request's ID
	roles          roleTable

	// drain reads the sockets once more. It is called before a backup takes over
	// and before a master that was stalled goes on, so that our own delay is not
	// mistaken for the silence of others.
	drain     func()
	sinceBoot func() time.Duration
	sleep     sleepWatch

	groupActs []vrrp.GroupAction
	lookout   lookout

	round    uint64 // counts flushes, from 1
	acts     []vrrp.Action
	jobs     []link.Job
	messages []watchdog.Message
	touched  bool      // something that status shows changed: push a snapshot
	pushed   time.Time // when the last one was pushed

	nextID   uint64
	lateness control.LatenessMeter
	repairs  uint64
	repaired time.Time // the newest of them

	ticking bool     // actions other than adverts are postponed
	waiting int      // adverts that are queued
	later   []func() // postponed actions
}

func newEngine(log *slog.Logger, n network, w worker, parent func(watchdog.Message)) *engine {
	e := &engine{
		bfd: bfdTable{byDiscr: make(map[uint32]*bfdSession), listeners: make(map[bfdPlace]bfdListener)},
		log: log, net: n, worker: w, parent: parent, round: 1,
		routers:   make(map[routerKey]*router),
		holdings:  make(map[string]*holding),
		host:      newHost(),
		links:     make(map[string]link.Interface),
		names:     make(map[int]string),
		ports:     make(map[portKey]*port),
		drain:     func() {},
		sinceBoot: link.SinceBoot,
		sleep:     newSleepWatch(time.Now(), link.Suspended),

		gates:          noGates{},
		fenceQuestions: make(map[uint64]gateQuestion),
		observer:       blind{},
	}
	e.holdings[e.host.id] = &e.host.holding
	e.timers.add(e.host)
	e.lookout.onForeign, e.lookout.onClaim = e.foreignAdvert, e.claimed
	e.timers.add(&e.lookout)
	return e
}

// deadline is when the loop has to call tick next; zero means never.
func (e *engine) deadline() time.Time {
	var d time.Time
	if t := e.timers.first(); t != nil {
		d = t.deadline()
	}
	if e.touched {
		if push := e.pushed.Add(pushInterval); d.IsZero() || push.Before(d) {
			d = push
		}
	}
	return d
}

// tick does everything that is due at now.
//
// Adverts leave as soon as there are enough of them for a system call, and all before
// anything else is done: of a thousand routers whose master has died together, the
// last must not wait until the addresses and messages of the others are prepared.
func (e *engine) tick(now time.Time) {
	e.ticking = true
	defer e.catchUp(now)
	drained := false
	for {
		t := e.timers.first()
		if t == nil || t.deadline().After(now) {
			break
		}
		switch t := t.(type) {
		case *router:
			if !drained && t.sm.ListenFirst(now) {
				drained = true
				e.drain()
				continue
			}
			e.lateness.Observe(now.Sub(t.deadline()))
			if !t.retryAt.IsZero() && !t.retryAt.After(now) {
				e.retryItems(&t.holding, now)
			}
			e.step(t, now, vrrp.Event{Kind: vrrp.EventTimer})
		case *script:
			e.nextID++
			if req := t.due(now, e.nextID); req != nil {
				e.send(watchdog.Message{RunScript: req})
			}
			e.timers.fix(t)
		case *host:
			e.retryItems(&t.holding, now)
			e.timers.fix(t)
		case *lookout:
			e.lookAround(now)
		case *startDelay:
			e.endDelay()
			e.review(now)
		case *bfdSession:
			if !drained && t.sm.ExpiryDue(now) {
				drained = true
				e.drain()
				continue
			}
			e.lateness.Observe(now.Sub(t.deadline()))
			e.dueBFD(now, t)
		case *target:
			e.ask(now, t)
		case expiring:
			from := said(t)
			expired := t.expire(now)
			e.timers.fix(t)
			if expired {
				e.changed(now, t, from)
			}
		case *port:
			e.openPort(now, t)
			e.reviewUsers(now, t.key.device)
		}
	}
}

// step moves one router and carries out what the state machine answers.
func (e *engine) step(r *router, now time.Time, ev vrrp.Event) {
	if r.group != nil {
		e.stepGroup(r, now, ev)
		return
	}
	e.acts = r.sm.Step(now, ev, e.acts[:0])
	for _, a := range e.acts {
		e.carryOut(r, now, a)
	}
	if r.heapSlot >= 0 {
		e.timers.fix(r)
	}
}

func (e *engine) carryOut(r *router, now time.Time, a vrrp.Action) {
	switch {
	case a.Kind == vrrp.ActionAdvert:
		if e.sendAdvert(r, now, a.Priority); e.ticking && e.waiting >= enoughAdverts {
			e.flushAdverts(now)
		}
	case e.ticking:
		e.postpone(r, now, a)
	default:
		e.perform(r, now, a)
	}
}

// enoughAdverts is how many adverts a tick gathers for one system call.
const enoughAdverts = 32

// postpone leaves an action to the end of the tick. It is a function of its own so
// that adverts, which are not postponed, allocate nothing.
func (e *engine) postpone(r *router, now time.Time, a vrrp.Action) {
	e.later = append(e.later, func() { e.perform(r, now, a) })
}

// catchUp ends a tick: it sends the adverts that are left, then does what was
// postponed, in order.
func (e *engine) catchUp(now time.Time) {
	e.ticking = false
	if len(e.later) == 0 {
		return // flush will send them
	}
	e.flushAdverts(now)
	for _, f := range e.later {
		f()
	}
	clear(e.later)
	e.later = e.later[:0]
}

func (e *engine) perform(r *router, now time.Time, a vrrp.Action) {
	e.roles.stale = true
	switch a.Kind {
	case vrrp.ActionAcquire:
		e.acquire(r, a.Repeat)
	case vrrp.ActionRelease:
		e.release(&r.holding)
	case vrrp.ActionAnnounce:
		e.announce(r, r.items, a.Repeat)
	case vrrp.ActionNotify:
		e.restartPaths(r, now, a.Transition)
		e.notify(r, now, a.Transition)
	case vrrp.ActionAsk:
		e.askGate(r, now, a)
	case vrrp.ActionUnask:
		e.unask(r)
	case vrrp.ActionStay:
		e.stays(r, now, a.Transition.Cause)
	case vrrp.ActionPrepare:
		e.prepare(r)
	case vrrp.ActionUnready:
		e.unready(r, now, a.Transition.Cause)
	}
}

func (e *engine) send(m watchdog.Message) { e.messages = append(e.messages, m) }

// pushInterval is the least time between two snapshots sent unasked. The first
// change after a quiet time is told at once; a burst of changes, such as a
// thousand addresses going up, is told as one.
const pushInterval = 100 * time.Millisecond

// flush carries out what has gathered: adverts first, then address work, then
// messages.
func (e *engine) flush(now time.Time) {
	e.answerPools(now)
	e.round++
	e.judgePaths(now)
	e.flushAdverts(now)
	for _, j := range e.jobs {
		e.worker.Submit(j)
	}
	clear(e.jobs)
	e.jobs = e.jobs[:0]
	e.tellRoles()
	if e.touched && now.Sub(e.pushed) >= pushInterval {
		e.touched, e.pushed = false, now
		e.send(watchdog.Message{Snapshot: &watchdog.Snapshot{VRRP: e.snapshot()}})
	}
	for _, m := range e.messages {
		e.parent(m)
	}
	clear(e.messages)
	e.messages = e.messages[:0]
}

// flushAdverts sends what is queued, in one system call for each socket.
func (e *engine) flushAdverts(now time.Time) {
	for _, p := range e.dirty {
		if !p.queued || p.sock == nil {
			continue
		}
		p.queued = false
		if err := p.sock.Flush(); err != nil {
			e.warnPort(p, now, err)
		} else {
			p.warned = ""
		}
	}
	e.dirty, e.waiting = e.dirty[:0], 0
}

func (e *engine) snapshot() *control.VRRP {
	v := &control.VRRP{Generation: e.generation, BegunMono: e.delay.begunMono, Lateness: e.lateness.Report(), Repairs: e.repairs, Repaired: e.repaired}
	v.Instances = make([]control.Instance, 0, len(e.order))
	for _, s := range e.bfd.sessions {
		v.BFD = append(v.BFD, s.snapshot())
	}
	v.BFDStrays = bfdDiscards(&e.bfd.strays)
	for _, r := range e.order {
		if g := r.group; g != nil && !g.pair && g.members[0] == r {
			v.Groups = append(v.Groups, g.snapshot())
		}
	}
	v.Static = e.host.snapshot()
	v.Failures = e.host.failures()
	told := make(map[tracker]bool, len(e.trackers))
	for _, r := range e.order {
		i := r.snapshot()
		if e.delay.pending() && r.waiting == startDelayReason && len(r.faults) == 0 {
			i.Reason, i.Code, i.StartsAt = e.delay.left(), "start_delay", e.delay.at
		}
		v.Instances = append(v.Instances, i)
		v.Failures = append(v.Failures, r.failures()...)
		for _, t := range r.tracks {
			if told[t.tracker] {
				continue
			}
			told[t.tracker] = true
			if s, ok := t.tracker.(*script); ok {
				v.Scripts = append(v.Scripts, s.snapshot())
			} else {
				v.Trackers = append(v.Trackers, trackerStatus(t.tracker))
			}
		}
	}
	e.outlook(v)
	return v
}
