package vrrpd

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"time"

	"director/internal/control"
	"director/vrrp"
	"director/vrrp/link"
)

// claims hears who says that it has our addresses on an interface.
type claims interface {
	Watch(addrs []netip.Addr) error
	Read(handle func(link.Claim)) error
	Close() error
}

const (
	// lookPeriod is how often the engine looks for what nobody wakes it for: other
	// hosts that claim our addresses, other VRIDs, alarms that are over.
	lookPeriod = time.Second
	// settling is how long after a change of MASTER, and two intervals, another
	// router may still say that it has the addresses.
	settling = 2 * time.Second
	// maxForeign bounds the VRIDs of others that are remembered for an interface.
	maxForeign = 8
)

// lookout is the engine's timer for looking around. It rests while there is
// neither a MASTER nor an alarm.
type lookout struct {
	next     time.Time
	heapSlot int
	devices  map[string]*device // that have virtual routers or addresses of ours

	// What the handlers work on; they are made once, so that looking around
	// allocates nothing.
	now       time.Time
	port      *port
	device    *device
	onForeign func(link.Datagram)
	onClaim   func(link.Claim)
}

func (l *lookout) deadline() time.Time { return l.next }

func (l *lookout) slot() *int { return &l.heapSlot }

// device is an interface that is watched for others who claim our addresses.
type device struct {
	name    string
	index   int
	claims  claims    // nil: not open
	routers []*router // that have something on it
	holders map[netip.Addr]*router
	active  bool // one of them is MASTER
	err     error
	failed  int
	since   time.Time
	retryAt time.Time
}

// foreigner is somebody who advertises a VRID that is not ours.
type foreigner struct {
	vrid uint8
	peer netip.Addr
	last time.Time
}

// lookOut starts the timer.
func (e *engine) lookOut(now time.Time) {
	if e.lookout.next.IsZero() {
		e.lookout.next = now.Add(lookPeriod)
		e.timers.fix(&e.lookout)
	}
}

// lookAround is the timer's work.
func (e *engine) lookAround(now time.Time) {
	busy := false
	for _, d := range e.lookout.devices {
		d.active = slices.ContainsFunc(d.routers, (*router).isMaster)
		busy = busy || d.active
		for _, family := range [...]vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
			if p := e.ports[portKey{device: d.name, family: family}]; d.active && p != nil && p.sock != nil {
				e.readForeign(now, p)
			}
		}
		e.readClaims(now, d)
	}
	for _, r := range e.order {
		if !r.alarms.Empty() {
			e.reviewAlarms(r, now)
			busy = busy || !r.alarms.Empty()
		}
	}
	e.lookout.next = time.Time{}
	if busy {
		e.lookout.next = now.Add(lookPeriod)
	}
	e.timers.fix(&e.lookout)
}

// readForeign looks at adverts of other VRIDs. One with an address of ours is
// from a router that should have our VRID.
func (e *engine) readForeign(now time.Time, p *port) {
	e.lookout.now, e.lookout.port = now, p
	if _, err := p.sock.Foreign(e.lookout.onForeign); err != nil {
		e.log.Debug("cannot read foreign adverts", "interface", p.key.device, "reason", err)
	}
}

func (e *engine) foreignAdvert(d link.Datagram) {
	now, p := e.lookout.now, e.lookout.port
	adv, why := vrrp.Parse(d.Payload, d.Src, d.Dst)
	if why != vrrp.DiscardNone {
		return
	}
	p.note(foreigner{adv.VRID, d.Src, now})
	for _, r := range e.lookout.devices[p.key.device].routers {
		if r.key.port() != p.key || !r.isMaster() {
			continue
		}
		own := r.sm.Settings()
		addr, ok := sharedAddress(&adv, own.Addresses)
		if !ok {
			continue
		}
		seen := r.alarms.See(now, vrrp.AlarmForeignVRID, vrrp.Who{Addr: d.Src}, uint64(adv.VRID), max(own.AdvertInterval, adv.Interval))
		if ev := seen.Describe; ev != nil {
			ev.VRID, ev.Priority, ev.Address = adv.VRID, adv.Priority, addr
			ev.Says = addressList(adv.Addresses(), adv.Address)
			ev.Here = addressList(len(own.Addresses), func(i int) netip.Addr { return own.Addresses[i] })
		}
		e.sighted(r, now, seen)
	}
}

// note remembers a foreigner in the place of the one that was heard last the
// longest time ago.
func (p *port) note(f foreigner) {
	i := slices.IndexFunc(p.foreign, func(o foreigner) bool { return o.vrid == f.vrid && o.peer == f.peer })
	switch {
	case i >= 0:
		p.foreign[i].last = f.last
	case len(p.foreign) < maxForeign:
		p.foreign = append(p.foreign, f)
	default:
		oldest := slices.MinFunc(p.foreign, func(a, b foreigner) int { return a.last.Compare(b.last) })
		p.foreign[slices.Index(p.foreign, oldest)] = f
	}
}

// configureLookout lists the interfaces that have virtual addresses.
func (e *engine) configureLookout() {
	old := e.lookout.devices
	e.lookout.devices = make(map[string]*device)
	used := func(name string, r *router) *device {
		d := e.lookout.devices[name]
		if d == nil {
			d = &device{name: name, holders: make(map[netip.Addr]*router)}
			e.lookout.devices[name] = d
		}
		if n := len(d.routers); n == 0 || d.routers[n-1] != r {
			d.routers = append(d.routers, r)
		}
		return d
	}
	for _, r := range e.order {
		used(r.key.device, r)
		for _, i := range r.items {
			if a, ok := i.address(); ok {
				used(a.Device, r).holders[a.Prefix.Addr()] = r
			}
		}
	}
	for name, d := range old {
		next := e.lookout.devices[name]
		if next == nil || d.claims == nil || e.watch(next, d.claims) != nil {
			d.close()
			continue
		}
		next.claims, next.index = d.claims, d.index
	}
}

func (e *engine) watch(d *device, c claims) error {
	addrs := make([]netip.Addr, 0, len(d.holders))
	for a := range d.holders {
		addrs = append(addrs, a)
	}
	return c.Watch(addrs)
}

func (d *device) close() {
	if d.claims != nil {
		_ = d.claims.Close() // nothing is lost with it
		d.claims = nil
	}
}

// readClaims looks for other hosts that say they have our addresses. What has
// gathered while no router of the device was MASTER is read while the first one is
// not settled yet, and says nothing.
func (e *engine) readClaims(now time.Time, d *device) {
	ifi, ok := e.link(d.name)
	if !ok || ifi.Index != d.index {
		d.close()
	}
	if !d.active || !ok || ifi.NoARP {
		return
	}
	if d.claims == nil && !e.openClaims(now, d, ifi) {
		return
	}
	e.lookout.now, e.lookout.device = now, d
	if err := d.claims.Read(e.lookout.onClaim); err != nil {
		e.claimsFailed(now, d, err)
	}
}

func (e *engine) claimed(c link.Claim) {
	now, d := e.lookout.now, e.lookout.device
	r := d.holders[c.Addr]
	if r == nil || !r.settled(now) || e.ownMAC(c.MAC) {
		return
	}
	seen := r.alarms.See(now, vrrp.AlarmForeignMAC, vrrp.Who{MAC: c.MAC}, 0, r.sm.Settings().AdvertInterval)
	if ev := seen.Describe; ev != nil {
		ev.Address, ev.Says = c.Addr, d.name
	}
	e.sighted(r, now, seen)
}

func (r *router) isMaster() bool { return r.sm.State() == vrrp.Master }

// settled says that the router has been the only MASTER for long enough.
func (r *router) settled(now time.Time) bool {
	calm := settling + 2*r.sm.Settings().AdvertInterval
	return r.isMaster() && now.Sub(r.sm.Since()) > calm && now.Sub(r.rivalAt) > calm
}

// ownMAC reports whether an interface of this host has a hardware address.
func (e *engine) ownMAC(mac [6]byte) bool {
	for _, l := range e.links {
		if bytes.Equal(l.HardwareAddr, mac[:]) {
			return true
		}
	}
	return false
}

func (e *engine) openClaims(now time.Time, d *device, ifi link.Interface) bool {
	if now.Before(d.retryAt) {
		return false
	}
	c, err := e.net.OpenClaims(ifi)
	if err == nil {
		if err = e.watch(d, c); err != nil {
			_ = c.Close()
		}
	}
	if err != nil {
		e.claimsFailed(now, d, err)
		return false
	}
	d.claims, d.index, d.err, d.failed = c, ifi.Index, nil, 0
	return true
}

// claimsFailed records a failure of the kernel; it is shown, and tried again later.
func (e *engine) claimsFailed(now time.Time, d *device, err error) {
	d.close()
	if d.failed == 0 {
		d.since = now
		e.log.Warn("cannot watch who claims addresses", "interface", d.name, "reason", err)
	}
	d.failed++
	d.err, d.retryAt = err, now.Add(backoff(d.failed))
	e.touched = true
}

// outlook adds to a snapshot what looking around has shown.
func (e *engine) outlook(v *control.VRRP) {
	for _, r := range e.order {
		v.Alarms = alarmsOf(r, v.Alarms)
	}
	names := slices.Sorted(maps.Keys(e.lookout.devices))
	for _, name := range names {
		if d := e.lookout.devices[name]; d.err != nil {
			v.Failures = append(v.Failures, control.Failure{
				What: "watch who claims addresses on " + name, Error: d.err.Error(), Since: d.since, Count: d.failed,
			})
		}
	}
	for _, name := range names {
		for _, p := range e.portsOf(name) {
			for _, f := range p.foreign {
				v.Foreign = append(v.Foreign, control.ForeignVRID{Interface: name, VRID: f.vrid, Peer: f.peer, LastHeard: f.last})
			}
		}
	}
}
