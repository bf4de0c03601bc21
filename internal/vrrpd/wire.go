package vrrpd

import (
	"fmt"
	"time"

	"director/vrrp"
	"director/vrrp/link"
)

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
