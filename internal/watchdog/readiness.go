package watchdog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/readiness"
)

const (
	// readinessBurst is how many datagrams of peers are looked at in a second; what
	// comes beyond is dropped unread.
	readinessBurst = 50
	// readinessQuiet is how long a datagram that was not taken is not told of again.
	readinessQuiet = time.Minute
	// judgeEvery is how often this host judges itself where it has no peer.
	judgeEvery = 2 * time.Second
)

// The alarms of readiness.
const (
	alarmNotReady = "not_ready"
	alarmDiffers  = "config_differs"
)

// Readiness tells the VRRP child whether this host could serve.
type Readiness struct {
	Ready  bool
	Reason string // why not
}

// readyState is what the parent knows of its own and its peers' readiness. The loop owns it.
//
// The parent does this itself because it alone has both children's facts. What comes
// from the network is bounded in rate and size, and nothing of it is looked at before
// its signature was found right.
type readyState struct {
	settings *config.Readiness
	conn     *net.UDPConn // nil without peers, or while it cannot be opened
	cancel   context.CancelFunc
	links    map[netip.AddrPort]*readiness.Link
	problem  string // why peers cannot be told
	refused  map[netip.AddrPort]refusal
	timer    *time.Timer

	broken   []string // what doctor found
	reasons  []string // of the newest judgement
	differs  []string // what the files of this host and a peer do not agree on
	notReady lasting
	unlike   lasting
}

// refusal is a datagram that was not taken.
type refusal struct {
	reason string
	at     time.Time
}

// lasting is a state that counts once it has lasted.
type lasting struct {
	on    bool      // what counts
	other time.Time // since when it is the other way; zero: it is as it counts
	since time.Time // since when it counts
}

// step takes how it is now, and reports whether another state counts from now on.
func (s *lasting) step(now time.Time, on bool, delay time.Duration) bool {
	if on == s.on {
		s.other = time.Time{}
		return false
	}
	if s.other.IsZero() {
		s.other = now
	}
	if now.Sub(s.other) < delay {
		return false
	}
	s.on, s.since, s.other = on, now, time.Time{}
	return true
}

// applyReadiness takes a configuration that has come into force.
func (p *parent) applyReadiness() {
	settings := p.force.config.Readiness
	if reflect.DeepEqual(settings, p.ready.settings) {
		return
	}
	p.closeReadiness()
	old := p.ready
	p.ready = readyState{settings: settings, broken: old.broken, notReady: old.notReady, unlike: old.unlike, refused: map[netip.AddrPort]refusal{}}
	if settings == nil {
		p.endAlarms()
		p.relayReadiness()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.ready.cancel = cancel
	if key, err := settings.KeyBytes(); len(settings.Peers) > 0 && err == nil {
		p.ready.links = map[netip.AddrPort]*readiness.Link{}
		for _, peer := range settings.Peers {
			p.ready.links[peer.Address] = readiness.NewLink(key, rand.Text, settings.Interval.D())
		}
	}
	if p.o.Diagnose != nil {
		go p.examine(ctx, settings.DoctorInterval.D())
	}
	p.judge()
}

// closeReadiness ends what runs for it.
func (p *parent) closeReadiness() {
	r := &p.ready
	if r.cancel != nil {
		r.cancel()
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
}

// endAlarms clears what was raised: nobody judges any more.
func (p *parent) endAlarms() {
	for code, s := range map[string]*lasting{alarmNotReady: &p.ready.notReady, alarmDiffers: &p.ready.unlike} {
		if s.on {
			p.readinessAlarm(code, false, "readiness is not configured any more")
		}
		*s = lasting{}
	}
}

// examine makes doctor's checks again and again.
func (p *parent) examine(ctx context.Context, every time.Duration) {
	for {
		found, err := p.o.Diagnose(ctx)
		p.post(func() {
			switch {
			case ctx.Err() != nil:
			case err != nil:
				p.log.Warn("readiness: doctor could not look at this host", "reason", err)
			default:
				p.ready.broken = found
			}
		})
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return
		case <-p.over:
			return
		}
	}
}

// judge judges this host, tells the peers, and does so again after an interval.
func (p *parent) judge() {
	r := &p.ready
	if r.settings == nil || p.phase == stopping || p.phase == ended {
		return
	}
	now := time.Now()
	facts := p.readinessFacts()
	r.reasons, r.differs = facts.Judge(nil), nil
	for _, link := range r.links {
		if peer, _ := link.Peer(now); peer != nil {
			r.reasons = append(r.reasons, facts.Judge(peer)[len(facts.Broken):]...)
			r.differs = append(r.differs, facts.Differs(peer)...)
		}
	}
	slices.Sort(r.differs)
	r.differs = slices.Compact(r.differs)
	delay := r.settings.Delay.D()
	if r.notReady.step(now, len(r.reasons) > 0, delay) {
		why := "it could serve again"
		if r.notReady.on {
			why = "this host could not serve: " + strings.Join(r.reasons, "; ")
		}
		p.readinessAlarm(alarmNotReady, r.notReady.on, why)
	}
	if r.unlike.step(now, len(r.differs) > 0, delay) {
		why := "the files of the directors agree again"
		if r.unlike.on {
			why = fmt.Sprintf("the files of this host and its peer do not agree on %s: director check --peer tells the difference", strings.Join(r.differs, ", "))
		}
		p.readinessAlarm(alarmDiffers, r.unlike.on, why)
	}
	p.relayReadiness()
	p.tellPeers(facts)
	every := judgeEvery
	if len(r.links) > 0 {
		every = r.settings.Interval.D()
	}
	r.timer = p.after(every, p.judge)
}

// readinessAlarm tells of an alarm, as those of instances are told.
func (p *parent) readinessAlarm(code string, raised bool, reason string) {
	e := control.Event{Kind: control.KindAlarm, Subject: "readiness", From: "raised", To: "clear", Reason: reason, Code: code, Generation: p.force.number,
		Alarm: &control.Alarm{Instance: "readiness", Code: code, Level: control.LevelAlarm, Since: time.Now(), Reason: reason}}
	if raised {
		e.From, e.To = e.To, e.From
	}
	p.event(e)
}

// readinessFacts gathers what is known of this host.
func (p *parent) readinessFacts() readiness.Facts {
	f := readiness.Facts{RouterID: p.force.config.Global.RouterID, Digests: p.force.config.Digests(), Pools: map[string]string{}}
	f.Broken = slices.Clone(p.ready.broken)
	for _, c := range p.children {
		if c.want != nil && (c.run == nil || !c.run.ready) && c.died {
			f.Broken = append(f.Broken, fmt.Sprintf("the process %s does not run: %s", c.role, c.lastExit))
		}
	}
	slices.Sort(f.Broken)
	c := p.child(RoleCheckers)
	if c.last == nil || c.last.Checkers == nil || c.run == nil {
		return f
	}
	for _, s := range c.last.Checkers.Services {
		f.Pools[s.Name] = s.State
	}
	for _, k := range c.last.Checkers.Failures {
		f.Broken = append(f.Broken, fmt.Sprintf("the kernel refuses to %s: %s", k.What, k.Error))
	}
	return f
}

// relayReadiness tells the VRRP child, when it has not been told so already.
func (p *parent) relayReadiness() {
	c, r := p.child(RoleVRRP), &p.ready
	if !c.follows() {
		return
	}
	m := Readiness{Ready: !r.notReady.on}
	if !m.Ready {
		m.Reason = strings.Join(r.reasons, "; ")
	}
	if c.run.readiness != nil && c.run.readiness.Ready == m.Ready || c.run.readiness == nil && r.settings == nil {
		return
	}
	c.run.readiness = &m
	c.run.ch.Send(Message{Readiness: &m})
}

// tellPeers sends each peer a report.
func (p *parent) tellPeers(facts readiness.Facts) {
	r := &p.ready
	if len(r.links) == 0 {
		return
	}
	if r.conn == nil {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(r.settings.Listen))
		if err != nil {
			p.readinessProblem(err)
			return // tried again with the next report
		}
		r.conn = conn
		go p.hearPeers(conn, slices.Collect(maps.Keys(r.links)))
	}
	report := facts.Report()
	var errs []error
	for peer, link := range r.links {
		_, err := r.conn.WriteToUDPAddrPort(link.Seal(report), peer)
		errs = append(errs, err)
	}
	p.readinessProblem(errors.Join(errs...))
}

// readinessProblem notes why peers cannot be told, and logs what is new.
func (p *parent) readinessProblem(err error) {
	was := p.ready.problem
	p.ready.problem = ""
	if err != nil {
		p.ready.problem = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if p.ready.problem != "" && p.ready.problem != was {
		p.log.Warn("readiness: peers cannot be told", "reason", p.ready.problem)
	}
}

// hearPeers hands the loop what peers send, and nothing else.
func (p *parent) hearPeers(conn *net.UDPConn, peers []netip.AddrPort) {
	buffer := make([]byte, readiness.MaxDatagram+1)
	second, count := time.Time{}, 0
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the kernel's word about a datagram that did not arrive
		}
		now := time.Now()
		if from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()); !slices.Contains(peers, from) {
			continue
		}
		if now.Sub(second) > time.Second {
			second, count = now, 0
		}
		if count++; count > readinessBurst {
			continue
		}
		data := slices.Clone(buffer[:n])
		p.post(func() { p.peerSaid(conn, from, data) })
	}
}

// peerSaid takes a datagram.
func (p *parent) peerSaid(conn *net.UDPConn, from netip.AddrPort, data []byte) {
	r, now := &p.ready, time.Now()
	link := r.links[from]
	if link == nil || r.conn != conn {
		return
	}
	if _, err := link.Open(now, data); err != nil {
		if last := r.refused[from]; last.reason != err.Error() || now.Sub(last.at) > readinessQuiet {
			r.refused[from] = refusal{err.Error(), now}
			p.log.Warn("readiness: a report was not taken", "peer", from.String(), "reason", err)
		}
	}
}

// readinessStatus is what status shows of it, nil without.
func (p *parent) readinessStatus() *control.Readiness {
	r := &p.ready
	if r.settings == nil {
		return nil
	}
	now := time.Now()
	s := &control.Readiness{Ready: !r.notReady.on, Since: r.notReady.since, Weight: r.settings.Weight, Reasons: r.reasons, Differs: r.differs, Problem: r.problem}
	for _, configured := range r.settings.Peers {
		addr := configured.Address
		link := r.links[addr]
		if link == nil {
			continue
		}
		peer, heard := link.Peer(now)
		one := control.ReadinessPeer{Address: addr.String(), Heard: heard, Refused: r.refused[addr].reason}
		if peer != nil {
			one.Fresh, one.RouterID, one.Ready, one.Broken = true, peer.RouterID, len(peer.Broken) == 0, peer.Broken
			one.Pools, one.Down, one.DownCut = peer.Pools, peer.Down, peer.Cut
		}
		s.Peers = append(s.Peers, one)
	}
	return s
}
