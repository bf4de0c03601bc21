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
	if r.sentIn == e.round && r.sentPrio == prio {
		// A MASTER that was stalled may find many adverts of a router that took over
		// meanwhile; it answers all of them with one.
		return
	}
	sent := e.sendOver(r, now, e.ports[r.sendsBy(r.key)], prio, r.sm.Settings(), r.source)
	for i := range r.paths {
		p := &r.paths[i]
		switch {
		case p.cfg == nil && sent:
			p.sent++
		// Without an address on its own link it has never been MASTER, and could not
		// say who it is.
		case p.cfg != nil && p.down == "" && r.source.IsValid() && e.sendOver(r, now, e.ports[r.sendsBy(p.key)], prio, &p.set, p.source):
			p.sent++
			sent = true
		}
	}
	if !sent {
		return
	}
	r.counters.sent++
	r.lastSent, r.sentIn, r.sentPrio = now, e.round, prio
}

// sendOver queues the advert on one port, and says false when it cannot.
func (e *engine) sendOver(r *router, now time.Time, p *port, prio uint8, set *vrrp.Settings, source netip.Addr) bool {
	if p == nil || p.sock == nil || !source.IsValid() {
		return false
	}
	r.auth.trailer = nil
	if !set.Unicast() && !e.queueAdvert(r, now, p, prio, set, source, set.Multicast(), vrrp.TTL) {
		return false
	}
	for i := range set.Peers {
		// A list that is the same on all routers names this one as well.
		if to := set.Peers[i].Addr; to != source && !e.queueAdvert(r, now, p, prio, set, source, to, set.TTL) {
			return false
		}
	}
	if !p.queued {
		p.queued = true
		e.dirty = append(e.dirty, p)
	}
	e.waiting++
	return true
}

// queueAdvert queues the advert for one destination: the checksum of version 3
// covers it, and so does an authentication header. The trailer of HMAC is the
// same for all.
func (e *engine) queueAdvert(r *router, now time.Time, p *port, prio uint8, set *vrrp.Settings, src, dst netip.Addr, ttl uint8) bool {
	var err error
	if r.advert, err = vrrp.AppendAdvert(r.advert[:0], set, prio, src, dst); err != nil {
		if r.warn(warnSend, warning{text: err.Error(), at: now}) {
			e.log.Warn("cannot send advert", "instance", r.cfg.Name, "reason", err)
		}
		return false
	}
	switch {
	case r.auth.hmac != nil:
		if r.auth.trailer == nil {
			r.auth.trailer = r.auth.hmac.Sign(r.advert, src, now)
		}
		r.advert = append(r.advert, r.auth.trailer...)
	case r.auth.ah != nil:
		r.packet = r.auth.ah.AppendPacket(r.packet[:0], r.advert, src, dst, ttl)
		return e.queue(r, now, p, src, dst, ttl, r.packet)
	}
	return e.queue(r, now, p, src, dst, ttl, r.advert)
}

// queue hands a packet to the socket, under the MAC address that the router sends
// from on its own interface.
func (e *engine) queue(r *router, now time.Time, p *port, src, dst netip.Addr, ttl uint8, packet []byte) bool {
	if r.vmac.device == "" || r.vmac.base || p.key.device != r.key.device {
		p.sock.Queue(src, dst, ttl, packet)
		return true
	}
	if err := p.sock.QueueFrom(r.vmac.mac, src, dst, ttl, packet); err != nil {
		if r.warn(warnSend, warning{text: err.Error(), at: now}) {
			e.log.Warn("cannot send advert", "instance", r.cfg.Name, "reason", err)
		}
		return false
	}
	return true
}

// receive takes one datagram from the socket of a device.
func (e *engine) receive(device string, d link.Datagram) {
	pdu := message(&d)
	adv, why := vrrp.Parse(pdu, d.Src, d.Dst)
	vrid := adv.VRID
	if v, ok := vrrp.PeekVRID(pdu); ok {
		vrid = v
	}
	key := routerKey{device, vrid, vrrp.FamilyOf(d.Src)}
	r := e.routers[key]
	if r == nil {
		r = e.guests[key]
	}
	if r == nil {
		return
	}
	way, set, own := 0, r.sm.Settings(), r.source
	if len(r.paths) > 0 {
		if way = r.way(device, d.Src, d.Dst); way > 0 {
			set, own = &r.paths[way].set, r.paths[way].source
		}
	}
	if i := set.Peer(d.Src); way == 0 && i >= 0 && !d.Dst.IsMulticast() {
		r.peers[i].heard++
		r.peers[i].last = d.Arrival
	}
	if why == vrrp.DiscardNone {
		why = set.Check(&adv, d.Src, d.Dst, d.TTL)
	}
	from := d.Src
	if why == vrrp.DiscardNone {
		if sender, ok := adv.TakeSender(); ok {
			from = sender
		} else if way > 0 {
			why = vrrp.DiscardNoHeartbeat
		}
	}
	if why == vrrp.DiscardNone && (d.Src == own || from == r.source) {
		why = vrrp.DiscardOwnPacket
	}
	if why == vrrp.DiscardNone {
		why = r.verify(&adv, &d)
	}
	if why == vrrp.DiscardNone && r.sm.State() != vrrp.Backup && r.sm.State() != vrrp.Master {
		why = vrrp.DiscardState
	}
	if why != vrrp.DiscardNone {
		r.drop(why, &d)
		if why == vrrp.DiscardState {
			r.observe(&adv, from)
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
	e.noteHeard(r, way, from, d.Arrival)
	e.compare(r, &adv, &d)
	var answered time.Time
	if r.sm.State() == vrrp.Master && r.sentIn < e.round {
		answered = r.lastSent
	}
	// The packet counts from its arrival, not from when a stalled process got
	// round to reading it.
	e.step(r, d.Arrival, vrrp.Event{
		Kind: vrrp.EventAdvert, Src: from, Priority: adv.Priority, Interval: adv.Interval,
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
