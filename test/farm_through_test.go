package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"director/internal/control"
	"director/internal/netlab"
)

// throughConfig is a farm whose servers are asked twice: under their own address, and through the virtual one.
func throughConfig(priority int) string {
	return fmt.Sprintf(`
[global]
reconcile_interval = "1s"
probe_mark_base = 5000
[vrrp_instance.outside]
interface = "eth0"
virtual_router_id = 51
priority = %d
advert_interval = "300ms"
virtual_ipaddress = ["192.0.2.80/24"]
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
forwarding = "dr"
check = [
  { type = "tcp", interval = "300ms", timeout = "2s", rise = 1, fall = 2 },
  { type = "http", interval = "300ms", timeout = "2s", rise = 1, fall = 2, through_vip = true },
]
real_server = [{ name = "s1", address = "192.0.2.11" }, { name = "s2", address = "192.0.2.12" },
  { name = "s3", address = "192.0.2.13", forwarding = "tunnel" }]
`, priority)
}

// testThroughVIP: servers that answer under their own address and not under the virtual one, with a master and a backup.
func testThroughVIP(t *testing.T) {
	f := newFarm(t, 2, 0)
	vip := netip.MustParsePrefix(outsideVIP + "/32")
	f.outsideServers(3)
	s1, s2, s3 := f.servers[0], f.servers[1], f.servers[2]
	f.Must(s1.AddAddr("lo", vip)) // s2 has no virtual address, s3 no tunnel
	f.webServers(f.servers...)
	f.Must(f.directors[0].Sysctl("net/ipv4/conf/eth0/accept_local", "1"))
	a, b := startDirector(t, f.directors[0], throughConfig(200)), startDirector(t, f.directors[1], throughConfig(100))
	a.WaitInstance("outside", "MASTER", patience)
	b.WaitInstance("outside", "BACKUP", patience)

	const reason = "http 192.0.2.80:80/ through 192.0.2."
	found := func(d *director, want string) {
		t.Helper()
		d.waitService("web", want, func(v control.Service) error {
			var got []string
			for _, r := range v.Servers {
				got = append(got, fmt.Sprintf("%s %s/%s", r.Name, r.Checks[0].State, r.Checks[1].State))
				if r.Health == "down" && !strings.Contains(r.Reason, reason) {
					return fmt.Errorf("%s is down: %s", r.Name, r.Reason)
				}
			}
			if text := strings.Join(got, ", "); text != want {
				return fmt.Errorf("got %s: %+v", text, v.Servers)
			}
			return nil
		})
	}
	for _, d := range []*director{a, b} {
		found(d, "s1 up/up, s2 up/down, s3 up/down")
		t.Logf("%s: s2 is down: %s", d.host.Name(), d.WaitServer("web", "s2", "down").Reason)
	}
	f.Must(s2.AddAddr("lo", vip))
	f.endTunnel(s3)
	const private = "-A -f 5000 -s rr -o\n-a -f 5000 -r 192.0.2.11:0 -g -w 1\n-A -f 5001 -s rr -o\n-a -f 5001 -r 192.0.2.12:0 -g -w 1\n" +
		"-A -f 5002 -s rr -o\n-a -f 5002 -r 192.0.2.13:0 -i -w 1 --tun-type ipip\n"
	const table = "-A -t 192.0.2.80:80 -s rr\n-a -t 192.0.2.80:80 -r 192.0.2.11:80 -g -w 1\n-a -t 192.0.2.80:80 -r 192.0.2.12:80 -g -w 1\n" +
		"-a -t 192.0.2.80:80 -r 192.0.2.13:80 -i -w 1 --tun-type ipip\n"
	for _, d := range []*director{a, b} {
		found(d, "s1 up/up, s2 up/up, s3 up/up")
		waitTable(t, d.host, table+private)
		if n := len(d.Status().Checkers.Services); n != 1 {
			t.Errorf("the status of %s lists %d services", d.host.Name(), n)
		}
	}
	if got := f.ask(6, "http://"+outsideVIP+"/"); len(got) != 3 {
		t.Errorf("answers %v", got)
	}

	// The whole table goes: no server is blamed.
	quiet := a.WaitServer("web", "s1", "up").Since
	_, err := a.host.Run("ipvsadm", "-C")
	f.Must(err)
	waitTable(t, a.host, table+private)
	// A master that cannot hear the answers says so, and keeps its servers; a server that breaks is still found by the backup.
	f.Must(a.host.Sysctl("net/ipv4/conf/eth0/accept_local", "0"))
	a.waitService("web", "the check says what is missing", func(v control.Service) error {
		if c := v.Servers[1].Checks[1]; !strings.Contains(c.Result, "net.ipv4.conf.eth0.accept_local is 0") {
			return fmt.Errorf("%s: %s", c.State, c.Result)
		}
		return nil
	})
	f.Must(s2.DelAddr("lo", vip))
	b.WaitServer("web", "s2", "down")
	if s := a.WaitServer("web", "s2", "up"); s.Checks[1].State != "up" {
		t.Errorf("s2 on the master: %+v", s)
	}
	f.Must(a.host.Sysctl("net/ipv4/conf/eth0/accept_local", "1"))
	a.WaitServer("web", "s2", "down")
	if s := a.WaitServer("web", "s1", "up"); !s.Since.Equal(quiet) {
		t.Errorf("s1 is up since %v, was since %v", s.Since, quiet)
	}
	// The backup becomes master without accept_local.
	f.Must(b.host.Sysctl("net/ipv4/conf/eth0/accept_local", "0"))
	a.Stop()
	if err := netlab.EventuallyWithin(patience, func() error {
		if got := ipvsTable(t, a.host); got != "" {
			return fmt.Errorf("after the stop:\n%s", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	b.WaitInstance("outside", "MASTER", patience)
	b.waitService("web", "the new master keeps its servers", func(v control.Service) error {
		for i, state := range []string{"up", "down", "up"} {
			if r := v.Servers[i]; r.Health != state || !strings.Contains(r.Checks[1].Result, "accept_local") {
				return fmt.Errorf("%s is %s: %+v", r.Name, r.Health, r.Checks)
			}
		}
		return nil
	})
}
