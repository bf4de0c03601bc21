package watchdog

import (
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
)

// halfParent is a parent without a loop, with two children that are in force; the
// other end of the VRRP child's channel is returned. What is posted is run by done.
func halfParent(t *testing.T, c *config.Config) (p *parent, vrrp, checkers *process, child *Channel, done func()) {
	t.Helper()
	ours, theirs := ends(t)
	first := &generation{number: 1, config: c}
	o := Options{Log: slog.New(slog.DiscardHandler)}
	p = newParent(o, &runDir{path: t.TempDir()}, first)
	p.manager = &serviceManager{}
	t.Cleanup(p.spawner.close)
	vrrp, checkers = &process{ch: ours, ready: true}, &process{ready: true}
	p.children[RoleVRRP].run, p.children[RoleVRRP].want = vrrp, first
	p.children[RoleCheckers].run, p.children[RoleCheckers].want = checkers, first
	return p, vrrp, checkers, theirs, func() { (<-p.work)() }
}

func TestPoolsAreRelayed(t *testing.T) {
	c := conf("web", "a b c")
	c.Instances[0].Gates = []config.Gate{{Kind: config.GatePool, Pools: []string{"a", "b"}}}
	p, _, run, child, _ := halfParent(t, c)
	told := func(states ...string) {
		t.Helper()
		s := &control.Checkers{}
		for i, state := range states {
			s.Services = append(s.Services, control.Service{Name: string(rune('a' + i)), State: state})
		}
		p.message(p.children[RoleCheckers], run, Message{Snapshot: &Snapshot{Checkers: s}}, 0)
	}
	want := func(want string) {
		t.Helper()
		m, err := child.Recv()
		if err != nil || m.Pools == nil || fmt.Sprint(m.Pools.States) != want {
			t.Fatalf("got %+v (%v), want %s", m.Pools, err, want)
		}
	}
	told("unknown", "unknown", "up")
	want("map[a:unknown b:unknown]")
	told("up", "unknown", "down") // c is nobody's
	want("map[a:up b:unknown]")
	told("up", "unknown", "up") // no news
	told("up", "sorry", "up")
	want("map[a:up b:sorry]")
	// Without a checker child nobody knows.
	p.children[RoleCheckers].run = nil
	p.relayPools()
	want("map[a:unknown b:unknown]")
}

// Connection sync follows an instance: its state goes to the checker child at once.
func TestRolesAreRelayed(t *testing.T) {
	c := conf("web", "a")
	c.IPVSSync = &config.IPVSSync{Interface: "eth1", Instance: "web"}
	p, vrrp, checkers, child, _ := halfParent(t, c)
	vrrp.ch, checkers.ch = nil, vrrp.ch // the half that is listened to is the checkers'
	want := func(state string) {
		t.Helper()
		m, err := child.Recv()
		if err != nil || m.Roles == nil || m.Roles.States["web"] != state || len(m.Roles.States) != 1 {
			t.Fatalf("got %+v (%v), want %s", m.Roles, err, state)
		}
	}
	told := func(name, state string) {
		p.message(p.children[RoleVRRP], vrrp, Message{Roles: &Roles{States: map[string]string{name: state}}}, 0)
	}
	told("other", "FAULT")
	told("web", "BACKUP")
	want("BACKUP")
	told("other", "MASTER")
	told("web", "BACKUP")
	told("web", "MASTER")
	want("MASTER")
	// Neither events nor snapshots say when the addresses are on and off.
	p.message(p.children[RoleVRRP], vrrp, Message{Event: &control.Event{Kind: "instance", Subject: "web", To: "FAULT"}}, 0)
	p.message(p.children[RoleVRRP], vrrp, Message{Snapshot: &Snapshot{VRRP: &control.VRRP{Instances: []control.Instance{{Name: "web", State: "FAULT"}}}}}, 0)
	told("web", "BACKUP")
	want("BACKUP")

	// What is followed no more is not told, and told anew when it is followed again:
	// before the configuration, so that nothing begins in another role.
	configured := func(c *config.Config) (told []string) {
		t.Helper()
		p.number++
		p.configure(p.children[RoleCheckers], &generation{number: p.number, config: c})
		for {
			switch m, err := child.Recv(); {
			case err != nil:
				t.Fatal(err)
			case m.Configure != nil:
				return told
			default:
				told = append(told, fmt.Sprint(m.Roles.States))
			}
		}
	}
	without := *c
	without.IPVSSync = nil
	if got := configured(&without); fmt.Sprint(got) != "[map[]]" {
		t.Errorf("without: told %q", got)
	}
	told("web", "MASTER") // nobody follows it
	told("web", "BACKUP")
	if got := configured(c); fmt.Sprint(got) != "[map[web:BACKUP]]" {
		t.Errorf("again: told %q", got)
	}
	if got := configured(c); got != nil {
		t.Errorf("once more: told %q", got)
	}
}

// The VRRP process is told when the checker process has done what it was told, or that
// there is none.
func TestRolesAreAnswered(t *testing.T) {
	c := conf("web", "a")
	c.VirtualServers[0].ActiveWith = "web"
	p, vrrp, checkers, child, _ := halfParent(t, c)
	ours, checkd := ends(t)
	checkers.ch = ours
	seq := uint64(0)
	asks := func(state string) {
		seq++
		p.message(p.children[RoleVRRP], vrrp, Message{Roles: &Roles{Seq: seq, States: map[string]string{"web": state}}}, 0)
	}
	does := func(run *process, seq uint64, problem string) {
		p.message(p.children[RoleCheckers], run, Message{Followed: &Followed{seq, problem}}, 0)
	}
	told := func(at *Channel) uint64 {
		t.Helper()
		m, err := at.Recv()
		if err != nil || m.Roles == nil {
			t.Fatalf("got %+v (%v)", m, err)
		}
		return m.Roles.Seq
	}
	want := func(want Followed) {
		t.Helper()
		m, err := child.Recv()
		if err != nil || m.Followed == nil || *m.Followed != want {
			t.Fatalf("got %+v (%v), want %+v", m.Followed, err, want)
		}
	}
	asks("MASTER")
	first := told(checkd)
	does(checkers, first, "")
	want(Followed{Seq: 1})
	asks("MASTER") // the other family: no news
	want(Followed{Seq: 2})

	// Two questions, of which the first one's answer comes late.
	asks("BACKUP")
	asks("MASTER")
	does(checkers, told(checkd), "")
	want(Followed{Seq: 3})
	does(checkers, told(checkd), "refused")
	want(Followed{Seq: 4, Problem: "refused"})

	// A process that dies leaves its questions to the next one, whose answers count from anew.
	asks("BACKUP")
	told(checkd)
	ours2, checkd2 := ends(t)
	next := &process{ch: ours2, ready: true}
	p.children[RoleCheckers].run = next
	p.tellRoles(next, c)
	p.rolesAskedAnew(next)
	does(checkers, 9, "of a process that is gone")
	does(next, told(checkd2), "")
	want(Followed{Seq: 5})

	// Without one nobody is kept waiting, neither who waits already nor who asks then.
	asks("MASTER")
	p.children[RoleCheckers].run = nil
	p.answerRoles("")
	want(Followed{6, "director: checkers is not needed"})
	asks("BACKUP")
	want(Followed{7, "director: checkers is not needed"})

	// Of a VRRP process that is gone nobody wants to know.
	p.children[RoleCheckers].run = next
	asks("MASTER")
	p.children[RoleVRRP].run = &process{ch: vrrp.ch, ready: true}
	does(next, 100, "")
	vrrp.ch.Send(Message{Ping: &Ping{Seq: 1}})
	if m, err := child.Recv(); err != nil || m.Ping == nil {
		t.Errorf("got %+v (%v)", m, err)
	}
	if len(p.roleAsks) != 0 {
		t.Errorf("open questions: %+v", p.roleAsks)
	}

	// What the configuration has no more is forgotten.
	p.force = &generation{config: conf("other", "a")}
	if p.forgetRoles(); len(p.roles) != 0 {
		t.Errorf("roles %v", p.roles)
	}
}

// A new checker process learns the roles before its configuration.
func TestRolesOfANewProcess(t *testing.T) {
	d := prepare(t)
	c := conf("web", "farm")
	c.IPVSSync = &config.IPVSSync{Interface: "eth1", Instance: "web"}
	d.configure(c)
	d.start()
	d.says("director is ready")
	d.await("checkers roles map.web:MASTER.", 1)
	if err := syscall.Kill(d.process(RoleCheckers).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("checkers applied 1", 2)
	if got := d.log(); !strings.Contains(got, "checkers start\ncheckers roles map[web:MASTER]\ncheckers observed 1") {
		t.Errorf("log\n%s", got)
	}
}

// Checks follow BFD sessions: what they are goes to the checker child, also to one that
// was started anew, and stays while the VRRP child is away.
func TestSessionsAreRelayed(t *testing.T) {
	c := conf("web", "a")
	check := func(session string) []config.Check { return []config.Check{{Kind: config.CheckBFD, Session: session}} }
	c.VirtualServers[0].RealServers = []config.RealServer{{Checks: check("s1")}, {Checks: check("s2")}}
	c.VirtualServers[0].SorryServers = []config.SorryServer{{Checks: check("s3")}}
	p, vrrp, checkers, child, _ := halfParent(t, c)
	vrrp.ch, checkers.ch = nil, vrrp.ch // the half that is listened to is the checkers'
	want := func(text string) {
		t.Helper()
		m, err := child.Recv()
		if err != nil || m.Sessions == nil {
			t.Fatalf("got %+v (%v), want %s", m, err, text)
		}
		if got := fmt.Sprint(m.Sessions.States); got != text {
			t.Fatalf("got %s, want %s", got, text)
		}
	}
	snapshot := func(states ...control.BFD) {
		p.message(p.children[RoleVRRP], vrrp, Message{Snapshot: &Snapshot{VRRP: &control.VRRP{BFD: states}}}, 0)
	}
	other := control.BFD{Name: "other", State: "Up", Verdict: "up"}
	up := control.BFD{Name: "s1", State: "Up", Verdict: "up", Code: "handshake", Reason: "heard"}
	snapshot(other, up)
	want("map[s1:{Up up handshake heard}]")
	other.State = "Down"
	snapshot(other, up) // no news
	down := control.BFD{Name: "s1", State: "Down", Verdict: "down", Code: "detection_time_expired", Reason: "silent"}
	snapshot(other, down)
	want("map[s1:{Down down detection_time_expired silent}]")
	p.children[RoleVRRP].run = nil
	p.relaySessions() // no news
	checkers.bfd = nil
	p.relaySessions()
	want("map[s1:{Down down detection_time_expired silent}]")
	sorry := control.BFD{Name: "s3", State: "Up", Verdict: "up", Code: "handshake", Reason: "heard"}
	snapshot(other, down, sorry)
	want("map[s1:{Down down detection_time_expired silent} s3:{Up up handshake heard}]")
}

// A virtual server follows an instance too; each is told with all the others.
func TestRolesForVirtualServers(t *testing.T) {
	c := conf("web", "a")
	c.IPVSSync = &config.IPVSSync{Interface: "eth1", Instance: "web"}
	c.Instances = append(c.Instances, config.Instance{Name: "both"})
	c.VirtualServers = []config.VirtualServer{{Name: "v", Pooling: config.Pooling{ActiveWith: "both"}}, {Name: "w"}}
	p, vrrp, checkers, child, _ := halfParent(t, c)
	vrrp.ch, checkers.ch = nil, vrrp.ch // the half that is listened to is the checkers'
	told := func(want string, states map[string]string) {
		t.Helper()
		p.message(p.children[RoleVRRP], vrrp, Message{Roles: &Roles{States: states}}, 0)
		if want == "" {
			return
		}
		m, err := child.Recv()
		if err != nil || m.Roles == nil || fmt.Sprint(m.Roles.States) != want {
			t.Fatalf("got %+v (%v), want %s", m.Roles, err, want)
		}
	}
	told("map[both:MASTER]", map[string]string{"both": "MASTER"})
	told("map[both:MASTER web:BACKUP]", map[string]string{"web": "BACKUP", "other": "FAULT"})
	told("", map[string]string{"other": "MASTER"})
	told("map[both:BACKUP web:MASTER]", map[string]string{"both": "BACKUP", "web": "MASTER"})
}

func TestFence(t *testing.T) {
	c := conf("web", "")
	command := func(script string) []config.Gate {
		limit := 30 * time.Second
		if script == "exec sleep 60" {
			limit = 300 * time.Millisecond
		}
		return []config.Gate{{Kind: config.GatePool}, {Kind: config.GateFence, Command: []string{"/bin/sh", "-c", script}, Timeout: config.Duration(limit)}}
	}
	for script, want := range map[string]string{
		`test "$DIRECTOR_INSTANCE $DIRECTOR_PEER $DIRECTOR_REASON $DIRECTOR_ROUTER_ID" = "web 192.0.2.1 silence lb1"`: "true false exit status 0",
		"echo no such host; exit 3": `false true exit status 3: "no such host"`,
		"exec sleep 60":             "false false timed out after 300ms",
	} {
		c.Instances[0].Gates = command(script)
		p, run, _, child, done := halfParent(t, c)
		p.message(p.children[RoleVRRP], run, Message{Fence: &Fence{ID: 7, Instance: "web", Gate: 1, Peer: "192.0.2.1", Reason: "silence"}}, 0)
		// Another one of the instance meanwhile.
		p.message(p.children[RoleVRRP], run, Message{Fence: &Fence{ID: 8, Instance: "web", Gate: 1}}, 0)
		if m, err := child.Recv(); err != nil || m.Fenced == nil || m.Fenced.ID != 8 || m.Fenced.OK || m.Fenced.Failed {
			t.Errorf("a second run at the same time: %+v (%v)", m.Fenced, err)
		}
		done()
		m, err := child.Recv()
		if err != nil || m.Fenced == nil || m.Fenced.ID != 7 {
			t.Fatalf("%+v (%v)", m, err)
		}
		if got := fmt.Sprintln(m.Fenced.OK, m.Fenced.Failed, m.Fenced.Result); strings.TrimSpace(got) != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
	// What is no fence gate of the configuration is not run.
	p, run, _, child, _ := halfParent(t, c)
	for _, ask := range []Fence{{Instance: "web", Gate: 0}, {Instance: "web", Gate: 2}, {Instance: "other", Gate: 1}, {Instance: "web", Gate: -1}} {
		p.message(p.children[RoleVRRP], run, Message{Fence: &ask}, 0)
		if m, err := child.Recv(); err != nil || m.Fenced == nil || m.Fenced.Result != "no such gate in the configuration" {
			t.Errorf("%+v: %+v (%v)", ask, m.Fenced, err)
		}
	}
}
