package test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/netlab"
)

// load answers the client's questions to the VIP on both hosts, and asks every 2 ms.
func (p *pair) load() *netlab.Load {
	p.t.Helper()
	for _, h := range []*netlab.Host{p.a, p.b} {
		echo, err := h.EchoServer(netip.MustParseAddrPort("0.0.0.0:7"), h.Name())
		p.Must(err)
		p.t.Cleanup(echo.Close)
	}
	load, err := p.client.LoadUDP(p.t.Context(), "192.0.2.100:7", 2*time.Millisecond, 300*time.Millisecond)
	p.Must(err)
	p.Must(load.AwaitOK(patience, 50))
	return load
}

// silentFlap cuts A off until B has taken over, and heals the link so that B hears
// A before it advertises once more: the case in which A learns nothing of B unless
// B tells. It returns the longest time without an answer to the client from then on.
func (p *pair) silentFlap(load *netlab.Load, watch time.Duration) time.Duration {
	p.t.Helper()
	outgoing, err := p.a.Capture("eth0", netlab.FilterVRRP)
	p.Must(err)
	defer outgoing.Close()
	fromB := func(a netlab.Advert) bool { return a.Source == netip.MustParseAddr("192.0.2.2") }
	for range 8 {
		p.Must(p.portA.Cut())
		p.Within(patience, "B has taken over", func() bool { return p.b.HasAddr(vip) })
		p.Must(load.AwaitOK(patience, 20)) // the client has found B
		p.cap.Reset()
		outgoing.Reset()
		a, err := outgoing.WaitAdvert(patience, func(netlab.Advert) bool { return true })
		p.Must(err)
		b, err := p.cap.WaitAdvert(patience, fromB)
		p.Must(err)
		// Just after B has spoken; A has to speak well before B does again.
		ahead := (a.Time.Sub(b.Time)%fastInterval + fastInterval) % fastInterval
		if ahead < 10*time.Millisecond || ahead > fastInterval-50*time.Millisecond {
			p.Must(p.portA.Heal())
			p.calm()
			continue // another takeover, another phase
		}
		time.Sleep(time.Until(b.Time.Add(fastInterval + 3*time.Millisecond)))
		p.cap.Reset()
		p.Must(p.portA.Heal())
		healed := time.Now()
		time.Sleep(watch)
		first := p.cap.Adverts()
		if len(first) == 0 || fromB(first[0]) {
			p.t.Logf("B spoke first: %v", first)
			p.calm()
			continue
		}
		return outage(load, healed, time.Now())
	}
	p.t.Fatal("the two never came into the right order")
	return 0
}

// calm waits until A has the address and a conflict is so long ago that the next one is answered at once.
func (p *pair) calm() {
	p.t.Helper()
	p.Run(p.client, "ip", "neigh", "flush", "dev", "eth0") // in keepalived's case nobody tells the client
	p.onlyOn(p.a, vip, patience)
	time.Sleep(time.Second + 3*fastInterval/2) // 1 s, and one interval and a half for the second answer to the last one
}

// outage is the longest time between two moments in which no question was answered.
func outage(load *netlab.Load, from, to time.Time) (longest time.Duration) {
	last := from
	for _, r := range load.Results() {
		at := r.Start.Add(r.Latency)
		if r.Err != nil || at.Before(from) || at.After(to) {
			continue
		}
		longest = max(longest, at.Sub(last))
		if at.After(last) {
			last = at
		}
	}
	return max(longest, to.Sub(last))
}

// A link is cut for so long that the backup takes over, and heals; the backup steps
// down at the first advert of the better router without having said anything. With
// keepalived the better one never learns of it, and the client goes on asking the
// wrong host. director's backup says so, and the client has its answers back at once.
func TestHealedLinkFlap(t *testing.T) {
	const limit = 100 * time.Millisecond
	t.Run("director", func(t *testing.T) {
		t.Parallel()
		p, _, _, load := masterPair(t)
		var worst []time.Duration
		for range 3 { // for a busy machine
			out := p.silentFlap(load, lull)
			if worst = append(worst, out); out <= limit {
				t.Logf("longest time without an answer after the heal: %v", worst)
				p.onlyOn(p.a, vip, patience)
				return
			}
			p.calm()
		}
		t.Errorf("no answer for %v after the heal, want at most %v", worst, limit)
	})
	t.Run("keepalived", func(t *testing.T) {
		t.Parallel()
		p := keepalivedPair(t)
		load := p.load()
		p.Holds(lull, "the second burst of announcements is over", func() bool { return p.a.HasAddr(vip) })
		out := p.silentFlap(load, lull)
		t.Logf("longest time without an answer after the heal: %v of %v that were watched", out, lull)
		if out < lull/2 {
			t.Errorf("keepalived answered after %v: the comparison says nothing any more", out)
		}
	})
}

// An address is added on the MASTER and the configuration loaded, as one does on
// one host after the other. With keepalived the backup drops the adverts with
// another number of addresses and becomes a second MASTER; director's stays, and says what differs.
func TestAddressAddedOnOneRouter(t *testing.T) {
	const more = `"192.0.2.100/24", "192.0.2.101/24"`
	t.Run("director", func(t *testing.T) {
		t.Parallel()
		p, a, b, load := masterPair(t)
		from := time.Now()
		p.Must(a.Reload(strings.Replace(vrrp("VI_1", 51, 150, "192.0.2.100/24", fast), `"192.0.2.100/24"`, more, 1)))
		alarm := b.WaitAlarm("peer_addresses", patience)
		if ev := alarm.Newest(); ev.Peer != "192.0.2.1" || ev.Says != "192.0.2.100, 192.0.2.101" || ev.Here != "192.0.2.100" {
			t.Errorf("B says %+v", ev)
		}
		if i := b.Instance("VI_1"); i.State != "BACKUP" || i.Transitions != 1 {
			t.Errorf("B is %s after %d transitions: %s", i.State, i.Transitions, i.Reason)
		}
		p.Must(b.Reload(strings.Replace(vrrp("VI_1", 51, 100, "192.0.2.100/24", fast), `"192.0.2.100/24"`, more, 1)))
		b.WaitNoAlarm("peer_addresses", patience)
		load.Stop()
		if s := load.Since(from); s.Failed > 0 || s.ByBody["b"] > 0 {
			t.Errorf("the change cost answers: %v %v", s, s.ByBody)
		}
	})
	t.Run("keepalived", func(t *testing.T) {
		t.Parallel()
		p := keepalivedPair(t)
		_, err := p.a.WriteFile(netlab.KeepalivedConf, keepalived("VI_1", 3, 51, 150, keepalivedFast, "192.0.2.100/24\n192.0.2.101/24"))
		p.Must(err)
		p.Must(p.a.Started()[0].Signal(syscall.SIGHUP))
		p.Within(patience, "there are two masters", func() bool { return p.a.HasAddr(vip) && p.b.HasAddr(vip) })
		p.Holds(lull, "they stay", func() bool { return p.a.HasAddr(vip) && p.b.HasAddr(vip) })
	})
}

// A thousand announcements at a distance of 2 ms take two seconds, and neither
// adverts nor the end of the MASTER wait for them.
func TestPacedAnnouncementsDelayNothing(t *testing.T) {
	p := newPair(t)
	var list []string
	for n := range 100 {
		list = append(list, fmt.Sprintf("192.0.2.%d/32", 100+n))
	}
	d := startDirector(t, p.a, fmt.Sprintf("[vrrp_process]\nrt_priority = 50\n[vrrp_instance.VI_1]\ninterface = \"eth0\"\nvirtual_router_id = 51\npriority = 255\n"+
		"advert_interval = \"50ms\"\nvirtual_ipaddress = [\"%s\"]\ngarp = { repeat = 10, delay = \"0s\", interval = \"2ms\" }\n", strings.Join(list, `", "`)))
	gratuitous := func() (out []netlab.ARP) {
		for _, a := range p.cap.ARPs() {
			if a.Gratuitous() {
				out = append(out, a)
			}
		}
		return out
	}
	p.Within(patience, "all is announced", func() bool { return len(gratuitous()) >= 1000 })
	sent := gratuitous()
	if took := sent[999].Time.Sub(sent[0].Time); took < 999*2*time.Millisecond-50*time.Millisecond {
		t.Errorf("1000 announcements took %v", took)
	}
	var last time.Time
	late := 0
	for _, a := range p.cap.Adverts() {
		if gap := a.Time.Sub(last); !last.IsZero() && gap > 100*time.Millisecond {
			late++
		}
		last = a.Time
	}
	if all := len(p.cap.Adverts()); late > all/4 { // on a busy machine; were they to wait for announcements, all would be late
		t.Errorf("%d of %d adverts were more than 50 ms late", late, all)
	}
	begun := time.Now()
	d.Stop()
	if took := time.Since(begun); took > 3*time.Second+stood(begun) || p.a.HasAddr(vip) {
		t.Errorf("the stop took %v, the address is there: %v", took, p.a.HasAddr(vip))
	}
}
