package vrrpd

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
)

// What is foreseen is what then happens to the kernel, and foreseeing does nothing.
func TestForesee(t *testing.T) {
	master := func(name string, vrid uint8, addrs ...string) config.Instance {
		return instance(name, vrid, 255, addrs...)
	}
	start := []config.Instance{
		master("web", 51, "192.0.2.10/32", "192.0.2.11/32"), master("db", 52, "192.0.2.20/32"),
		instance("spare", 53, 100, "192.0.2.30/32"),
	}
	const unchanged = 2
	for _, c := range []struct {
		name       string
		to         []config.Instance
		static     []string
		vrrp, host []string
		unaffected int
	}{
		{name: "nothing", to: start, unaffected: 3},
		{name: "an address comes, one goes", to: []config.Instance{master("web", 51, "192.0.2.10/32", "192.0.2.12/32"), start[1], start[2]}, unaffected: unchanged,
			vrrp: []string{"vrrp_instance web ipv4 changes and stays MASTER"},
			host: []string{"remove 192.0.2.11/32 on eth0", "add 192.0.2.12/32 on eth0"}},
		{name: "an address passes", to: []config.Instance{master("web", 51, "192.0.2.10/32"), master("db", 52, "192.0.2.20/32", "192.0.2.11/32"), start[2]}, unaffected: 1,
			vrrp: []string{"vrrp_instance web ipv4 changes and stays MASTER", "vrrp_instance db ipv4 changes and stays MASTER"}},
		{name: "on a backup nothing moves", to: []config.Instance{start[0], start[1], instance("spare", 53, 100, "192.0.2.31/32")}, unaffected: unchanged,
			vrrp: []string{"vrrp_instance spare ipv4 changes and stays BACKUP"}},
		{name: "one ends, one starts", to: []config.Instance{start[1], start[2], instance("new", 54, 100, "192.0.2.40/32")}, unaffected: unchanged,
			vrrp: []string{
				"vrrp_instance new ipv4 starts as BACKUP: interface eth0, virtual router 54",
				"vrrp_instance web ipv4 ends; it is MASTER, says good-bye (priority 0) and gives its addresses up",
			},
			host: []string{"remove 192.0.2.10/32 on eth0", "remove 192.0.2.11/32 on eth0"}},
		{name: "the owner of another one", to: append(slices.Clone(start), master("own", 55, "192.0.2.50/32")), unaffected: 3,
			vrrp: []string{"vrrp_instance own ipv4 starts as MASTER: interface eth0, virtual router 55"}, host: []string{"add 192.0.2.50/32 on eth0"}},
		{name: "renamed", to: []config.Instance{master("site", 51, "192.0.2.10/32", "192.0.2.11/32"), start[1], start[2]}, unaffected: unchanged,
			vrrp: []string{"vrrp_instance web, now site, ipv4 changes and stays MASTER"}},
		{name: "another interface", to: []config.Instance{start[0], start[1], moved(start[2], "eth1")}, unaffected: unchanged,
			vrrp: []string{
				"vrrp_instance spare ipv4 starts as BACKUP: interface eth1, virtual router 53", "vrrp_instance spare ipv4 ends; it is BACKUP", "VRRP socket on eth1, ipv4 opens",
			}},
		{name: "static addresses", to: start, static: []string{"198.51.100.1/24"}, unaffected: 3, host: []string{"add 198.51.100.1/24 on eth0"}},
		{name: "all gone", vrrp: []string{
			"vrrp_instance web ipv4 ends; it is MASTER, says good-bye (priority 0) and gives its addresses up",
			"vrrp_instance db ipv4 ends; it is MASTER, says good-bye (priority 0) and gives its addresses up", "vrrp_instance spare ipv4 ends; it is BACKUP",
			"VRRP socket on eth0, ipv4 closes",
		}, host: []string{"remove 192.0.2.10/32 on eth0", "remove 192.0.2.11/32 on eth0", "remove 192.0.2.20/32 on eth0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.link("eth1", 3, true, "198.51.100.9/24")
			w.configure(nil, start...)
			w.take()
			before := maps.Clone(w.kernel)
			cfg := &config.Config{Instances: c.to}
			for _, s := range c.static {
				cfg.StaticAddresses = append(cfg.StaticAddresses, config.StaticAddress{Prefix: netip.MustParsePrefix(s), Device: "eth0"})
			}
			got := w.e.foresee(cfg)
			w.settle()
			w.want()
			want := &control.Changes{VRRP: c.vrrp, Host: c.host, Unaffected: control.Unaffected{Instances: c.unaffected}}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			w.whole(cfg)
			var happened []string
			for what := range before {
				if !w.kernel[what] {
					happened = append(happened, "remove "+what)
				}
			}
			for what := range w.kernel {
				if !before[what] {
					happened = append(happened, "add "+what)
				}
			}
			foreseen := make([]string, len(got.Host))
			for i, line := range got.Host {
				foreseen[i] = regexp.MustCompile(`(\S+) (\S+) on (\S+)`).ReplaceAllString(line, "$1 $3 $2")
			}
			slices.Sort(happened)
			slices.Sort(foreseen)
			if !slices.Equal(happened, foreseen) {
				t.Errorf("foreseen %q, happened %q", foreseen, happened)
			}
		})
	}
}

func moved(c config.Instance, device string) config.Instance {
	c.Interface = device
	return c
}

func TestForeseeAStart(t *testing.T) {
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.Authentication.Type = config.AuthAH
	got := Foresee(&config.Config{Instances: []config.Instance{c}})
	if want := "[vrrp_instance web ipv4 starts as BACKUP: interface eth0, virtual router 51 " +
		"VRRP socket on eth0, ipv4 opens VRRP socket on eth0, ipv4 with authentication header opens]"; fmt.Sprint(got.VRRP) != want || len(got.Host) != 0 {
		t.Errorf("got %s, %s", got.VRRP, strings.Join(got.Host, "; "))
	}
}
