package vrrpd

import (
	"fmt"
	"io"
	"time"

	"director/bfd"
	bfdlink "director/bfd/link"
	"director/vrrp/link"
)

// bfdNetwork opens the sockets of BFD.
type bfdNetwork interface {
	Listen(e bfdlink.Endpoint, shared bool, handle func(bfdlink.Datagram)) (io.Closer, error)
	Dial(p bfdlink.Path, port uint16) (bfdSender, error)
}

// bfdSender sends the packets of one session.
type bfdSender interface {
	Send([]byte) error
	Port() uint16
	Close() error
}

// bfdTable is all that the engine knows of BFD.
type bfdTable struct {
	net       bfdNetwork
	sessions  []*bfdSession // in the order of the configuration
	byDiscr   map[uint32]*bfdSession
	listeners map[bfdPlace]bfdListener
	strays    [bfd.NumDiscards]uint64 // packets of no session, by reason
	acts      []bfd.Action
	packet    []byte
}

// bfdPlace is where packets of a session arrive.
type bfdPlace struct {
	v6, multihop bool
	device       string // empty: any
}

type bfdListener struct {
	io.Closer
	index int // of the interface that it is bound to
}

func (s *bfdSession) place() bfdPlace {
	return bfdPlace{s.cfg.Neighbor.Is6(), s.cfg.Multihop, s.cfg.Interface}
}

func (p bfdPlace) port() uint16 {
	if p.multihop {
		return bfd.MultihopPort
	}
	return bfd.Port
}

// openBFD opens what a session lacks to send and to hear. A failure is retried
// with back-off, or when the interface is there.
func (e *engine) openBFD(now time.Time, s *bfdSession) {
	s.retryAt = time.Time{}
	defer func() { e.timers.fix(s) }()
	scope := bfdlink.Scope{}
	if name := s.cfg.Interface; name != "" {
		ifi, ok := e.link(name)
		if !ok {
			s.close()
			s.err = fmt.Errorf("interface %s does not exist", name)
			return
		}
		scope = bfdlink.Scope{Name: name, Index: ifi.Index}
	}
	if s.sender != nil && s.scope != scope {
		s.close()
	}
	s.scope = scope
	err := e.listenBFD(s.place(), scope)
	if err == nil && s.sender == nil {
		path := bfdlink.Path{Source: s.cfg.Source, Peer: s.cfg.Neighbor, Port: s.place().port(), Scope: scope, TTL: s.cfg.TTL}
		if s.sender, err = e.bfd.net.Dial(path, s.port); err == nil {
			s.port = s.sender.Port()
		} else {
			s.sender = nil
		}
	}
	if s.err = err; err == nil {
		s.failed = 0
		return
	}
	if s.failed == 0 {
		e.log.Error("cannot open BFD socket", "peer", s.cfg.Neighbor, "reason", err)
	}
	s.failed++
	s.retryAt = now.Add(backoff(s.failed))
}

// listenBFD opens the listener of a place unless it is there.
func (e *engine) listenBFD(place bfdPlace, scope bfdlink.Scope) error {
	l, ok := e.bfd.listeners[place]
	if ok && l.index == scope.Index {
		return nil
	}
	if ok {
		_ = l.Close() // its interface is gone
		delete(e.bfd.listeners, place)
	}
	shared := false // with another of ours, and with nobody else
	for other := range e.bfd.listeners {
		shared = shared || other.v6 == place.v6 && other.multihop == place.multihop
	}
	c, err := e.bfd.net.Listen(bfdlink.Endpoint{V6: place.v6, Port: place.port(), Scope: scope}, shared,
		func(d bfdlink.Datagram) { e.receiveBFD(place, d) })
	if err != nil {
		return err
	}
	e.bfd.listeners[place] = bfdListener{c, scope.Index}
	return nil
}

// closeListeners closes those that no session needs.
func (e *engine) closeListeners() {
	needed := make(map[bfdPlace]bool)
	for _, s := range e.bfd.sessions {
		needed[s.place()] = true
	}
	for place, l := range e.bfd.listeners {
		if !needed[place] {
			_ = l.Close() // nothing is lost
			delete(e.bfd.listeners, place)
		}
	}
}

func (s *bfdSession) close() {
	if s.sender != nil {
		_ = s.sender.Close() // as above
		s.sender = nil
	}
}

// linkBFD looks at the sessions after a change of interfaces or addresses.
func (e *engine) linkBFD(now time.Time, ev link.Event) {
	for _, s := range e.bfd.sessions {
		ifi, ok := e.link(s.cfg.Interface)
		switch {
		case s.cfg.Interface != "" && (!ok || ifi.Index != s.scope.Index):
			e.openBFD(now, s)
		case s.err != nil && ev.Kind == link.AddrAdded: // perhaps the source was missing
			e.openBFD(now, s)
		}
	}
}

func (e *engine) sendBFD(s *bfdSession, p *bfd.Packet) {
	if s.sender == nil {
		s.unsent++
		return
	}
	e.bfd.packet = bfd.AppendPacket(e.bfd.packet[:0], p)
	if s.sendErr = s.sender.Send(e.bfd.packet); s.sendErr != nil {
		s.unsent++
		return
	}
	s.sent++
}

// receiveBFD takes a packet from the listener of a place.
func (e *engine) receiveBFD(place bfdPlace, d bfdlink.Datagram) {
	p, why := bfd.Parse(d.Payload)
	var s *bfdSession
	if why == bfd.DiscardNone && p.YourDiscr != 0 {
		// The discriminator alone selects the session (RFC 5880 section 6.3), which
		// is then asked whether the packet can be its neighbour's.
		if s = e.bfd.byDiscr[p.YourDiscr]; s == nil {
			why = bfd.DiscardUnknown
		} else if !s.fits(place, &d) {
			why = bfd.DiscardAddress
		}
	} else {
		s = e.neighborBFD(place, &d)
	}
	switch {
	case s == nil:
		if why == bfd.DiscardNone {
			why = bfd.DiscardUnknown
		}
		e.bfd.strays[why]++
		return
	case why == bfd.DiscardNone && d.TTL < bfd.TTL-int(s.cfg.MaxHops):
		why = bfd.DiscardTTL // RFC 5881 section 5, RFC 5883 section 5
	}
	if why != bfd.DiscardNone {
		s.discards[why]++
		return
	}
	s.received++
	e.stepBFD(d.Arrival, s, bfd.Event{Kind: bfd.EventPacket, Packet: p})
}

// fits says that a packet comes from where the session's neighbour sends, and to where
// it does. No packet fits two sessions: the validation refuses such.
func (s *bfdSession) fits(place bfdPlace, d *bfdlink.Datagram) bool {
	return s.place() == place && s.cfg.Neighbor == d.Src && (!s.cfg.Source.IsValid() || s.cfg.Source == d.Dst)
}

// neighborBFD finds a session by where a packet came from and went to.
func (e *engine) neighborBFD(place bfdPlace, d *bfdlink.Datagram) *bfdSession {
	for _, s := range e.bfd.sessions {
		if s.fits(place, d) {
			return s
		}
	}
	return nil
}
