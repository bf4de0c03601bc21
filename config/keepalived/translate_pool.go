package keepalived

import (
	"strings"

	"director/config"
)

// alpha says whether a service, a server or a check of its own starts down, which
// they do not in keepalived unless told so.
func (sc *scope) alpha() bool {
	s := sc.inherited("alpha")
	if s == nil {
		return false
	}
	on, _ := sc.onOff(s)
	return on
}

// startsDown puts how the servers of a service start.
func (sc *scope) startsDown() {
	at := sc.s.at()
	if s := sc.seen["alpha"]; s != nil {
		at = s.at()
	}
	sc.t.Set("alpha", sc.alpha(), at)
}

// serverStartsDown puts how a server starts where that is not as its service says.
// It starts down as soon as one of its checks does; checks are their scopes.
func (sc *scope) serverStartsDown(checks []*scope) {
	down := len(checks) == 0 && sc.alpha()
	for _, c := range checks {
		down = down || c.alpha()
	}
	if down != sc.up.alpha() {
		sc.t.Set("alpha", down, sc.s.at())
	}
}

// nat says whether the service's packets are forwarded by NAT to a server; own is what
// sets the server's own method, or nil.
func (sc *scope) nat(own *statement) bool {
	if own != nil {
		return strings.EqualFold(own.arg(1).text, "NAT")
	}
	method, _ := sc.t.Get("forwarding").(string)
	return method == "" || method == string(config.NAT)
}

// port returns the port of a server of the service, as keepalived uses it. 0 means that
// the packets keep theirs.
func (sc *scope) port(s *statement, e target, nat bool) uint16 {
	at, to := s.arg(2).at, sc.to
	switch {
	case e.port == 0:
		return to.port
	case to.marked && !nat:
		sc.Warnf(at, s.key(), "the port is not used, as in keepalived: behind a mark packets keep theirs without NAT")
		return 0
	case to.several && !nat:
		sc.Warnf(at, s.key(), "the port is not used, as in keepalived: the group has several, and packets keep theirs without NAT")
		return 0
	case to.marked, to.several:
	case to.port == 0:
		sc.Warnf(at, s.key(), "the port is not used: the service takes all ports and keeps them")
		return 0
	case !nat && e.port != to.port:
		sc.Warnf(at, s.key(), "%d is not the service's port, and only NAT can change it: %d is used, as in keepalived", e.port, to.port)
		return to.port
	}
	return e.port
}

// plainTunnel says that a server with a method of its own has not the encapsulation of
// its service: TUN alone is IP in IP.
func plainTunnel(service, server *config.Tree, at config.Position) {
	if method, _ := server.Get("forwarding").(string); method == string(config.Tunnel) && service.Has("tunnel") && !server.Has("tunnel") {
		server.Table("tunnel", at).Set("type", "ipip", at)
	}
}

// sorryServer is sorry_server IP [PORT].
func sorryServer(sc *scope, s *statement) {
	if !sc.need(s, 1, 2) {
		return
	}
	if e, ok := sc.endpoint(s, 1); ok {
		sc.sorryTable(s.at()).Set("address", e.String(), s.arg(1).at)
		sc.sorryAt = e
	}
}

func sorryMethod(sc *scope, s *statement) {
	sorry := sc.sorryTable(s.at())
	if m, ok := sc.method(s, sorry); ok {
		sorry.Set("forwarding", m, s.arg(1).at)
	}
}

// sorry settles the sorry server of a service whose block has been read.
func (sc *scope) sorry() {
	s := sc.seen["sorry_server"]
	if s == nil {
		for _, key := range []string{"sorry_server_inhibit", "sorry_server_lvs_method"} {
			if s := sc.seen[key]; s != nil {
				sc.Warnf(s.at(), key, "is not used: there is no sorry_server")
				sc.t.Delete("sorry_server")
			}
		}
		return
	}
	e := sc.sorryAt
	if !e.addr.IsValid() {
		return // which has been said
	}
	server := sc.sorryTable(s.at())
	method := sc.seen["sorry_server_lvs_method"]
	if method != nil {
		plainTunnel(sc.t, server, method.at())
	}
	e.port = sc.port(s, e, sc.nat(method))
	server.Set("address", e.String(), e.at)
}

// sorryInhibit keeps the sorry server in the table with weight 0.
func sorryInhibit(sc *scope, s *statement) {
	sc.need(s, 0, 1)
	if on, ok := sc.onOff(s); ok {
		sc.sorryTable(s.at()).Set("inhibit", on, s.at())
	}
}

func (sc *scope) sorryTable(at config.Position) *config.Tree { return sc.t.Table("sorry_server", at) }
