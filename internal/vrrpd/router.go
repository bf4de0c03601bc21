package vrrpd

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
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
	family vrrp.Family
}

// port is the place of its socket.
func (k routerKey) port() portKey { return portKey{device: k.device, family: k.family} }

// router is one virtual router at run time: the state machine, and everything
// around it that the state machine must not know.
type router struct {
	holding           // the addresses, routes and rules that it holds as MASTER
	generation uint64 // of the configuration that cfg belongs to
	key        routerKey
	cfg        *config.Instance
	sm         *vrrp.Instance
	subject    *subject
	reached    vrrp.State // the newest state that the state machine told of
	group      *group     // nil: on its own
	member     int        // its index in the group

	started bool
	source  netip.Addr
	vmac    vmac
	needs   []string // interfaces without which it cannot serve
	tracks  []track
	peers   []peer // of unicast, in the order of the settings
	paths   []path // the own link and the heartbeat paths; nil without any of these
	watch   vrrp.PathWatch
	judge   bool    // listed in engine.judged
	faults  []fault // why the router cannot serve, oldest first
	waiting string  // why it has not been started yet

	observed         netip.Addr // INIT and FAULT: who advertises
	observedPriority uint8

	ordered  *control.Override    // what an operator has ordered, nil: nothing
	resume   bool                 // start as MASTER: we were it a moment ago
	moved    bool                 // left, and its name goes on at another place
	advert   []byte               // reused for each advert
	packet   []byte               // reused for each with an authentication header
	auth     auth                 //
	sentIn   uint64               // engine.round of the newest advert
	sentPrio uint8                // and its priority
	lastSent time.Time            // of the newest advert
	heapSlot int                  // index in the engine's timer heap
	counters counters             //
	unlock   bool                 // its lock is given up when no removal is pending any more
	warned   [numWarnings]warning // the newest warning of each kind, so that it is logged once
	alarms   vrrp.Alarms
	rivalAt  time.Time // when another MASTER that has to give way was heard last
}

type counters struct {
	sent, heard uint64
	discards    [32]uint64 // by vrrp.Discard
	dropped     *drops     // nil: nothing was
	checksums   [2]uint64  // of accepted adverts of version 3, by vrrp.ChecksumForm
	globalFirst uint64     // accepted adverts over IPv6 whose first address is not link-local
}

// fault is one present reason to be in FAULT.
type fault struct {
	key   string // such as "interface eth0"
	cause vrrp.Cause
}

// peer is what was heard of a unicast peer.
type peer struct {
	addr  netip.Addr
	heard uint64 // packets of our VRID, those that were dropped as well
	last  time.Time
}

// families lists the address families of an instance, IPv4 first: each gets a
// router of its own.
func families(c *config.Instance) []vrrp.Family {
	var list []vrrp.Family
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		if c.Family(f == vrrp.IPv6) {
			list = append(list, f)
		}
	}
	return list
}

// familySettings translates what the configuration says of one family into the
// state machine's terms.
func familySettings(c *config.Instance, family vrrp.Family) vrrp.Settings {
	s := vrrp.Settings{
		VRID:           c.VRID,
		Family:         family,
		Group:          c.Group.Of(family == vrrp.IPv6),
		Version:        uint8(c.Version),
		Priority:       c.Priority,
		AdvertInterval: c.AdvertInterval.D(),
		Preempt:        !c.NoPreempt,
		GarpRepeat:     c.Garp.Repeat,
		GarpDelay:      c.Garp.Delay.D(),
		GarpRefresh:    c.Garp.Refresh.D(),

		PreemptDelay:       c.PreemptDelay.D(),
		DownAdverts:        c.DownTimerAdverts,
		LowerPrioNoAdvert:  c.LowerPrioNoAdvert,
		HigherPrioSilent:   !c.HigherPrioSendAdvert,
		OwnerIgnoreAdverts: c.OwnerIgnoreAdverts,
		GarpRefreshRepeat:  c.Garp.RefreshRepeat,
		GarpLowerRepeat:    c.Garp.LowerPrioRepeat,
		GarpLowerDelay:     c.Garp.LowerPrioDelay.D(),
	}
	for _, a := range c.Addresses {
		if addr := a.Prefix.Addr(); vrrp.FamilyOf(addr) == family {
			s.Addresses = append(s.Addresses, addr)
		}
	}
	if c.Checksum == vrrp.ChecksumPlain.String() {
		s.Checksum = vrrp.ChecksumPlain
	}
	if family == vrrp.IPv6 {
		// The link-local address comes first (RFC 9568 section 5.2.9).
		slices.SortStableFunc(s.Addresses, func(a, b netip.Addr) int {
			switch la, lb := a.IsLinkLocalUnicast(), b.IsLinkLocalUnicast(); {
			case la == lb:
				return 0
			case la:
				return -1
			}
			return 1
		})
	}
	if c.Unicast() {
		s.TTL = c.UnicastTTL
		for _, p := range c.Peers {
			if vrrp.FamilyOf(p.Address) != family {
				continue
			}
			s.Peers = append(s.Peers, vrrp.Peer{Addr: p.Address, MinTTL: p.MinTTL, MaxTTL: p.MaxTTL})
		}
	}
	switch c.Authentication.Type {
	case config.AuthPASS:
		s.AuthType, s.Password = vrrp.AuthPass, password(&c.Authentication)
	case config.AuthAH:
		s.AuthType = vrrp.AuthAH
	}
	return s
}

// meet gives the router its unicast peers. What was heard of one that it had
// already is kept.
func (r *router) meet(list []vrrp.Peer) {
	old := r.peers
	r.peers = make([]peer, len(list))
	for i, p := range list {
		r.peers[i].addr = p.Addr
		if j := slices.IndexFunc(old, func(o peer) bool { return o.addr == p.Addr }); j >= 0 {
			r.peers[i] = old[j]
		}
	}
}

// need adds an interface to those without which the router cannot serve.
func (r *router) need(name string) {
	if !slices.Contains(r.needs, name) {
		r.needs = append(r.needs, name)
	}
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

// effective computes the priority from the base and the tracking terms, unless an
// operator has ordered another.
func (r *router) effective() uint8 {
	switch r.ordered.What() {
	case control.VerbRelease:
		return releasedPriority
	case control.VerbPrefer:
		return preferredPriority
	}
	if len(r.tracks) == 0 {
		return r.cfg.Priority
	}
	terms := make([]vrrp.Term, len(r.tracks))
	for i, t := range r.tracks {
		terms[i] = t.term()
	}
	return vrrp.EffectivePriority(r.cfg.Priority, terms)
}

// gate names a tracker without weight that has no verdict yet: until then
// nobody can say whether this router may serve.
func (r *router) gate() string {
	for _, t := range r.tracks {
		if t.term().Open() {
			return fmt.Sprintf("waiting for the first verdict of %s", t.id())
		}
	}
	return ""
}

func (r *router) snapshot() control.Instance {
	cause := r.sm.Cause()
	s := control.Instance{
		Name:           r.cfg.Name,
		Family:         r.key.family.String(),
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
	if r.group != nil && !r.group.pair {
		s.Group = r.group.cfg.Name
	}
	s.GlobalFirst = r.counters.globalFirst
	for form, n := range r.counters.checksums {
		if n > 0 {
			if s.Checksums == nil {
				s.Checksums = make(map[string]uint64)
			}
			s.Checksums[vrrp.ChecksumForm(form).String()] = n
		}
	}
	if set := r.sm.Settings(); !set.Unicast() {
		s.MulticastGroup = set.Multicast().String()
	}
	if !r.started && r.waiting != "" {
		s.Reason, s.Code = r.waiting, "waiting"
	}
	if master, prio := r.sm.Master(); master.IsValid() {
		s.Master, s.MasterPriority = master.String(), int(prio)
	} else if r.observed.IsValid() && (r.sm.State() == vrrp.Init || r.sm.State() == vrrp.Fault) {
		s.Master, s.MasterPriority = r.observed.String(), int(r.observedPriority)
	}
	s.Override = r.ordered
	s.PreemptsAt = r.sm.PreemptsAt()
	s.Gates, s.HeldBack, s.Preparing = gateStatus(r), r.sm.HeldBack(), r.sm.Preparing()
	if r.source.IsValid() {
		s.Source = r.source.String()
	}
	if !r.lastSent.IsZero() {
		s.Mono = link.Monotonic() - int64(time.Since(r.lastSent))
	}
	s.Authentication = r.authSnapshot()
	for _, p := range r.peers {
		s.Peers = append(s.Peers, control.Peer{Address: p.addr, Heard: p.heard, LastHeard: p.last, Self: p.addr == r.source})
	}
	s.Paths = r.snapshotPaths()
	for _, t := range r.tracks {
		s.Terms = append(s.Terms, t.explain())
	}
	s.VMAC = r.vmac.snapshot(&r.holding)
	for _, i := range r.items {
		st := i.status(r.own(i))
		switch v := i.Item.(type) {
		case link.Address:
			s.Addresses = append(s.Addresses, control.Address{
				Prefix: v.Prefix, Device: v.Device, Installed: i.installed, Own: st.Own, Error: st.Error,
			})
		case *link.Route:
			s.Routes = append(s.Routes, st)
		case *link.Rule:
			s.Rules = append(s.Rules, st)
		case link.Block:
			s.Blocks = append(s.Blocks, st)
		}
	}
	for m, n := range r.sm.Moves() {
		s.Moves = append(s.Moves, control.Move{To: m.To.String(), Code: m.Reason.String(), Count: n})
	}
	slices.SortFunc(s.Moves, func(a, b control.Move) int { return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.Code, b.Code)) })
	for d, n := range r.counters.discards {
		if n > 0 {
			if s.Discards == nil {
				s.Discards = make(map[string]uint64)
			}
			s.Discards[vrrp.Discard(d).String()] = n
			note := &r.counters.dropped[d]
			s.Dropped = append(s.Dropped, control.Dropped{
				Reason: vrrp.Discard(d).String(), Count: n, Last: note.last, Peer: note.peer,
			})
		}
	}
	return s
}
