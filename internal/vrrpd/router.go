package vrrpd

import (
	"fmt"
	"net/netip"
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
	"director/vrrp/link"
)

// routerKey is what makes a virtual router the same one across reloads: its
// place on the wire, not its name.
type routerKey struct {
	device string
	vrid   uint8
}

// router is one virtual router at run time: the state machine, and everything
// around it that the state machine must not know.
type router struct {
	id  string // names the router to the worker; never used twice
	key routerKey
	cfg *config.Instance
	sm  *vrrp.Instance

	started bool
	source  netip.Addr
	addrs   []*address
	tracks  []track
	faults  []fault // why the router cannot serve, oldest first
	waiting string  // why it has not been started yet

	resume   bool                // start as MASTER: we were it a moment ago
	farewell *control.Event      // told when the last address is off
	retryAt  time.Time           // next attempt of a failed address, zero = none
	advert   []byte              // reused for each advert
	lastSent time.Time           // of the newest advert
	heapSlot int                 // index in the engine's timer heap
	counters counters            //
	pending  int                 // removals that the worker has not reported yet
	warned   [numWarnings]string // the newest warning of each kind, so that it is logged once
	notes    []priority          // terms of the effective priority, for status
}

// priority is one term of the effective priority with its origin.
type priority struct {
	source string
	term   vrrp.Term
}

type counters struct {
	sent, heard uint64
	discards    [32]uint64 // by vrrp.Discard
}

// fault is one present reason to be in FAULT.
type fault struct {
	key   string // such as "interface eth0"
	cause vrrp.Cause
}

// track is the use of a script by a router.
type track struct {
	script *script
	weight int
}

// address is one virtual address and what the kernel is known to hold.
type address struct {
	prefix    netip.Prefix
	device    string
	label     string
	wanted    bool // the router is MASTER
	installed bool // the kernel has it, as far as we know
	err       error
	failures  int
	since     time.Time // of the first failure in a row
	retryAt   time.Time
	repairing bool // somebody else removed it and it is being put back
}

func (a *address) link() link.Address {
	return link.Address{Prefix: a.prefix, Device: a.device, Label: a.label}
}

// settings translates the configuration into the state machine's terms.
func settings(c *config.Instance) vrrp.Settings {
	s := vrrp.Settings{
		VRID:           c.VRID,
		Version:        uint8(c.Version),
		Priority:       c.Priority,
		AdvertInterval: c.AdvertInterval.D(),
		Preempt:        !c.NoPreempt,
		GarpRepeat:     c.Garp.Repeat,
		GarpDelay:      c.Garp.Delay.D(),
		GarpRefresh:    c.Garp.Refresh.D(),
	}
	for _, a := range c.Addresses {
		s.Addresses = append(s.Addresses, a.Prefix.Addr())
	}
	if c.Authentication.Type == "PASS" {
		s.AuthType = vrrp.AuthPass
		copy(s.Password[:], c.Authentication.Password)
	}
	return s
}

// addresses lists the configured virtual addresses, those in adverts first.
func addresses(c *config.Instance) []*address {
	var all []*address
	add := func(list []config.VirtualAddress) {
		for _, v := range list {
			dev := v.Device
			if dev == "" {
				dev = c.Interface
			}
			all = append(all, &address{prefix: v.Prefix, device: dev, label: v.Label})
		}
	}
	add(c.Addresses)
	add(c.Excluded)
	return all
}

// address finds the router's record of an address that the worker reports on.
func (r *router) address(l link.Address) *address {
	for _, a := range r.addrs {
		if a.link() == l {
			return a
		}
	}
	return nil
}

// deadline is when the router next needs the loop.
func (r *router) deadline() time.Time {
	d := r.sm.Deadline()
	if d.IsZero() || (!r.retryAt.IsZero() && r.retryAt.Before(d)) {
		return r.retryAt
	}
	return d
}

func (r *router) slot() *int { return &r.heapSlot }

// effective computes the priority from the base and the tracking terms, and
// keeps the terms for status.
func (r *router) effective() uint8 {
	r.notes = r.notes[:0]
	var terms []vrrp.Term
	for _, t := range r.tracks {
		if t.weight == 0 {
			continue
		}
		term := vrrp.Term{Weight: t.weight, Verdict: t.script.debounce.Verdict()}
		terms = append(terms, term)
		r.notes = append(r.notes, priority{"script " + t.script.cfg.Name, term})
	}
	return vrrp.EffectivePriority(r.cfg.Priority, terms)
}

// gate names a script without weight that has no verdict yet: until then
// nobody can say whether this router may serve.
func (r *router) gate() string {
	for _, t := range r.tracks {
		if t.weight == 0 && t.script.debounce.Verdict() == vrrp.Unknown {
			return fmt.Sprintf("waiting for the first verdict of script %s", t.script.cfg.Name)
		}
	}
	return ""
}

func (r *router) snapshot() control.Instance {
	cause := r.sm.Cause()
	s := control.Instance{
		Name:           r.cfg.Name,
		Interface:      r.cfg.Interface,
		VRID:           r.cfg.VRID,
		Version:        uint8(r.cfg.Version),
		State:          r.sm.State().String(),
		Since:          r.sm.Since(),
		Reason:         cause.String(),
		Code:           cause.Reason.String(),
		Priority:       int(r.sm.Priority()),
		BasePriority:   int(r.cfg.Priority),
		AdvertInterval: r.sm.Interval(),
		Transitions:    r.sm.Transitions(),
		AdvertsSent:    r.counters.sent,
		AdvertsHeard:   r.counters.heard,
	}
	if !r.started && r.waiting != "" {
		s.Reason, s.Code = r.waiting, "waiting"
	}
	if master, prio := r.sm.Master(); master.IsValid() {
		s.Master, s.MasterPriority = master.String(), int(prio)
	}
	if r.source.IsValid() {
		s.Source = r.source.String()
	}
	if !r.lastSent.IsZero() {
		s.Mono = link.Monotonic() - int64(time.Since(r.lastSent))
	}
	for _, p := range r.notes {
		s.Terms = append(s.Terms, control.PriorityTerm{
			Source: p.source,
			Value:  p.term.Value(),
			Up:     p.term.Verdict == vrrp.Up,
			Note:   fmt.Sprintf("%s, weight %d", p.term.Verdict, p.term.Weight),
		})
	}
	for _, a := range r.addrs {
		ca := control.Address{Prefix: a.prefix, Device: a.device, Installed: a.installed}
		if a.err != nil {
			ca.Error = a.err.Error()
		}
		s.Addresses = append(s.Addresses, ca)
	}
	for _, d := range vrrp.Discards() {
		if n := r.counters.discards[d]; n > 0 {
			if s.Discards == nil {
				s.Discards = make(map[string]uint64)
			}
			s.Discards[d.String()] = n
		}
	}
	return s
}
