package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"director/internal/netlab"
)

// tied is a pair with a second link between A and B. The addresses there are in the
// other order than on the clients' link.
type tied struct {
	*pair
	hbA, hbB *netlab.Port
	hb       *netlab.Capture
}

func newTied(t testing.TB) *tied {
	p := &tied{pair: newPair(t)}
	sw := p.Switch("tie")
	p.hbA = p.Connect(p.a, "eth1", sw, "198.51.100.9/24")
	p.hbB = p.Connect(p.b, "eth1", sw, "198.51.100.1/24")
	var err error
	p.hb, err = sw.Capture(netlab.FilterVRRP)
	p.Must(err)
	t.Cleanup(func() { _ = p.hb.Close() })
	return p
}

// part breaks the clients' link between A and B; both still reach the client.
func (p *tied) part(broken bool) {
	p.Must(p.portA.Isolate(broken))
	p.Must(p.portB.Isolate(broken))
}

// heartbeatPath is a path over eth1 for the instance VI_1.
const heartbeatPath = "[[vrrp_instance.VI_1.heartbeat]]\ninterface = \"eth1\"\n"

// firstFrom waits for an advert of a host on the clients' link, and returns how long
// after from it came.
func (p *tied) firstFrom(src string, from time.Time) time.Duration {
	p.t.Helper()
	addr := netip.MustParseAddr(src)
	adv, err := p.cap.WaitAdvert(patience, func(a netlab.Advert) bool { return a.Source == addr && a.Time.After(from) })
	p.Must(err)
	return adv.Time.Sub(from)
}

// Set-up 12: the clients' link breaks between A and B. With a heartbeat path there is
// no second master as long as that holds, and the status says why.
func TestHeartbeatPath(t *testing.T) {
	t.Parallel()
	p := newTied(t)
	const key = `authentication = { type = "HMAC", keys = [{ id = 1, key = "0123456789abcdef0123456789abcdef" }] }`
	conf := func(prio int) string {
		return vrrp("VI_1", 51, prio, "192.0.2.100/24", fast, key) + heartbeatPath
	}
	a := startDirector(t, p.a, conf(150))
	a.WaitInstance("VI_1", "MASTER", patience)
	b := startDirector(t, p.b, conf(100))
	p.onlyOn(p.a, vip, patience)
	b.WaitInstance("VI_1", "BACKUP", patience)
	skew := 156 * fastInterval / 256
	down := 3*fastInterval + skew // B's master-down time

	p.part(true)
	al := b.WaitAlarm("path_silent", patience)
	if al.Path != "eth0" || !strings.Contains(al.Reason, "the master 192.0.2.1 (150) is heard over eth1") {
		t.Errorf("alarm of %s: %s", al.Path, al.Reason)
	}
	p.Holds(lull, "there is one master", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
	if i := b.Instance("VI_1"); i.State != "BACKUP" || i.Transitions != 1 || i.Master != "192.0.2.1" {
		t.Errorf("B is %s after %d transitions, its master is %s", i.State, i.Transitions, i.Master)
	}
	text, err := b.CLI("status")
	p.Must(err)
	for _, want := range []string{"eth0 (own link) silent for ", ", the master is heard over eth1", "eth1 up, 0 adverts sent, heard 192.0.2.1 "} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not say %q:\n%s", want, text)
		}
	}

	// The other path breaks, too: nothing is left that could hold B back.
	p.cap.Reset()
	cut := time.Now()
	p.Must(p.hbA.Cut())
	took := p.firstFrom("192.0.2.2", cut)
	var last time.Duration // A's advert before that
	for _, adv := range p.hb.Adverts() {
		if adv.Source == netip.MustParseAddr("198.51.100.9") {
			last = adv.Time.Sub(cut)
		}
	}
	t.Logf("B takes over %v after the last path broke and %v after the last advert; its master-down time is %v", took, took-last, down)
	if took-last < down-10*time.Millisecond || took > down+2*time.Second+stood(cut) {
		t.Errorf("B took over %v after the last advert", took-last)
	}
	p.Must(p.hbA.Heal())
	b.WaitInstance("VI_1", "BACKUP", patience)
	p.part(false)
	p.onlyOn(p.a, vip, patience)
	b.WaitNoAlarm("path_silent", patience)

	// A's own link goes down: the good-bye travels over the other one, and B needs its
	// skew time alone.
	p.cap.Reset()
	p.hb.Reset()
	cut = time.Now()
	p.Must(p.portA.Unplug())
	took = p.firstFrom("192.0.2.2", cut)
	bye, err := p.hb.WaitAdvert(patience, func(a netlab.Advert) bool { return a.Priority == 0 })
	p.Must(err)
	said := bye.Time.Sub(cut)
	t.Logf("A's link is down: good-bye after %v, B takes over after %v; its skew time is %v, its master-down time %v", said, took, skew, down)
	if i := b.WaitInstance("VI_1", "MASTER", patience); i.Code != "master_stopped" {
		t.Errorf("B took over: %s", i.Reason)
	}
	if took-said > (skew+down)/2+stood(cut) {
		t.Errorf("B took over %v after the good-bye of A", took-said)
	}
	if i := a.WaitInstance("VI_1", "FAULT", patience); i.Paths[0].State != "down" || i.Paths[1].State != "up" {
		t.Errorf("paths of A: %+v", i.Paths)
	}
	p.Must(p.portA.Plug())
	p.onlyOn(p.a, vip, patience)
}

// Equal priorities, and addresses that are in one order on the clients' link and in
// the other on the path: when they find each other again, over the path alone, one
// gives way, and there is peace.
func TestHeartbeatTie(t *testing.T) {
	t.Parallel()
	p := newTied(t)
	p.part(true)
	p.Must(p.hbA.Cut())
	conf := vrrp("VI_1", 51, 150, "192.0.2.100/24", fast) + heartbeatPath
	a := startDirector(t, p.a, conf)
	b := startDirector(t, p.b, conf)
	a.WaitInstance("VI_1", "MASTER", patience)
	b.WaitInstance("VI_1", "MASTER", patience)
	p.Must(p.hbA.Heal())
	if i := a.WaitInstance("VI_1", "BACKUP", patience); i.Code != "higher_address" || i.Master != "192.0.2.2" {
		t.Errorf("A says: %s, the master is %s", i.Reason, i.Master)
	}
	calm := func(when string) {
		t.Helper()
		p.onlyOn(p.b, vip, patience) // the address leaves A after its state has changed
		p.Holds(lull, when+": B alone has the address", func() bool { return p.b.HasAddr(vip) && !p.a.HasAddr(vip) })
		if i, j := a.Instance("VI_1"), b.Instance("VI_1"); i.Transitions != 3 || j.Transitions != 2 {
			t.Errorf("%s: %d and %d transitions", when, i.Transitions, j.Transitions)
		}
	}
	calm("over the path")
	p.part(false)
	calm("over both")
	p.Must(p.hbB.Cut())
	calm("over the clients' link")
}

// A path that is down, and one that a stranger uses, are told and harm nothing.
func TestHeartbeatPathDown(t *testing.T) {
	t.Parallel()
	p := newTied(t)
	conf := func(prio, peer int) string {
		return vrrp("VI_1", 51, prio, "192.0.2.100/24", fast) +
			fmt.Sprintf("[[vrrp_instance.VI_1.heartbeat]]\ninterface = \"eth1\"\nunicast_peer = [\"198.51.100.%d\"]\n", peer)
	}
	a := startDirector(t, p.a, conf(150, 1))
	a.WaitInstance("VI_1", "MASTER", patience)
	b := startDirector(t, p.b, conf(100, 9))
	p.onlyOn(p.a, vip, patience)
	heard := func() uint64 {
		if i := b.Instance("VI_1"); len(i.Paths) == 2 {
			return i.Paths[1].Heard
		}
		return 0
	}
	p.Within(patience, "B hears A over the path", func() bool { return heard() > 5 })
	p.Must(p.a.LinkDown("eth1"))
	if al := a.WaitAlarm("path_down", patience); !strings.Contains(al.Reason, "interface eth1 is down") {
		t.Errorf("A says: %s", al.Reason)
	}
	if al := b.WaitAlarm("path_silent", patience); al.Path != "eth1 to 198.51.100.9" {
		t.Errorf("B says of %s: %s", al.Path, al.Reason)
	}
	p.Must(p.a.LinkUp("eth1"))
	a.WaitNoAlarm("path_down", patience)
	b.WaitNoAlarm("path_silent", patience)
	if i, j := a.Instance("VI_1"), b.Instance("VI_1"); i.Transitions != 2 || j.Transitions != 1 {
		t.Errorf("%d and %d transitions", i.Transitions, j.Transitions)
	}

	// keepalived on the link of the path, with the same number by chance.
	k, err := p.b.Keepalived(strings.Replace(keepalived("VI", 3, 51, 200, keepalivedFast, "203.0.113.1/24"), "eth0", "eth1", 1))
	p.Must(err)
	defer func() { p.Must(k.Stop(patience)) }()
	p.Must(a.Reload(vrrp("VI_1", 51, 150, "192.0.2.100/24", fast) + heartbeatPath))
	p.Eventually(patience, "A counts the stranger's adverts", func() error {
		if i := a.Instance("VI_1"); i.Discards["no_heartbeat"] == 0 || i.State != "MASTER" {
			return fmt.Errorf("A is %s, discards %v", i.State, i.Discards)
		}
		return nil
	})
}
