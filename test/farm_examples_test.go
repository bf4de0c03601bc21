package test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"director/internal/netlab"
)

// testExampleFarms runs the farms of etc/examples, and a farm of keepalived.conf through a reload.
func testExampleFarms(t *testing.T) {
	t.Run("nat", exampleNAT)
	t.Run("direct and tunnel", exampleDirect)
	t.Run("several daemons", exampleSeveral)
}

// Two directors, A with the TOML and B with the keepalived.conf, have the same table, and whichever has the addresses serves. B's
// file is reloaded with a server less, and with a mistake.
func exampleNAT(t *testing.T) {
	f := newFarm(t, 2, 3)
	sorry := f.server("sorry", "10.0.0.20/24")
	web := f.webServers(append(f.servers, sorry)...)
	faster := []string{"interval = \"6s\"", "interval = \"500ms\"", "interval_changing = \"1s\"", "interval_changing = \"300ms\""}
	a := startDirector(t, f.directors[0], exampleFile(t, "07-web-farm-nat/a.toml", faster...))
	record := f.directors[1].Path("record")
	script, err := f.directors[1].WriteFile("changed", fmt.Sprintf("#!/bin/sh\necho \"$* $DIRECTOR_SUBJECT\" >>%s\n", record))
	f.Must(err)
	twin := exampleFile(t, "07-web-farm-nat/b.conf", "        weight 1\n", fmt.Sprintf("        weight 1\n        notify_up %q root\n        notify_down %q root\n", script+" came", script+" went"),
		"delay_loop 6", "delay_loop 0.5", "delay_before_retry 1", "delay_before_retry 0.3")
	b := startWithConf(t, f.directors[1], twin)
	a.waitMaster()
	for _, d := range []*director{a, b} {
		d.WaitServers()
		wantTable(t, d.host, strings.ReplaceAll(plainTable, "-s rr", "-s rr -p 50"))
	}
	const url = "http://" + outsideVIP + "/"
	only(t, f.ask(4, url))
	a.Stop()
	b.waitMaster()
	mine := only(t, f.ask(4, url))
	sick := map[string]int{"s1": 0, "s2": 1, "s3": 2}[mine]
	web[sick].SetHealthy(false)
	address := fmt.Sprintf("10.0.0.1%d:80", sick+1)
	b.WaitServer("192.0.2.80-80-tcp", address, "down")
	if now := only(t, f.ask(3, url)); now == mine {
		t.Errorf("%s still answers", now)
	}
	web[sick].SetHealthy(true)
	b.WaitServers()
	f.Eventually(patience, "the servers' commands have run", func() error {
		text, err := os.ReadFile(record)
		if err != nil {
			return err
		}
		about := " 192.0.2.80-80-tcp/" + address
		mine := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"), func(l string) bool { return !strings.HasSuffix(l, about) })
		if diff := cmp.Diff([]string{"came" + about, "went" + about, "came" + about}, mine); diff != "" || strings.Count(string(text), "came") != 4 {
			return fmt.Errorf("they wrote\n%s\nof %s (-want +got):\n%s", text, address, diff)
		}
		return nil
	})

	two, _, _ := strings.Cut(twin, "    real_server 10.0.0.13 80 {")
	two += "}\n"
	f.Must(b.Reload(two))
	waitTable(t, b.host, "-A -t 192.0.2.80:80 -s rr -p 50\n-a -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 1\n-a -t 192.0.2.80:80 -r 10.0.0.12:80 -m -w 1")
	if err := b.Reload(strings.Replace(two, "lb_kind NAT", "lb_kind NTA", 1)); err == nil || !strings.Contains(err.Error(), "keepalived.conf:") || !strings.Contains(err.Error(), `"NTA"`) {
		t.Errorf("a mistake is answered with: %v", err)
	}
	if s := b.Service("192.0.2.80-80-tcp"); len(s.Servers) != 2 {
		t.Errorf("after the mistake there are the servers %+v", s.Servers)
	}
	for _, w := range web[:3] {
		w.SetHealthy(false)
	}
	b.WaitService("192.0.2.80-80-tcp", "sorry")
	if got := f.ask(2, url); got["sorry"] != 2 {
		t.Errorf("answers %v, want the sorry server's", got)
	}
	b.Stop()
	wantTable(t, b.host, "")
}

// Two servers answer directly, the third behind a router through a tunnel.
func exampleDirect(t *testing.T) {
	f := newFarm(t, 2, 0)
	f.outsideServers(2)
	for _, h := range f.servers {
		f.Must(h.AddAddr("lo", netip.MustParsePrefix(outsideVIP+"/32")))
	}
	router := f.Host("router")
	f.Connect(router, "eth0", f.front, "192.0.2.254/24")
	f.Connect(router, "eth1", f.back, "10.0.1.254/24")
	f.Must(router.Forward())
	f.servers = append(f.servers, f.behindRouter("s3", "10.0.1.13/24"))
	for _, h := range f.directors {
		f.Must(h.Route(netip.MustParsePrefix("10.0.1.0/24"), netip.MustParseAddr("192.0.2.254")))
	}
	f.webServers(f.servers...)
	a := startDirector(t, f.directors[0], exampleFile(t, "08-web-farm-direct/a.toml"))
	b := startWithConf(t, f.directors[1], exampleFile(t, "08-web-farm-direct/b.conf"))
	a.WaitInstance("web", "MASTER", patience)
	const table = `
		-A -t 192.0.2.80:80 -s rr
		-a -t 192.0.2.80:80 -r 192.0.2.11:80 -g -w 1
		-a -t 192.0.2.80:80 -r 192.0.2.12:80 -g -w 1
		-a -t 192.0.2.80:80 -r 10.0.1.13:80 -i -w 1 --tun-type ipip`
	spread := func(d *director) {
		t.Helper()
		d.WaitServers()
		wantTable(t, d.host, table)
		if diff := cmp.Diff(map[string]int{"s1": 2, "s2": 2, "s3": 2}, f.ask(6, farmURL)); diff != "" {
			t.Errorf("answers through %s (-want +got):\n%s", d.host.Name(), diff)
		}
	}
	spread(a)
	a.Stop()
	b.WaitInstance("web", "MASTER", patience)
	spread(b)
	b.Stop()
}

// behindRouter makes a server that holds the outside address on a tunnel device.
func (f *farm) behindRouter(name, prefix string) *netlab.Host {
	f.t.Helper()
	h := f.Host(name)
	f.Connect(h, "eth0", f.back, prefix)
	f.Must(h.DefaultRoute(netip.MustParseAddr("10.0.1.254")))
	f.endTunnel(h)
	return h
}

// endTunnel has a server take what comes through a tunnel for the outside address.
func (f *farm) endTunnel(h *netlab.Host) {
	f.t.Helper()
	f.Must(h.LinkUp("tunl0"))
	f.Must(h.Sysctl("net/ipv4/conf/tunl0/rp_filter", "0"))
	f.Must(h.AddAddr("tunl0", netip.MustParsePrefix(outsideVIP+"/32")))
}
