package test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// exampleFile is a file of etc/examples with what the lab needs otherwise put in its place: pairs of old and new text, of which
// each old one must be there. Version 3 is made faster.
func exampleFile(t testing.TB, name string, replace ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../etc/examples", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s has no %q", name, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	if strings.HasSuffix(name, ".toml") {
		if !strings.Contains(text, "version = 2") {
			text = regexp.MustCompile(`(?m)^virtual_router_id = .*$`).ReplaceAllString(text, "$0\nadvert_interval = \"300ms\"")
		}
	} else if strings.Contains(text, "vrrp_version 3") {
		text = strings.ReplaceAll(text, "advert_int 1\n", "advert_int 0.3\n")
	}
	return text
}

// An example is one set-up that two hosts run: A its TOML, B the twin in keepalived's language.
type example struct {
	*pair
	dir  string
	a, b *director
}

// examplePair starts both hosts. replace is as for exampleFile, for the files of both languages.
func examplePair(t *testing.T, dir string, replace ...string) *example {
	t.Helper()
	t.Parallel()
	e := &example{pair: newPair(t), dir: dir}
	e.begin(replace...)
	return e
}

func (e *example) begin(replace ...string) {
	e.t.Helper()
	e.a = startDirector(e.t, e.pair.a, exampleFile(e.t, e.dir+"/a.toml", replace...))
	e.b = startWithConf(e.t, e.pair.b, exampleFile(e.t, e.dir+"/b.conf", replace...))
}

// moves stops A and starts it again, and wants the address on B meanwhile.
func (e *example) moves(instance string, addr netip.Addr) {
	e.t.Helper()
	e.onlyOn(e.pair.a, addr, patience)
	e.a.Stop()
	e.b.WaitInstance(instance, "MASTER", patience)
	e.onlyOn(e.pair.b, addr, patience)
	e.a = e.a.Again()
	e.onlyOn(e.pair.a, addr, patience)
}

// exampleScript writes a script of the host that fails while a file "broken" is there.
func exampleScript(p *pair) (script, broken string) {
	broken = p.a.Path("broken")
	script, err := p.a.WriteFile("check", fmt.Sprintf("#!/bin/sh\n[ ! -e %s ]\n", broken))
	p.Must(err)
	return script, broken
}

// Each example of etc/examples runs: one host has the TOML, the other one the keepalived.conf.
func TestExamples(t *testing.T) {
	t.Parallel()
	web := netip.MustParseAddr("192.0.2.80")
	t.Run("01-first-pair", func(t *testing.T) { examplePair(t, "01-first-pair").moves("web", web) })
	t.Run("11-unicast-pair", func(t *testing.T) {
		e := examplePair(t, "11-unicast-pair")
		e.moves("web", web)
		e.onlyUnicast()
	})
	t.Run("02-no-return", func(t *testing.T) {
		e := examplePair(t, "02-no-return")
		e.onlyOn(e.pair.a, web, patience)
		e.a.Stop()
		e.onlyOn(e.pair.b, web, patience)
		e.a = e.a.Again()
		e.waitMasterOf(e.a, "192.0.2.2")
		e.Holds(lull, "the address stays on B", func() bool { return e.pair.b.HasAddr(web) && !e.pair.a.HasAddr(web) })
	})
	for dir, check := range map[string]struct{ script, rhythm, faster string }{
		"03-nginx-pair":   {"/usr/local/sbin/check-nginx", `interval = "2s"`, `interval = "300ms"`},
		"04-haproxy-mail": {"/usr/bin/pgrep -x haproxy", `interval = "5s"`, "interval = \"300ms\"\ntimeout = \"3s\""},
	} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			script, broken := exampleScript(p)
			e := &example{pair: p, dir: dir}
			e.a = startDirector(t, p.a, exampleFile(t, dir+"/a.toml", check.script, script, check.rhythm, check.faster))
			e.b = startWithConf(t, p.b, exampleFile(t, dir+"/b.conf", check.script, "/bin/true"))
			e.onlyOn(p.a, web, patience)
			p.Must(os.WriteFile(broken, nil, 0o644))
			e.onlyOn(p.b, web, patience)
			if i := e.a.Instance("web"); i.Priority != 80 {
				t.Errorf("A has priority %d", i.Priority)
			}
			p.Must(os.Remove(broken))
			e.onlyOn(p.a, web, patience)
		})
	}
	t.Run("05-database-pair", exampleDatabases)
	t.Run("06-crossed-addresses", func(t *testing.T) {
		e := examplePair(t, "06-crossed-addresses")
		one, two := netip.MustParseAddr("192.0.2.81"), netip.MustParseAddr("192.0.2.82")
		e.onlyOn(e.pair.a, one, patience)
		e.onlyOn(e.pair.b, two, patience)
		e.b.Stop()
		e.onlyOn(e.pair.a, two, patience)
		e.onlyOn(e.pair.a, one, patience)
	})
	t.Run("10-router-pair", exampleRouters)
	t.Run("12-split-brain", exampleWitness)
}

// waitMasterOf waits until a backup hears the master with that address.
func (e *example) waitMasterOf(d *director, source string) {
	e.t.Helper()
	e.Eventually(patience, "it hears the master", func() error {
		if i := d.Instance("web"); i.State != "BACKUP" || i.Master != source {
			return fmt.Errorf("it is %s, the master is %q", i.State, i.Master)
		}
		return nil
	})
}

// With equal priorities the higher address, B's, wins, and the scripts tell the databases.
func exampleDatabases(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	record := map[*netlab.Host]string{}
	script := func(h *netlab.Host) []string {
		record[h] = h.Path("record")
		s, err := h.WriteFile("role", fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s\n", record[h]))
		p.Must(err)
		return []string{"/usr/local/sbin/db-role", s, "/usr/local/sbin/db-log", s}
	}
	wrote := func(h *netlab.Host, want string) {
		t.Helper()
		p.Eventually(patience, "the scripts of "+h.Name()+" have run", func() error {
			got, err := os.ReadFile(record[h])
			if err == nil && strings.TrimSpace(string(got)) != want {
				err = fmt.Errorf("they wrote\n%s\nwant\n%s", got, want)
			}
			return err
		})
	}
	b := startWithConf(t, p.b, exampleFile(t, "05-database-pair/b.conf", script(p.b)...))
	b.WaitInstance("db", "MASTER", patience)
	a := startDirector(t, p.a, exampleFile(t, "05-database-pair/a.toml", script(p.a)...))
	a.WaitInstance("db", "BACKUP", patience)
	b.Stop()
	a.WaitInstance("db", "MASTER", patience)
	wrote(p.b, "demote\nINSTANCE db BACKUP 150\npromote\nINSTANCE db MASTER 150\ndemote\nINSTANCE db STOP 150")
	wrote(p.a, "demote\nINSTANCE db BACKUP 150\npromote\nINSTANCE db MASTER 150")
	b = b.Again()
	b.WaitInstance("db", "BACKUP", patience)
	p.Holds(lull, "A keeps the address", func() bool {
		return p.a.HasAddr(netip.MustParseAddr("192.0.2.80")) && !p.b.HasAddr(netip.MustParseAddr("192.0.2.80"))
	})
}

// A router whose uplink is down gives the gateway's addresses away, and the client sees the same MAC address.
func exampleRouters(t *testing.T) {
	t.Parallel()
	l := labtest.New(t, "routers")
	out, in := l.Switch("out"), l.Switch("in")
	hosts := map[string]*netlab.Host{}
	var uplink *netlab.Port
	for i, name := range []string{"a", "b"} {
		h := l.Host(name)
		port := l.Connect(h, "eth0", out, fmt.Sprintf("192.0.2.%d/24", i+1))
		l.Connect(h, "eth1", in, fmt.Sprintf("10.0.0.%d/24", i+2))
		if i == 0 {
			uplink = port
		}
		hosts[name] = h
	}
	client := l.Host("client")
	l.Connect(client, "eth0", in, "10.0.0.50/24")
	a := startDirector(t, hosts["a"], exampleFile(t, "10-router-pair/a.toml"))
	b := startWithConf(t, hosts["b"], exampleFile(t, "10-router-pair/b.conf"))
	gateway := func(d *director) {
		t.Helper()
		for _, name := range []string{"lan", "lan6"} {
			d.WaitInstance(name, "MASTER", patience)
		}
		l.Eventually(patience, "the client reaches the gateway", func() error {
			if _, err := client.Run("ping", "-c1", "-W1", "10.0.0.1"); err != nil {
				return err
			}
			if mac, _ := client.Neighbour(netip.MustParseAddr("10.0.0.1")); mac.String() != "00:00:5e:00:01:0a" {
				return fmt.Errorf("it has the MAC address %v", mac)
			}
			if got, err := d.host.Run("ip", "route", "show", "203.0.113.0/24"); err != nil || !strings.Contains(got, "192.0.2.254") {
				return fmt.Errorf("its route is %q, %v", got, err)
			}
			return nil
		})
	}
	gateway(a)
	l.Must(uplink.Unplug())
	gateway(b)
	if !hosts["a"].HasAddr(netip.MustParseAddr("10.0.9.1")) || !hosts["b"].HasAddr(netip.MustParseAddr("10.0.9.2")) {
		t.Error("the static addresses are not there")
	}
	a.WaitInstance("lan", "FAULT", patience)
	l.Must(uplink.Plug())
	gateway(a)
}

// The example against two masters: the outside link breaks, the second path holds B back; A loses the gateway and gives way.
func exampleWitness(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	side := p.Switch("side")
	for i, h := range []*netlab.Host{p.a, p.b} {
		p.Connect(h, "eth1", side, fmt.Sprintf("10.1.0.%d/24", i+1))
	}
	gateway := p.Host("gateway")
	p.Connect(gateway, "eth0", p.sw, "192.0.2.254/24")
	alarm := []string{"/usr/local/sbin/vrrp-alarm", "/bin/true"}
	a := startDirector(t, p.a, exampleFile(t, "12-split-brain/a.toml", alarm...))
	b := startDirector(t, p.b, exampleFile(t, "12-split-brain/b.toml", alarm...))
	web := netip.MustParseAddr("192.0.2.80")
	p.onlyOn(p.a, web, patience)
	b.WaitInstance("web", "BACKUP", patience)
	p.Must(p.portA.Cut())
	b.WaitInstance("web", "MASTER", patience)
	p.Eventually(patience, "A has given way", func() error {
		if p.a.HasAddr(web) {
			return fmt.Errorf("it is %s", a.Instance("web").State)
		}
		return nil
	})
	p.Must(p.portA.Heal())
	p.onlyOn(p.a, web, patience)
}
