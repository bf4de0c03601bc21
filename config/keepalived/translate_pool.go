package keepalived

import "director/config"

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
	if server.Has("forwarding") {
		plainTunnel(sc.t, server, sc.seen["sorry_server_lvs_method"].at())
	}
	e.port = sc.port(s, e, sc.to, sc.methodOf(server) == string(config.NAT))
	server.Set("address", e.String(), e.at)
}

// methodOf returns how a server of a service gets its packets.
func (sc *scope) methodOf(server *config.Tree) string {
	for _, t := range []*config.Tree{server, sc.t} {
		if method, _ := t.Get("forwarding").(string); method != "" {
			return method
		}
	}
	return string(config.NAT)
}

// sorryInhibit keeps the sorry server in the table with weight 0.
func sorryInhibit(sc *scope, s *statement) {
	sc.need(s, 0, 1)
	if on, ok := sc.onOff(s); ok {
		sc.sorryTable(s.at()).Set("inhibit", on, s.at())
	}
}

func (sc *scope) sorryTable(at config.Position) *config.Tree { return sc.t.Table("sorry_server", at) }
