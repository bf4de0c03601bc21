package examine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"director/config"
	"director/internal/doctor"
	"director/internal/netlab/labtest"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// indexed adds the number of a packet's interface, in the calling thread's namespace.
func indexed(p packet) packet {
	if l, err := netlink.LinkByName(p.device); err == nil {
		p.index = l.Attrs().Index
	}
	return p
}

const text = `[vrrp_instance.web]
interface = "eth0"
virtual_router_id = 51
virtual_ipaddress = ["192.0.2.80/24", "fe80::80/64"]
use_vmac = true

[vrrp_instance.far]
interface = "eth9"
virtual_router_id = 52
unicast_peer = ["10.0.0.2"]
virtual_ipaddress = ["203.0.113.1/32"]

[virtual_server.web]
address = "192.0.2.80:80"
forwarding = "nat"
real_server = ["192.0.2.11", "198.51.100.1"]
[[virtual_server.web.check]]
type = "tcp"
`

// A host in which much is wrong, and what is found when it is put right.
func TestHost(t *testing.T) {
	lab := labtest.New(t, "drhost")
	h, sw := lab.Host("h"), lab.Switch("lan")
	lab.Connect(h, "eth0", sw, "192.0.2.1/24")
	lab.Connect(h, "eth1", sw, "10.0.0.1/24")
	lab.Must(h.Sysctl("net.ipv4.ip_forward", "0"))
	lab.Must(h.Sysctl("net.ipv4.conf.eth0.send_redirects", "1"))
	lab.Must(h.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "1"))
	lab.Must(h.Sysctl("net.ipv4.conf.eth0.rp_filter", "1"))
	lab.Run(h, "ip", "route", "add", "default", "via", "10.0.0.254")
	lab.Run(h, "ip", "route", "add", "unreachable", "198.51.100.0/24")
	lab.Run(h, "ip", "link", "add", "vrrp.51", "type", "bridge")
	lab.Must(h.AddAddr("eth0", netip.MustParsePrefix("192.0.2.80/24")))
	lab.Run(h, "nft", "add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }; add rule inet filter input tcp dport 22 accept")
	l, err := h.Listen("tcp", "192.0.2.80:8080")
	lab.Must(err)
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/network/interfaces":  "auto eth0\niface eth0 inet static\n  address 192.0.2.80/24\n",
		"etc/haproxy/haproxy.cfg": "frontend web\n  bind 192.0.2.80:443\n",
		"etc/systemd/system/multi-user.target.wants/keepalived.service": "[Unit]\n",
	} {
		lab.Must(os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		lab.Must(os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	cfg, err := config.Parse("d.toml", []byte(text))
	lab.Must(err)
	find := func() []string {
		t.Helper()
		var found []string
		lab.Must(h.Do(func() error {
			facts := Host(Options{Config: cfg, ConfigPath: "d.toml", RuntimeDir: h.Path("run"), Socket: h.Path("run/director.sock"), Root: root})
			r := doctor.Diagnose(doctor.Input{File: "d.toml", Config: cfg, Find: config.Positions("d.toml", []byte(text)), Facts: facts})
			for _, f := range r.Findings {
				found = append(found, fmt.Sprintf("%s %s:%d", f.ID, f.Severity, f.Line))
			}
			if len(facts.Links) != 4 || facts.Outward["ipv4"] != "eth1" {
				t.Errorf("links %+v, outward %v", facts.Links, facts.Outward)
			}
			return nil
		}))
		return found
	}
	const has, hasNot = true, false
	check := func(when string, want map[string]bool) {
		t.Helper()
		found := find()
		for id, is := range want {
			if slices.Contains(found, id) != is {
				t.Errorf("%s: %s is found: %v\n%s", when, id, !is, strings.Join(found, "\n"))
			}
		}
	}
	wrong := []string{
		"ip-forward broken:15", "send-redirects unwise:16", "ipv6-off broken:4", "reverse-path unwise:4", "no-way broken:16",
		"vmac-name broken:5", "vip-taken unwise:4", "vip-at-boot broken:4", "bind broken:4", "firewall broken:2",
		"interface broken:8", "peer-way unwise:10", "source-address broken:2", "rival-at-boot unwise:0",
	}
	want := make(map[string]bool)
	for _, id := range wrong {
		want[id] = has
	}
	check("at first", want)

	l.Close()
	lab.Must(h.DelAddr("eth0", netip.MustParsePrefix("192.0.2.80/24")))
	lab.Run(h, "ip", "link", "delete", "vrrp.51")
	for _, cure := range []string{
		"sysctl -w net.ipv4.ip_forward=1", "sysctl -w net.ipv4.conf.all.send_redirects=0", "sysctl -w net.ipv4.conf.eth0.send_redirects=0", "sysctl -w net.ipv6.conf.eth0.disable_ipv6=0",
		"sysctl -w net.ipv4.conf.eth0.rp_filter=2", "sysctl -w net.ipv4.ip_nonlocal_bind=1",
		"nft insert rule inet filter input iifname eth0 meta l4proto 112 accept", "nft insert rule inet filter input iifname eth9 meta l4proto 112 accept",
	} {
		lab.Run(h, strings.Fields(cure)...)
	}
	lab.Run(h, "ip", "link", "add", "vrrp.51", "type", "bridge") // 4 links as before
	lab.Run(h, "ip", "link", "set", "vrrp.51", "alias", "director VMAC")
	for _, id := range []string{"ip-forward broken:15", "send-redirects unwise:16", "ipv6-off broken:4", "reverse-path unwise:4", "vmac-name broken:5", "vip-taken unwise:4", "bind broken:4", "firewall broken:2", "source-address broken:2"} {
		want[id] = hasNot
	}
	check("after the cures", want)
}

func TestParseService(t *testing.T) {
	for _, tc := range []struct {
		line string
		want doctor.Service
		ok   bool
	}{
		{"TCP  C0000250:0050 wlc  ", doctor.Service{Protocol: "tcp", Address: netip.MustParseAddrPort("192.0.2.80:80")}, true},
		{"UDP  [2001:0db8:0000:0000:0000:0000:0000:0080]:0035 rr", doctor.Service{Protocol: "udp", Address: netip.MustParseAddrPort("[2001:db8::80]:53")}, true},
		{"FWM  00000007 rr", doctor.Service{Protocol: "fwmark", Mark: 7}, true},
		{"  -> 0A00000B:0050      Masq    1      0          0         ", doctor.Service{}, false},
		{"IP Virtual Server version 1.2.1 (size=4096)", doctor.Service{}, false},
		{"Prot LocalAddress:Port Scheduler Flags", doctor.Service{}, false},
		{"", doctor.Service{}, false},
	} {
		got, ok := parseService(tc.line)
		if ok != tc.ok || ok && got != tc.want {
			t.Errorf("%q: %+v, %v", tc.line, got, ok)
		}
	}
}

func TestAddressesIn(t *testing.T) {
	for _, tc := range []struct {
		line  string
		words []string
		want  string
	}{
		{"  address 192.0.2.80/24", nil, "192.0.2.80"},
		{"  address 192.0.2.80/24 # mine", nil, "192.0.2.80"},
		{"# address 192.0.2.80/24", nil, ""},
		{"  gateway 192.0.2.254", nil, ""},
		{"      addresses: [192.0.2.80/24, \"2001:db8::80/64\"]", nil, "192.0.2.80 2001:db8::80"},
		{"        - 192.0.2.80/24", nil, "192.0.2.80"},
		{"address1=192.0.2.80/24,192.0.2.254", nil, "192.0.2.80 192.0.2.254"},
		{"Address=192.0.2.80/24", nil, "192.0.2.80"},
		{"Gateway=192.0.2.80", nil, ""},
		{"    up ip addr add 192.0.2.80/24 dev eth0", nil, "192.0.2.80"},
		{"  bind 192.0.2.80:443 ssl crt x", []string{"bind"}, "192.0.2.80"},
		{"  bind 192.0.2.80:443 transparent", []string{"bind"}, ""},
		{"  server a 192.0.2.80:443", []string{"bind"}, ""},
		{"    listen [2001:db8::80]:443 ssl;", []string{"listen"}, "2001:db8::80"},
		{"interface: 192.0.2.80@53", []string{"interface:"}, "192.0.2.80"},
		{"listen-on { 192.0.2.80; 127.0.0.1; };", []string{"listen-on"}, "192.0.2.80 127.0.0.1"},
		{"", nil, ""},
	} {
		var got []string
		for _, a := range addressesIn(tc.line, tc.words) {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%q: %v, want %s", tc.line, got, tc.want)
		}
	}
}

func TestParseListener(t *testing.T) {
	// As a little-endian host writes it.
	for _, tc := range []struct{ line, network, want string }{
		{"   0: 500200C0:0050 00000000:0000 0A 00000000:00000000", "tcp", "192.0.2.80:80"},
		{"   0: 500200C0:0050 0100A8C0:1F90 01 00000000:00000000", "tcp", ""},
		{"   0: 00000000:0050 00000000:0000 0A 00000000:00000000", "tcp", ""},
		{"   0: 500200C0:0035 00000000:0000 07 00000000:00000000", "udp", "192.0.2.80:53"},
		{"   1: B80D0120000000000000000080000000:0050 00000000000000000000000000000000:0000 0A", "tcp", "[2001:db8::80]:80"},
		{"  sl  local_address rem_address   st tx_queue", "tcp", ""},
		{"   0: 5002000C0:0050 00000000:0000 0A", "tcp", ""},
	} {
		got, ok := parseListener(tc.line, tc.network)
		if ok != (tc.want != "") || ok && got.String() != tc.want {
			t.Errorf("%q: %v, %v", tc.line, got, ok)
		}
	}
}

func TestModuleList(t *testing.T) {
	name := filepath.Join(t.TempDir(), "modules.dep")
	if err := os.WriteFile(name, []byte("kernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/net/netfilter/nf_conntrack.ko.xz\nkernel/net/netfilter/ipvs/ip-vs-rr.ko: x\n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := moduleList(name)
	if diff := cmp.Diff(map[string]bool{"ip_vs": true, "ip_vs_rr": true}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestNetworkd(t *testing.T) {
	for _, tc := range []struct {
		text          string
		routes, rules bool
	}{
		{"[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules = false\n", true, true},
		{"[Network]\n#ManageForeignRoutes=no\n", false, false},
		{"[Network]\nManageForeignRoutes=yes\n", false, false},
	} {
		root := t.TempDir()
		folder := filepath.Join(root, "etc/systemd/networkd.conf.d")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "a.conf"), []byte(tc.text), 0o644); err != nil {
			t.Fatal(err)
		}
		e := &examination{Options: Options{Root: root}, facts: new(doctor.Facts)}
		e.networkd()
		if n := e.facts.Networkd; n.KeepsRoutes != tc.routes || n.KeepsRules != tc.rules {
			t.Errorf("%q: %+v", tc.text, n)
		}
	}
}

func TestProperties(t *testing.T) {
	got := properties("Id=director.service\nKillMode=process\n\n")
	if diff := cmp.Diff(map[string]string{"Id": "director.service", "KillMode": "process"}, got); diff != "" {
		t.Error(diff)
	}
}

// What IPVS does in another network namespace is looked at there.
func TestFarm(t *testing.T) {
	lab := labtest.New(t, "drfarm")
	here, there, sw := lab.Host("here"), lab.Host("there"), lab.Switch("lan")
	lab.Connect(here, "eth0", sw, "192.0.2.1/24")
	lab.Connect(there, "inner", sw, "192.0.2.2/24")
	lab.Must(here.Sysctl("net.ipv4.ip_forward", "0"))
	lab.Must(there.Sysctl("net.ipv4.ip_forward", "1"))
	cfg, err := config.Parse("d.toml", []byte(text))
	lab.Must(err)
	lab.Must(here.Do(func() error {
		facts, err := Farm(Options{Config: cfg}, "/run/netns/"+there.Namespace())
		if err != nil {
			return err
		}
		if len(facts.Links) != 2 || facts.Links[1].Name != "inner" || facts.Sysctl["net/ipv4/ip_forward"] != "1" || facts.Ways[netip.MustParseAddr("192.0.2.11")].Device != "inner" {
			t.Errorf("links %+v, forwarding %s, ways %+v", facts.Links, facts.Sysctl["net/ipv4/ip_forward"], facts.Ways)
		}
		if _, err := Farm(Options{Config: cfg}, "/run/netns/drfarm-none"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a namespace that is not there: %v", err)
		}
		return nil
	}))
}
