package vrrpd

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"director/vrrp"
)

// portKey is the place of a socket: one for each family of an interface, and one
// more for adverts with an authentication header where an instance uses them.
type portKey struct {
	device string
	family vrrp.Family
	ah     bool
}

// port is a used interface with its socket for one family.
type port struct {
	key      portKey
	vrids    []uint8
	groups   []netip.Addr
	sock     socket // nil while the interface is absent or opening failed
	queued   bool   // listed in engine.dirty
	err      error
	retryAt  time.Time
	failed   int
	warned   string    // the newest error of sending, so that it is logged once
	warnedAt time.Time //
	foreign  []foreigner
	heapSlot int
}

func (p *port) deadline() time.Time { return p.retryAt }

func (p *port) slot() *int { return &p.heapSlot }

// portsOf returns the ports of an interface.
func (e *engine) portsOf(device string) []*port {
	var list []*port
	for _, key := range []portKey{{device, vrrp.IPv4, false}, {device, vrrp.IPv6, false}, {device, vrrp.IPv4, true}} {
		if p := e.ports[key]; p != nil {
			list = append(list, p)
		}
	}
	return list
}

// openPorts opens the sockets that are needed, closes those that are not, and
// tells each which virtual routers it is for. Only a missing permission is an
// error: it cannot pass by itself.
func (e *engine) openPorts(now time.Time) error {
	type audience struct {
		vrids  []uint8
		groups []netip.Addr
	}
	wanted := make(map[portKey]*audience)
	want := func(key portKey, r *router) {
		w := wanted[key]
		if w == nil {
			w = &audience{}
			wanted[key] = w
		}
		if !slices.Contains(w.vrids, r.key.vrid) {
			w.vrids = append(w.vrids, r.key.vrid)
		}
		// The group is joined by those who speak by unicast, too: an advert that comes
		// in the wrong way is counted.
		if g := r.sm.Settings().Multicast(); !slices.Contains(w.groups, g) {
			w.groups = append(w.groups, g)
		}
	}
	for _, r := range e.order {
		want(r.key.port(), r)
		// Who uses the authentication header hears adverts without it, too, to count them.
		if key := r.sendsBy(r.key); key.ah {
			want(key, r)
		}
		for i := range r.paths {
			p := &r.paths[i]
			if p.cfg == nil || p.key == r.key {
				continue
			}
			want(p.key.port(), r)
			if key := r.sendsBy(p.key); key.ah {
				want(key, r)
			}
		}
	}
	for key, p := range e.ports {
		if wanted[key] == nil {
			// The good-byes of routers that just left are still queued here.
			if p.sock != nil && p.queued {
				_ = p.sock.Flush() // best effort: the socket is closed next
			}
			p.closePort()
			e.timers.remove(p)
			delete(e.ports, key)
		}
	}
	var final error
	for key, w := range wanted {
		p := e.ports[key]
		if p == nil {
			p = &port{key: key}
			e.ports[key] = p
			e.timers.add(p)
		}
		same := slices.Equal(p.vrids, w.vrids) && slices.Equal(p.groups, w.groups)
		p.vrids, p.groups = w.vrids, w.groups
		if p.sock != nil && !same {
			if err := p.listen(p.sock); err != nil {
				// Deaf to a new VRID, its router would become a second MASTER.
				e.log.Error("cannot set packet filter", "interface", key.device, "reason", err)
				p.closePort()
			}
		}
		if p.sock == nil {
			e.openPort(now, p)
		}
		if errors.Is(p.err, fs.ErrPermission) {
			final = p.err
		}
	}
	return final
}

// listen tells a socket what to hear.
func (p *port) listen(sock socket) error {
	return errors.Join(sock.SetGroups(p.groups), sock.SetVRIDs(p.vrids))
}

// openPort opens the socket of a port whose interface exists. A failure is
// retried with back-off.
func (e *engine) openPort(now time.Time, p *port) {
	p.retryAt = time.Time{}
	defer func() { e.timers.fix(p) }()
	ifi, ok := e.link(p.key.device)
	if !ok {
		return
	}
	sock, err := e.net.Open(ifi, p.key)
	if err == nil {
		if err = p.listen(sock); err == nil {
			p.sock, p.err, p.failed = sock, nil, 0
			return
		}
		_ = sock.Close()
	}
	if p.failed == 0 {
		e.log.Error("cannot open VRRP socket", "interface", p.key.device, "reason", err)
	}
	p.failed++
	p.err = err
	p.retryAt = now.Add(backoff(p.failed))
}

// closePort gives up a socket: its interface has vanished, or nobody needs it.
func (p *port) closePort() {
	if p.sock != nil {
		_ = p.sock.Close() // the interface is gone: there is nothing left to lose
	}
	p.sock, p.queued = nil, false
}
