package vrrpd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
)

// path is one of the ways of a router's adverts: the first is the router's own
// link, the others are heartbeat paths. A router without heartbeat paths has no
// list of them.
type path struct {
	name   string
	key    routerKey         // where it is heard
	cfg    *config.Heartbeat // nil: the own link
	set    vrrp.Settings     // what its adverts say, and how those of others are checked
	source netip.Addr
	down   string // why nothing can be sent or heard here, "" when it can

	state string // as told: control.PathUp, PathSilent or PathDown
	note  string // why
	since time.Time

	sent, heard uint64
	last        time.Time // the newest advert of another router
	from        netip.Addr
}

// unicast says that adverts on the path go to peers.
func (p *path) unicast() bool { return p.set.Unicast() }

// meetPaths gives the router the paths of its configuration. What is known of one
// that it had already is kept.
func (e *engine) meetPaths(r *router, now time.Time, set *vrrp.Settings) {
	old := r.paths
	r.paths = nil
	for i := range r.cfg.Heartbeats {
		h := &r.cfg.Heartbeats[i]
		p := path{key: routerKey{h.Interface, r.key.vrid, r.key.family}, cfg: h, name: h.Interface, set: *set}
		p.set.Peers, p.set.TTL = nil, h.TTL
		var to []string
		for _, peer := range h.Peers {
			if vrrp.FamilyOf(peer.Address) == r.key.family {
				p.set.Peers = append(p.set.Peers, vrrp.Peer{Addr: peer.Address, MinTTL: peer.MinTTL, MaxTTL: peer.MaxTTL})
				to = append(to, peer.Address.String())
			}
		}
		switch {
		case h.Unicast() && len(to) == 0:
			continue // a path of the other family
		case h.Unicast():
			p.name += " to " + strings.Join(to, ", ")
		}
		if r.paths == nil {
			r.paths = append(r.paths, path{key: r.key, name: r.key.device, set: *set})
		}
		r.paths = append(r.paths, p)
	}
	same := func(a, b path) bool { return a.name == b.name && (a.cfg == nil) == (b.cfg == nil) }
	for i := range r.paths {
		p := &r.paths[i]
		p.state, p.since = control.PathUp, now
		if j := slices.IndexFunc(old, func(o path) bool { return same(o, *p) }); j >= 0 {
			o := &old[j]
			p.source, p.down, p.state, p.note, p.since = o.source, o.down, o.state, o.note, o.since
			p.sent, p.heard, p.last, p.from = o.sent, o.heard, o.last, o.from
		}
	}
	r.sign()
	if slices.EqualFunc(old, r.paths, same) {
		return
	}
	for i := range old {
		if o := &old[i]; !slices.ContainsFunc(r.paths, func(p path) bool { return same(p, *o) }) {
			e.tellPath(r, now, o, control.PathUp, "it is no longer configured")
		}
	}
	e.watchAnew(r, now, "the paths are watched anew after a change of the configuration")
}

// watchAnew forgets which paths are silent.
func (e *engine) watchAnew(r *router, now time.Time, why string) {
	r.watch.Begin(now, len(r.paths))
	for i := range r.paths {
		if p := &r.paths[i]; p.state == control.PathSilent {
			e.tellPath(r, now, p, control.PathUp, why)
		}
	}
}

// indexPaths notes where the heartbeat paths of a router are heard, and by whose
// interfaces.
func (e *engine) indexPaths(r *router) {
	for i := range r.paths {
		p := &r.paths[i]
		if p.cfg == nil {
			continue
		}
		e.guests[p.key] = r
		if list := e.carriers[p.key.device]; !slices.Contains(list, r) {
			e.carriers[p.key.device] = append(list, r)
		}
		// The configured source may be on any interface.
		if p.cfg.Source.Of(r.key.family == vrrp.IPv6).IsValid() && !slices.Contains(e.roaming, r) {
			e.roaming = append(e.roaming, r)
		}
	}
}

// sign makes the adverts on heartbeat paths say who sends them.
func (r *router) sign() {
	for i := range r.paths {
		if p := &r.paths[i]; p.cfg != nil && r.source.IsValid() {
			p.set.Addresses = vrrp.HeartbeatAddresses(r.sm.Settings().Addresses, r.source)
		}
	}
}

// way returns the index of the path by which a packet has come to a device: 0 is the
// own link, and the answer for a packet that fits no other.
func (r *router) way(device string, src, dst netip.Addr) int {
	fits := 0
	for i := 1; i < len(r.paths); i++ {
		p := &r.paths[i]
		if p.key.device != device {
			continue
		}
		if p.unicast() && !dst.IsMulticast() && p.set.Peer(src) >= 0 || !p.unicast() && dst.IsMulticast() {
			return i
		}
		if device != r.key.device {
			fits = i // to be dropped there, with its reason
		}
	}
	return fits
}

// inspectPaths finds out which paths can be used.
func (e *engine) inspectPaths(r *router, now time.Time) {
	for i := range r.paths {
		p := &r.paths[i]
		ifi, ok := e.link(p.key.device)
		why := ""
		switch {
		case !ok:
			why = "interface " + p.key.device + " does not exist"
		case !ifi.Up:
			why = "interface " + p.key.device + " is down"
		case p.cfg == nil:
			_, why = e.chooseSource(r, ifi)
		default:
			if want := p.cfg.Source.Of(r.key.family == vrrp.IPv6); want.IsValid() {
				p.source, why = e.wantedOn(want, "unicast_src_ip", ifi)
			} else {
				p.source, why = e.sourceOn(ifi, r.key.family, p.set.Peers)
			}
			if why == "" {
				why = tooLong(r, &p.set, ifi)
			}
		}
		if port := e.ports[r.sendsBy(p.key)]; why == "" && port != nil && port.sock == nil && port.err != nil {
			why = "cannot open a VRRP socket on " + p.key.device + ": " + port.err.Error()
		}
		was := p.down
		p.down = why
		switch {
		case why != "":
			e.tellPath(r, now, p, control.PathDown, why)
		case was != "":
			r.watch.Restart(now, i)
			e.tellPath(r, now, p, control.PathUp, "it can be used again")
		}
	}
}

// noteHeard takes note of an advert that was accepted over a path.
func (e *engine) noteHeard(r *router, way int, from netip.Addr, at time.Time) {
	if len(r.paths) == 0 {
		return
	}
	p := &r.paths[way]
	p.heard++
	if at.After(p.last) {
		p.last, p.from = at, from
	}
	r.watch.Heard(at, way, r.sm.SilenceLimit())
	if !r.judge {
		r.judge = true
		e.judged = append(e.judged, r)
	}
}

// judgePaths tells of the paths that have fallen silent or that bring adverts again,
// once all sockets have been read. Only a BACKUP can say anything about them:
// nobody sends to a MASTER.
func (e *engine) judgePaths(now time.Time) {
	for _, r := range e.judged {
		r.judge = false
		if r.sm.State() != vrrp.Backup || !r.watch.Judge(r.sm.SilenceLimit()) {
			continue
		}
		for i := range r.paths {
			p := &r.paths[i]
			since, silent := r.watch.Silent(i)
			switch {
			case p.down != "":
			case silent && p.state == control.PathUp:
				e.tellPath(r, now, p, control.PathSilent, r.silence(p, now.Sub(since)))
			case !silent && p.state == control.PathSilent:
				e.tellPath(r, now, p, control.PathUp, "adverts come over it again")
			}
		}
	}
	e.judged = e.judged[:0]
}

// silence explains a silent path by those that are not.
func (r *router) silence(p *path, d time.Duration) string {
	var over []string
	for i := range r.paths {
		if _, silent := r.watch.Silent(i); !silent && r.paths[i].down == "" {
			over = append(over, r.paths[i].name)
		}
	}
	what := "path"
	if p.cfg == nil {
		what = "own link"
	}
	s := fmt.Sprintf("%s silent for %v", what, d.Round(10*time.Millisecond))
	if master, prio := r.sm.Master(); master.IsValid() {
		s += fmt.Sprintf(", the master %s (%d) is heard over %s", master, prio, strings.Join(over, " and over "))
	}
	if p.cfg == nil {
		s += ": the routers' own link is broken between them or drops VRRP, and this one stays BACKUP"
	}
	return s
}

// restartPaths begins the watch of a router that has changed its state.
func (e *engine) restartPaths(r *router, now time.Time, t vrrp.Transition) {
	if len(r.paths) > 0 {
		e.watchAnew(r, now, "the instance is "+t.To.String()+" now")
	}
}

// alarming says that a state of the path is an alarm of its own. The own link that is
// down is told as FAULT.
func (p *path) alarming(state string) bool {
	return state == control.PathSilent || state == control.PathDown && p.cfg != nil
}

// tellPath tells the parent that the state of a path has changed: what it was is
// over, what it is may be an alarm.
func (e *engine) tellPath(r *router, now time.Time, p *path, state, why string) {
	was := p.state
	if was == state {
		if state != control.PathUp {
			p.note = why
		}
		return
	}
	e.touched = true
	if p.alarming(was) {
		e.tellPathAlarm(r, now, p, "raised", "clear", why)
	}
	p.state, p.since, p.note = state, now, why
	if p.alarming(state) {
		e.tellPathAlarm(r, now, p, "clear", "raised", why)
	}
	if state == control.PathUp {
		p.note = ""
	}
}

func (e *engine) tellPathAlarm(r *router, now time.Time, p *path, from, to, why string) {
	a := r.pathAlarm(p)
	a.Reason = p.name + ": " + why
	e.sendAlarm(r, now, a, from, to)
}

// pathAlarm is what status and notifications show of a path that is not up.
func (r *router) pathAlarm(p *path) control.Alarm {
	return control.Alarm{
		Instance: r.cfg.Name, Interface: p.key.device, VRID: r.key.vrid, Family: r.key.family.String(), Path: p.name,
		Code: "path_" + p.state, Level: control.LevelAlarm,
		Since: p.since, First: p.since, Last: p.since, Count: 1, Evidence: []control.Evidence{}, Reason: p.name + ": " + p.note,
	}
}

// pathAlarms adds those of the router that are raised to a list.
func (r *router) pathAlarms(list []control.Alarm) []control.Alarm {
	for i := range r.paths {
		if p := &r.paths[i]; p.alarming(p.state) {
			list = append(list, r.pathAlarm(p))
		}
	}
	return list
}

// snapshotPaths lists the paths for status.
func (r *router) snapshotPaths() []control.Path {
	var list []control.Path
	for i := range r.paths {
		p := &r.paths[i]
		s := control.Path{
			Name: p.name, Interface: p.key.device, Own: p.cfg == nil, State: p.state, Note: p.note, Since: p.since,
			Sent: p.sent, Heard: p.heard, LastHeard: p.last,
		}
		source := p.source
		if s.Own {
			source = r.source
		}
		if source.IsValid() {
			s.Source = source.String()
		}
		if p.from.IsValid() {
			s.From = p.from.String()
		}
		for _, peer := range p.set.Peers {
			s.Peers = append(s.Peers, peer.Addr)
		}
		list = append(list, s)
	}
	return list
}
