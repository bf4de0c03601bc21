package test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// pair is two hosts A and B on one link, and a client.
type pair struct {
	*labtest.Lab
	t            testing.TB
	sw           *netlab.Switch
	a, b, client *netlab.Host
	portA, portB *netlab.Port
	cap          *netlab.Capture
}

var vip = netip.MustParseAddr("192.0.2.100")

func newPair(t testing.TB) *pair {
	l := labtest.New(t, "vrrp")
	p := &pair{Lab: l, t: t, sw: l.Switch("sw"), a: l.Host("a"), b: l.Host("b"), client: l.Host("client")}
	p.portA = l.Connect(p.a, "eth0", p.sw, "192.0.2.1/24")
	p.portB = l.Connect(p.b, "eth0", p.sw, "192.0.2.2/24")
	l.Connect(p.client, "eth0", p.sw, "192.0.2.50/24")
	// The client learns from nobody but the routers where an address has gone: by itself it would ask anew after some seconds.
	for _, family := range []string{"ipv4", "ipv6"} {
		l.Must(p.client.Sysctl("net/"+family+"/neigh/eth0/delay_first_probe_time", "3600"))
		l.Must(p.client.Sysctl("net/"+family+"/neigh/eth0/base_reachable_time_ms", "3600000"))
	}
	var err error
	p.cap, err = p.sw.Capture(netlab.FilterVRRP | netlab.FilterARP)
	l.Must(err)
	t.Cleanup(func() { _ = p.cap.Close() })
	return p
}

// vrrp writes the configuration of one instance; lines are added to its table,
// tables stand before it.
func vrrp(name string, vrid, priority int, address string, lines ...string) string {
	return fmt.Sprintf("[vrrp_instance.%s]\ninterface = \"eth0\"\nvirtual_router_id = %d\npriority = %d\n"+
		"virtual_ipaddress = [%q]\n%s\n", name, vrid, priority, address, strings.Join(lines, "\n"))
}

// fast is the setting of most tests: adverts come every fastInterval, often enough for a test, and seldom enough for a backup to bear a machine
// that stands still for half a second. Who has not taken over after a lull does not.
const (
	fast         = `advert_interval = "300ms"`
	fastInterval = 300 * time.Millisecond
	lull         = 5 * fastInterval
)

// forbearing is the setting of both routers where a process is killed and must be back before the other router takes over: on a busy machine, too.
const forbearing = "down_timer_adverts = 10"

// onlyOn waits until the VIP is on exactly one host and the client's neighbour
// entry says so too.
func (p *pair) onlyOn(owner *netlab.Host, addr netip.Addr, within time.Duration) {
	p.t.Helper()
	p.onlyOnAs(owner, addr, "", within)
}

// onlyOnAs is onlyOn with another MAC address than the interface's own.
func (p *pair) onlyOnAs(owner *netlab.Host, addr netip.Addr, mac string, within time.Duration) {
	p.t.Helper()
	other := p.a
	if owner == p.a {
		other = p.b
	}
	if mac == "" {
		own, err := owner.MAC("eth0")
		p.Must(err)
		mac = own.String()
	}
	p.Eventually(within, fmt.Sprintf("%s is on %s alone", addr, owner.Name()), func() error {
		if !owner.HasAddr(addr) || other.HasAddr(addr) {
			return fmt.Errorf("%s has it: %v, %s has it: %v", owner.Name(), owner.HasAddr(addr), other.Name(), other.HasAddr(addr))
		}
		// Somebody has to ask before there is a neighbour entry.
		if c, err := p.client.Dial("udp", netip.AddrPortFrom(addr, 9).String()); err == nil {
			_, _ = c.Write([]byte("?"))
			_ = c.Close()
		}
		if got, ok := p.client.Neighbour(addr); !ok || got.String() != mac {
			return fmt.Errorf("the client's neighbour entry is %v, %s has %s", got, owner.Name(), mac)
		}
		return nil
	})
}

// Set-up 1: a first pair with a password, adverts every second.
func TestFirstPair(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := func(prio int, state string) string {
		return vrrp("VI_1", 80, prio, "192.0.2.100", "version = 2", fmt.Sprintf("state = %q", state),
			`authentication = { type = "PASS", password = "1111" }`)
	}
	// The one with the lower priority is started first: order decides nothing.
	b := startDirector(t, p.b, conf(50, "BACKUP"))
	a := startDirector(t, p.a, conf(100, "MASTER"))
	a.WaitInstance("VI_1", "MASTER", patience)
	p.onlyOn(p.a, vip, patience)
	if i := b.WaitInstance("VI_1", "BACKUP", patience); i.Master != "192.0.2.1" || i.MasterPriority != 100 {
		t.Errorf("B says the master is %s with priority %d", i.Master, i.MasterPriority)
	}
	if out := p.Run(p.a, "ip", "-br", "address", "show", "eth0"); !strings.Contains(out, "192.0.2.100/32") {
		t.Errorf("the address without a mask is not a /32: %s", out)
	}
	text, err := a.CLI("status")
	p.Must(err)
	for _, want := range []string{"VI_1", "MASTER", "192.0.2.100"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not say %q:\n%s", want, text)
		}
	}

	// A is stopped: priority 0, the address leaves A at once and is on B after
	// B's skew time (206/256 s), and not after its master-down time.
	p.cap.Reset()
	a.Stop()
	p.onlyOn(p.b, vip, patience)
	zero, err := p.cap.WaitAdvert(patience, func(adv netlab.Advert) bool { return adv.Priority == 0 })
	p.Must(err)
	first, err := p.cap.WaitAdvert(patience, func(adv netlab.Advert) bool { return adv.Priority == 50 })
	p.Must(err)
	for _, adv := range p.cap.Adverts() {
		if adv.Auth != "1111" || adv.AuthType != 1 {
			t.Errorf("advert without the password: %v", adv)
		}
	}
	skew := 206 * time.Second / 256
	if took := first.Time.Sub(zero.Time); took < skew || took > skew+1500*time.Millisecond+stood(zero.Time) {
		t.Errorf("B took over %v after priority 0; its skew time is %v", took, skew)
	}
	if i := b.Instance("VI_1"); i.Reason != "192.0.2.1 stopped (priority 0)" {
		t.Errorf("B says: %s", i.Reason)
	}

	// A returns and preempts.
	a = a.Again()
	a.WaitInstance("VI_1", "MASTER", patience)
	p.onlyOn(p.a, vip, patience)
	if i := b.WaitInstance("VI_1", "BACKUP", patience); i.Code != "higher_priority" {
		t.Errorf("B says: %s", i.Reason)
	}
	p.noDoubleMaster(80, 50*time.Millisecond)
}

// Set-up 2: both BACKUP with nopreempt; the one that returns stays backup.
func TestNoReturn(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := startDirector(t, p.a, vrrp("VI_1", 51, 100, "192.0.2.100/24", fast, `state = "BACKUP"`, "nopreempt = true"))
	a.WaitInstance("VI_1", "MASTER", patience)
	b := startDirector(t, p.b, vrrp("VI_1", 51, 90, "192.0.2.100/24", fast, `state = "BACKUP"`))
	b.WaitInstance("VI_1", "BACKUP", patience)

	p.Must(p.a.PowerOff())
	b.WaitInstance("VI_1", "MASTER", patience)
	// A machine that starts again has lost what was set at run time.
	p.Must(p.a.DelAddr("eth0", netip.MustParsePrefix("192.0.2.100/24")))
	p.Must(p.a.Heal())
	p.onlyOn(p.b, vip, patience)

	load, err := p.client.LoadUDP(t.Context(), "192.0.2.100:7", 5*time.Millisecond, lostAfter)
	p.Must(err)
	echo, err := p.b.EchoServer(netip.MustParseAddrPort("0.0.0.0:7"), "b")
	p.Must(err)
	defer echo.Close()
	p.Must(load.AwaitOK(patience, 20))
	from := time.Now()
	a = a.Again()
	i := a.WaitInstance("VI_1", "BACKUP", patience)
	if i.Master != "192.0.2.2" {
		p.Eventually(patience, "A hears B", func() error {
			if i := a.Instance("VI_1"); i.Master != "192.0.2.2" {
				return fmt.Errorf("it says %q", i.Master)
			}
			return nil
		})
	}
	p.Holds(lull, "the address stays on B", func() bool { return p.b.HasAddr(vip) && !p.a.HasAddr(vip) })
	load.Stop()
	if s := load.Since(from); s.Failed > 0 {
		t.Errorf("the return of A interrupted the service: %v", s)
	}
	p.Must(p.b.PowerOff())
	a.WaitInstance("VI_1", "MASTER", patience)
	if !p.a.HasAddr(vip) {
		t.Error("A is MASTER without the address")
	}
}

// Set-up 6: two VIPs crossed.
func TestCrossedVIPs(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	other := netip.MustParseAddr("192.0.2.101")
	conf := func(first, second int) string {
		return vrrp("VI_1", 51, first, "192.0.2.100/24", fast) + vrrp("VI_2", 52, second, "192.0.2.101/24", fast)
	}
	a := startDirector(t, p.a, conf(150, 100))
	b := startDirector(t, p.b, conf(100, 150))
	p.onlyOn(p.a, vip, patience)
	p.onlyOn(p.b, other, patience)
	p.Must(p.portA.Cut())
	b.WaitInstance("VI_1", "MASTER", patience)
	if !p.b.HasAddr(vip) || !p.b.HasAddr(other) {
		t.Error("the survivor does not have both addresses")
	}
	p.Must(p.portA.Heal())
	p.onlyOn(p.a, vip, patience)
	p.onlyOn(p.b, other, patience)
	a.WaitInstance("VI_2", "BACKUP", patience)
}

// Set-up 3 and 4: a script with weight -20 that tries a repair, and loses the
// address when that fails.
func TestTrackScriptMovesTheAddress(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	broken, down := p.a.Path("broken"), p.a.Path("down")
	script, err := p.a.WriteFile("chk.sh", fmt.Sprintf(`#!/bin/sh
# "down" is a service that does not run; starting it works unless it is "broken".
[ -e %[2]s ] || exit 0
[ -e %[1]s ] || rm %[2]s
[ ! -e %[2]s ]
`, broken, down))
	p.Must(err)
	conf := func(prio int) string {
		return fmt.Sprintf("[vrrp_script.chk]\nscript = %q\ninterval = \"200ms\"\ntimeout = \"3s\"\nweight = -20\n", script) +
			vrrp("VI_1", 51, prio, "192.0.2.100/24", fast, `track_script = ["chk"]`,
				fmt.Sprintf("mcast_src_ip = \"192.0.2.%d\"", map[int]int{100: 1, 90: 2}[prio]))
	}
	a := startDirector(t, p.a, conf(100))
	_, err = p.b.WriteFile("unused", "")
	p.Must(err)
	b := startDirector(t, p.b, strings.ReplaceAll(conf(90), script, "/bin/true"))
	p.onlyOn(p.a, vip, patience)

	// Down, but it can be started again: the address stays.
	p.Must(os.WriteFile(down, nil, 0o644))
	p.Within(patience, "the script repairs the service", func() bool { _, err := os.Stat(down); return os.IsNotExist(err) })
	p.Holds(lull, "the address stays on A", func() bool { return p.a.HasAddr(vip) })

	// Broken: 100 - 20 is less than 90.
	p.Must(os.WriteFile(broken, nil, 0o644))
	p.Must(os.WriteFile(down, nil, 0o644))
	b.WaitInstance("VI_1", "MASTER", patience)
	p.onlyOn(p.b, vip, patience)
	i := a.WaitInstance("VI_1", "BACKUP", patience)
	if i.Priority != 80 || len(i.Terms) != 1 || i.Terms[0].Value != -20 {
		t.Errorf("A explains its priority %d by %+v", i.Priority, i.Terms)
	}

	p.Must(os.Remove(broken))
	p.onlyOn(p.a, vip, patience)
	if i := a.Instance("VI_1"); i.Priority != 100 || i.Code != "preempted" {
		t.Errorf("A has priority %d: %s", i.Priority, i.Reason)
	}
}

// Set-up 5: scripts that promote and demote a database run once for each
// change, in order, with keepalived's arguments.
func TestNotifyScripts(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	record := p.a.Path("record")
	script, err := p.a.WriteFile("notify.sh", fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s\n", record))
	p.Must(err)
	hang, err := p.a.WriteFile("hang.sh", fmt.Sprintf("#!/bin/sh\necho hang >>%s\nsleep 600\n", record))
	p.Must(err)
	notify := fmt.Sprintf("[vrrp_instance.db.notify]\nmaster = [%[1]q, \"promote\"]\nbackup = [%[1]q, \"demote\", \"it's me\"]\nfault = [%[2]q]\nstop = [%[1]q, \"stop\"]\nall = [%[1]q]\ntimeout = \"3s\"\n", script, hang)
	a := startDirector(t, p.a, vrrp("db", 51, 150, "192.0.2.100/24", fast, "nopreempt = true")+notify)
	a.WaitInstance("db", "MASTER", patience)
	p.Must(p.portA.Unplug())
	a.WaitInstance("db", "FAULT", patience)
	p.Within(patience, "the script that hangs is ended and the next one runs", func() bool {
		got, _ := os.ReadFile(record)
		return strings.Contains(string(got), "INSTANCE db FAULT")
	})
	p.Must(p.portA.Plug())
	a.WaitInstance("db", "MASTER", patience)
	a.Stop()
	want := strings.Join([]string{
		"demote it's me", "INSTANCE db BACKUP 150",
		"promote", "INSTANCE db MASTER 150",
		"hang", "INSTANCE db FAULT 150",
		"demote it's me", "INSTANCE db BACKUP 150",
		"promote", "INSTANCE db MASTER 150",
		"stop", "INSTANCE db STOP 150",
	}, "\n")
	p.Eventually(patience, "every script has run", func() error {
		got, err := os.ReadFile(record)
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(got)) != want {
			return fmt.Errorf("the scripts wrote:\n%s\nwant:\n%s", got, want)
		}
		return nil
	})
}

// Equal priorities: the higher address wins.
func TestEqualPriorities(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := vrrp("VI_1", 51, 150, "192.0.2.100/24", fast)
	p.Must(p.portA.Cut())
	a := startDirector(t, p.a, conf)
	b := startDirector(t, p.b, conf)
	a.WaitInstance("VI_1", "MASTER", patience)
	b.WaitInstance("VI_1", "MASTER", patience)
	p.Must(p.portA.Heal())
	p.onlyOn(p.b, vip, patience)
	if i := a.WaitInstance("VI_1", "BACKUP", patience); i.Code != "higher_address" {
		t.Errorf("A says: %s", i.Reason)
	}
}

// What an administrator deletes from a MASTER comes back, is announced and counted.
func TestDeletedAddressComesBack(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", fast))
	p.Within(patience, "A has the address", func() bool { return p.a.HasAddr(vip) })
	p.cap.Reset()
	p.Must(p.a.DelAddr("eth0", netip.MustParsePrefix("192.0.2.100/24")))
	p.Within(patience, "the address is back", func() bool { return p.a.HasAddr(vip) })
	p.Within(patience, "it is counted", func() bool { return a.Status().VRRP.Repairs == 1 })
	announced := func() bool {
		for _, arp := range p.cap.ARPs() {
			if arp.Gratuitous() && arp.Sender == vip {
				return true
			}
		}
		return false
	}
	p.Within(patience, "it is announced", announced)
	if i := a.Instance("VI_1"); i.State != "MASTER" || i.Transitions != 2 {
		t.Errorf("A is %s after %d transitions", i.State, i.Transitions)
	}
}

// A reload that changes nothing leaves no gap between adverts, one that adds an
// address moves nothing, and a broken file changes nothing.
func TestReloadIsSeamless(t *testing.T) {
	p := newPair(t)
	conf := vrrp("VI_1", 51, 150, "192.0.2.100/24", fast)
	a := startDirector(t, p.a, conf)
	a.WaitInstance("VI_1", "MASTER", patience)
	b := startDirector(t, p.b, vrrp("VI_1", 51, 100, "192.0.2.100/24", fast))
	b.WaitInstance("VI_1", "BACKUP", patience)
	p.cap.Reset()
	began := time.Now()
	for range 5 {
		p.Must(a.Reload(conf))
	}
	more := strings.Replace(conf, `["192.0.2.100/24"]`, `["192.0.2.100/24", "192.0.2.101/24"]`, 1)
	p.Must(a.Reload(more))
	p.Within(patience, "the new address is there", func() bool { return p.a.HasAddr(netip.MustParseAddr("192.0.2.101")) })
	err := a.Reload(strings.Replace(more, "priority = 150", "priority = 1500", 1))
	if err == nil || !strings.Contains(err.Error(), filepath.Base(a.ConfigPath())+":4:") {
		t.Errorf("a broken file is answered with: %v", err)
	}
	p.Holds(lull, "both addresses stay", func() bool {
		return p.a.HasAddr(vip) && p.a.HasAddr(netip.MustParseAddr("192.0.2.101")) && !p.b.HasAddr(vip)
	})
	if i := a.Instance("VI_1"); i.Transitions != 2 {
		t.Errorf("A changed its state %d times, want INIT, BACKUP, MASTER", i.Transitions)
	}
	// The peer has one address less and must not become a second master.
	if i := b.Instance("VI_1"); i.State != "BACKUP" || i.Transitions != 1 {
		t.Errorf("B is %s after %d transitions: %s", i.State, i.Transitions, i.Reason)
	}
	var last time.Time
	longest := 2*fastInterval + stood(began)
	for _, adv := range p.cap.Adverts() {
		if gap := adv.Time.Sub(last); !last.IsZero() && gap > longest {
			t.Errorf("a gap of %v between adverts", gap)
		}
		if adv.Priority == 0 {
			t.Error("an advert with priority 0 was sent")
		}
		last = adv.Time
	}
}
