package vrrpd

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"director/bfd"
	bfdlink "director/bfd/link"
	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
)

const (
	// bfdProven is how long a session must have been Up before its end makes a
	// backup take over: one that comes and goes proves nothing.
	bfdProven = time.Second
	// bfdSettle is how long a session may be down because the neighbour has begun
	// anew before those that track it see it down: its process was restarted, and it
	// is there.
	bfdSettle = time.Second
	// farewells is how often the end of a session is told: nobody repeats it.
	farewells = 3
)

// bfdSession is one BFD session with its socket.
type bfdSession struct {
	cfg  config.BFD
	sm   *bfd.Session
	why  string // of the newest change, for a person
	code bfd.Reason

	sender  bfdSender     // nil while it cannot be opened
	scope   bfdlink.Scope // that sender and listener are bound to
	port    uint16        // source port, kept when the sender is opened anew
	err     error         // of opening
	sendErr error         // of the newest packet
	failed  int
	retryAt time.Time

	verdict vrrp.Verdict // for those that track it
	judged  time.Time
	judgeAt time.Time // it is Down from then on if the session is not Up; zero: settled

	sent, received, unsent uint64
	discards               [bfd.NumDiscards]uint64
	heapSlot               int
}

func (s *bfdSession) deadline() time.Time {
	d := s.sm.Deadline()
	for _, t := range []time.Time{s.retryAt, s.judgeAt} {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	return d
}

func (s *bfdSession) slot() *int { return &s.heapSlot }

// bfdTracker shows a session to those that track it. A session is timed whether
// it is tracked or not.
type bfdTracker struct{ s *bfdSession }

func (t bfdTracker) id() trackerKey        { return trackerKey{config.KindBFD, t.s.cfg.Name} }
func (t bfdTracker) verdict() vrrp.Verdict { return t.s.verdict }
func (t bfdTracker) since() time.Time      { return t.s.judged }

func (t bfdTracker) finding() string {
	return fmt.Sprintf("session is %s: %s", t.s.sm.State(), t.s.why)
}

func (t bfdTracker) cause() vrrp.Cause {
	return vrrp.Cause{Reason: vrrp.ReasonTracker, Detail: fmt.Sprintf("BFD session %s is %s: %s", t.s.cfg.Name, t.s.sm.State(), t.s.why)}
}

// resume takes over the verdict of a former process until the session has had
// the time to come up again.
func (t bfdTracker) resume(_ time.Time, old control.Tracker) {
	if t.s.verdict == vrrp.Unknown && old.State == vrrp.Up.String() {
		t.s.verdict, t.s.judged = vrrp.Up, old.Since
	}
}

// bfdSettings translates the configuration into the state machine's terms.
func bfdSettings(c *config.BFD) bfd.Settings {
	return bfd.Settings{
		MinTx: c.MinTx.D(), MinRx: c.MinRx.D(), IdleTx: c.IdleTx.D(),
		Multiplier: c.Multiplier, Passive: c.Passive,
	}
}

// samePath reports whether packets of two configurations take the same way: the
// session then goes on with the other one's timers.
func samePath(a, b *config.BFD) bool {
	return a.Neighbor == b.Neighbor && a.Source == b.Source && a.Interface == b.Interface && a.Multihop == b.Multihop && a.TTL == b.TTL
}

// configureBFD makes the sessions of the configuration. Those that stay keep
// their state; an end is told before what comes in its place begins.
func (e *engine) configureBFD(now time.Time, cfgs []config.BFD) {
	old := make(map[string]*bfdSession)
	for _, s := range e.bfd.sessions {
		old[s.cfg.Name] = s
	}
	next := make([]*bfdSession, len(cfgs))
	for i := range cfgs {
		if s := old[cfgs[i].Name]; s != nil && samePath(&s.cfg, &cfgs[i]) {
			next[i] = s
			delete(old, s.cfg.Name)
		}
	}
	for _, s := range e.bfd.sessions {
		if old[s.cfg.Name] == s {
			e.endBFD(now, s)
		}
	}
	e.bfd.sessions = next
	for i, c := range cfgs {
		if s := next[i]; s != nil {
			s.cfg = c
			if set := bfdSettings(&c); set != s.sm.Settings() {
				s.sm.Reconfigure(now, set)
				e.timers.fix(s)
			}
			continue
		}
		discr := rand.Uint32()
		for discr == 0 || e.bfd.byDiscr[discr] != nil {
			discr = rand.Uint32()
		}
		s := &bfdSession{cfg: c, sm: bfd.New(now, discr, bfdSettings(&c), rand.Float64), judged: now, heapSlot: -1}
		s.judgeAt = now.Add(3 * max(c.IdleTx.D(), bfd.SlowTx)) // the slowest handshake
		next[i], e.bfd.byDiscr[discr] = s, s
		e.timers.add(s)
		e.openBFD(now, s)
		e.stepBFD(now, s, bfd.Event{Kind: bfd.EventStart})
	}
	e.closeListeners()
	e.touched = true
}

// trackBFD lists the sessions as trackers.
func (e *engine) trackBFD(used map[trackerKey]bool) {
	for _, s := range e.bfd.sessions {
		if t := (bfdTracker{s}); used[t.id()] {
			e.trackers[t.id()] = t
		}
	}
}

// endBFD takes a session down and tells the neighbour that this is on purpose.
func (e *engine) endBFD(now time.Time, s *bfdSession) {
	e.stepBFD(now, s, bfd.Event{Kind: bfd.EventStop})
	for range farewells - 1 {
		if _, _, discr := s.sm.Remote(); discr != 0 || !s.cfg.Passive {
			p := s.sm.Packet()
			e.sendBFD(s, &p)
		}
	}
	e.timers.remove(s)
	delete(e.bfd.byDiscr, s.sm.Discr())
	s.close()
}

// stopBFD ends all sessions.
func (e *engine) stopBFD(now time.Time) {
	for _, s := range e.bfd.sessions {
		e.endBFD(now, s)
	}
	e.bfd.sessions = nil
	e.closeListeners()
}

// dueBFD does what is due for a session.
func (e *engine) dueBFD(now time.Time, s *bfdSession) {
	if !s.retryAt.IsZero() && !now.Before(s.retryAt) {
		e.openBFD(now, s)
	}
	e.stepBFD(now, s, bfd.Event{Kind: bfd.EventTimer})
	if s.judgeAt.IsZero() || now.Before(s.judgeAt) {
		return
	}
	from := s.verdict
	s.judgeAt = time.Time{}
	e.timers.fix(s)
	if s.sm.State() != bfd.Up && from != vrrp.Down {
		s.verdict, s.judged = vrrp.Down, now
		e.touched = true
		if t := (bfdTracker{s}); e.trackers[t.id()] != nil {
			e.changed(now, t, from.String())
		}
	}
}

// stepBFD moves one session and carries out what the state machine answers.
func (e *engine) stepBFD(now time.Time, s *bfdSession, ev bfd.Event) {
	e.bfd.acts = s.sm.Step(now, ev, e.bfd.acts[:0])
	for i := range e.bfd.acts {
		switch a := &e.bfd.acts[i]; a.Kind {
		case bfd.ActionSend:
			e.sendBFD(s, &a.Packet)
		case bfd.ActionDrop:
			s.discards[a.Discard]++
		case bfd.ActionNotify:
			e.bfdChanged(now, s, a.Transition)
		}
	}
	e.timers.fix(s)
}

// bfdChanged tells of a session's new state and lets those act whom it concerns.
func (e *engine) bfdChanged(now time.Time, s *bfdSession, t bfd.Transition) {
	s.why, s.code = bfdReason(s, t), t.Reason
	e.touched = true
	e.send(watchdog.Message{Event: &control.Event{
		Time: now, Generation: e.generation, Kind: "bfd", Subject: s.cfg.Name,
		From: t.From.String(), To: t.To.String(), Reason: s.why, Code: t.Reason.String(),
	}})
	// Only silence is a sign of death. A neighbour that says that its session is
	// down is alive, and one that takes it down stops in order.
	if t.From == bfd.Up && t.Reason == bfd.ReasonSilence && t.UpFor >= bfdProven {
		e.triggerBFD(now, s, t)
	}
	verdict := s.verdict
	switch {
	case t.To == bfd.Up:
		verdict, s.judgeAt = vrrp.Up, time.Time{}
	case t.From == bfd.Up && t.Reason == bfd.ReasonPeerDown:
		s.judgeAt = now.Add(bfdSettle)
	case t.From == bfd.Up && t.To == bfd.Down:
		verdict, s.judgeAt = vrrp.Down, time.Time{}
	}
	if verdict != s.verdict {
		s.verdict, s.judged = verdict, now
		e.review(now)
	}
}

// triggerBFD lets the backups of a dead neighbour take over. A router that is
// watched by several sessions, over one path each, lives while one of them is Up.
func (e *engine) triggerBFD(now time.Time, s *bfdSession, t bfd.Transition) {
	for _, r := range e.order {
		for _, c := range r.cfg.BFDTriggers {
			if c.Name == s.cfg.Name && !e.aliveBFD(r, c.Address) {
				e.step(r, now, vrrp.Event{
					Kind: vrrp.EventPeerDown, Src: c.Address, Interval: t.Detect,
					Cause: vrrp.Cause{Reason: vrrp.ReasonBFDDown, Peer: c.Address, Silence: t.Silence, Detail: s.cfg.Name},
				})
			}
		}
	}
}

// aliveBFD reports whether any session to a router that an instance lists is Up.
func (e *engine) aliveBFD(r *router, addr netip.Addr) bool {
	for _, s := range e.bfd.sessions {
		if s.sm.State() == bfd.Up && slices.Contains(r.cfg.BFDTriggers, config.BFDTrigger{Name: s.cfg.Name, Address: addr}) {
			return true
		}
	}
	return false
}

func bfdReason(s *bfdSession, t bfd.Transition) string {
	switch t.Reason {
	case bfd.ReasonStarted:
		return "started"
	case bfd.ReasonHandshake:
		if t.To == bfd.Up {
			return fmt.Sprintf("%s and this host hear each other", s.cfg.Neighbor)
		}
		return fmt.Sprintf("heard from %s", s.cfg.Neighbor)
	case bfd.ReasonSilence:
		return fmt.Sprintf("nothing heard from %s for %v", s.cfg.Neighbor, t.Silence.Round(100*time.Microsecond))
	case bfd.ReasonPeerDown:
		_, diag, _ := s.sm.Remote()
		return fmt.Sprintf("%s says that its session is down (%s)", s.cfg.Neighbor, diag)
	case bfd.ReasonPeerAdminDown:
		return fmt.Sprintf("%s says that its session was taken down", s.cfg.Neighbor)
	case bfd.ReasonStopped:
		return "stopped"
	}
	return t.Reason.String()
}

func (s *bfdSession) snapshot() control.BFD {
	state, diag, discr := s.sm.Remote()
	b := control.BFD{
		Name: s.cfg.Name, Neighbor: s.cfg.Neighbor, Interface: s.cfg.Interface, Multihop: s.cfg.Multihop,
		State: s.sm.State().String(), Since: s.sm.Since(), Reason: s.why, Code: s.code.String(), Verdict: s.verdict.String(), Diag: s.sm.Diag().String(),
		RemoteState: state.String(), RemoteDiag: diag.String(), Discr: s.sm.Discr(), RemoteDiscr: discr,
		TxInterval: s.sm.TxInterval(), RxInterval: s.sm.RxInterval(), DetectTime: s.sm.DetectTime(),
		Sent: s.sent, Received: s.received, Unsent: s.unsent, Discards: bfdDiscards(&s.discards),
	}
	if s.cfg.Source.IsValid() {
		b.Source = s.cfg.Source.String()
	}
	switch {
	case s.err != nil:
		b.Error = s.err.Error()
	case s.sendErr != nil:
		b.Error = s.sendErr.Error()
	}
	return b
}

func bfdDiscards(counts *[bfd.NumDiscards]uint64) map[string]uint64 {
	var m map[string]uint64
	for d, n := range counts {
		if n > 0 {
			if m == nil {
				m = make(map[string]uint64)
			}
			m[bfd.Discard(d).String()] = n
		}
	}
	return m
}
