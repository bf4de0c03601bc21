package vrrpd

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"director/vrrp"
	"director/vrrp/link"
)

// sendAdvert queues an advert; flush sends all queued ones together.
func (e *engine) sendAdvert(r *router, now time.Time, prio uint8) {
	p := e.ports[r.key.port()]
	if p == nil || p.sock == nil || !r.source.IsValid() {
		return
	}
	if r.sentIn == e.round && r.sentPrio == prio {
		// A MASTER that was stalled may find many adverts of a router that took over
		// meanwhile; it answers all of them with one.
		return
	}
	set := r.sm.Settings()
	if !set.Unicast() {
		if !e.queueAdvert(r, now, p, prio, set.Multicast(), vrrp.TTL) {
			return
		}
	}
	for i := range set.Peers {
		// A list that is the same on all routers names this one as well.
		if to := set.Peers[i].Addr; to != r.source && !e.queueAdvert(r, now, p, prio, to, set.TTL) {
			return
		}
	}
	if !p.queued {
		p.queued = true
		e.dirty = append(e.dirty, p)
	}
	r.counters.sent++
	r.lastSent, r.sentIn, r.sentPrio = now, e.round, prio
}

// queueAdvert queues the advert for one destination: the checksum of version 3
// covers it.
func (e *engine) queueAdvert(r *router, now time.Time, p *port, prio uint8, dst netip.Addr, ttl uint8) bool {
	var err error
	if r.advert, err = vrrp.AppendAdvert(r.advert[:0], r.sm.Settings(), prio, r.source, dst); err != nil {
		if r.warn(warnSend, warning{text: err.Error(), at: now}) {
			e.log.Warn("cannot send advert", "instance", r.cfg.Name, "reason", err)
		}
		return false
	}
	p.sock.Queue(r.source, dst, ttl, r.advert)
	return true
}

// receive takes one datagram from the socket of a device.
func (e *engine) receive(device string, d link.Datagram) {
	adv, why := vrrp.Parse(d.Payload, d.Src, d.Dst)
	vrid := adv.VRID
	if v, ok := vrrp.PeekVRID(d.Payload); ok {
		vrid = v
	}
	r := e.routers[routerKey{device, vrid, vrrp.FamilyOf(d.Src)}]
	if r == nil {
		return
	}
	set := r.sm.Settings()
	if i := set.Peer(d.Src); i >= 0 && !d.Dst.IsMulticast() {
		r.peers[i].heard++
		r.peers[i].last = d.Arrival
	}
	if why == vrrp.DiscardNone {
		why = set.Check(&adv, d.Src, d.Dst, d.TTL)
	}
	if why == vrrp.DiscardNone && d.Src == r.source {
		why = vrrp.DiscardOwnPacket
	}
	if why == vrrp.DiscardNone && r.sm.State() != vrrp.Backup && r.sm.State() != vrrp.Master {
		why = vrrp.DiscardState
	}
	if why != vrrp.DiscardNone {
		r.drop(why, &d)
		if why == vrrp.DiscardState {
			r.observe(&adv, d.Src)
		}
		if why != vrrp.DiscardState {
			e.suspect(r, &adv, why, &d)
		}
		return
	}
	r.counters.heard++
	if adv.Version == 3 {
		r.counters.checksums[adv.Checksum]++
	}
	if !adv.LinkLocalFirst() {
		r.counters.globalFirst++
	}
	e.compare(r, &adv, &d)
	var answered time.Time
	if r.sm.State() == vrrp.Master && r.sentIn < e.round {
		answered = r.lastSent
	}
	// The packet counts from its arrival, not from when a stalled process got
	// round to reading it.
	e.step(r, d.Arrival, vrrp.Event{
		Kind: vrrp.EventAdvert, Src: d.Src, Priority: adv.Priority, Interval: adv.Interval,
	})
	if r.sm.State() == vrrp.Master {
		e.rival(r, &adv, &d, answered)
	}
}

// observe notes who is MASTER while this router takes no part, for status.
func (r *router) observe(adv *vrrp.Advert, src netip.Addr) {
	r.observed, r.observedPriority = src, adv.Priority
	if adv.Priority == vrrp.PriorityStop {
		r.observed = netip.Addr{}
	}
}

// The kinds of warnings that repeat.
const (
	warnSend = iota
	warnDiscard
	warnAnnounce
	numWarnings
)

// warning is what tells a warning from another one of its kind.
type warning struct {
	text string
	peer netip.Addr
	at   time.Time
}

// warnPause is the least time between two warnings of one kind: two peers that
// are both wrong, or a flood from made-up addresses, do not fill the log. What
// is left out is counted.
const warnPause = time.Minute

// warn reports whether a warning is to be logged: it is not the same as the
// last one of its kind, nor too soon after it.
func (r *router) warn(kind int, w warning) bool {
	last := &r.warned[kind]
	if last.text == w.text && last.peer == w.peer || !last.at.IsZero() && w.at.Sub(last.at) < warnPause {
		return false
	}
	*last = w
	return true
}

// warnPort logs that adverts could not be sent, one line for all of them.
func (e *engine) warnPort(p *port, now time.Time, err error) {
	text := err.Error()
	var first *link.SendError
	if errors.As(err, &first) {
		text = first.Error()
	}
	if p.warned == text || now.Sub(p.warnedAt) < warnPause {
		return
	}
	p.warned, p.warnedAt = text, now
	e.log.Warn("cannot send adverts", "interface", p.key.device, "reason", text)
}

// addressList writes the first few of n addresses.
func addressList(n int, at func(int) netip.Addr) string {
	const shown = 4
	var list []string
	for i := range min(n, shown) {
		list = append(list, at(i).String())
	}
	if n > shown {
		list = append(list, fmt.Sprintf("%d more", n-shown))
	}
	return strings.Join(list, ", ")
}
