package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
)

// base is a configuration with which a host like healthy has no trouble.
const base = `[vrrp_instance.web]
interface = "eth0"
virtual_router_id = 51
virtual_ipaddress = ["192.0.2.80/24"]

[virtual_server.web]
address = "192.0.2.80:80"
forwarding = "nat"
real_server = ["10.0.0.11"]
[[virtual_server.web.check]]
type = "tcp"
`

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// healthy is a host that is made for base: clients and the default route on eth0,
// servers on eth1.
func healthy() *Facts {
	f := &Facts{
		Sysctl: map[string]string{
			"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1", "net/ipv4/ip_nonlocal_bind": "0", "net/ipv6/ip_nonlocal_bind": "0",
			"net/ipv4/vs/expire_nodest_conn": "1", "net/ipv4/vs/expire_quiescent_template": "1", "net/ipv4/vs/sloppy_tcp": "0",
			"net/ipv4/vs/conntrack": "0", "net/ipv4/vs/snat_reroute": "1", "kernel/sched_rt_runtime_us": "950000",
			"net/netfilter/nf_conntrack_count": "10", "net/netfilter/nf_conntrack_max": "65536",
		},
		Links: []Link{
			{Name: "lo", Up: true, Carrier: true, MTU: 65536, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}},
			{Name: "eth0", Up: true, Carrier: true, MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("fe80::1/64")}},
			{Name: "eth1", Up: true, Carrier: true, MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}},
		},
		Ways:       map[netip.Addr]Way{addr("10.0.0.11"): {Device: "eth1"}, addr("192.0.2.80"): {Device: "eth0"}},
		Outward:    map[string]string{"ipv4": "eth0", "ipv6": "eth0"},
		Modules:    Modules{Release: "6.1", Known: true, IPVS: true, State: map[string]string{"ip_vs": "loaded", "ip_vs_wlc": "loaded", "macvlan": "available", "nf_tables": "available", "ip_vs_ftp": "available", "ip_vs_mh": "available"}},
		Firewall:   map[string]Fate{},
		ClockKnown: true, ClockSynchronised: true,
		RuntimeDir: RuntimeDir{Path: "/run/director", Socket: "/run/director/director.sock", Exists: true, IsDir: true, Mode: 0o755},
	}
	for _, device := range []string{"all", "lo", "eth0", "eth1"} {
		for _, name := range []string{"rp_filter", "send_redirects", "arp_ignore", "arp_announce", "promote_secondaries"} {
			f.Sysctl["net/ipv4/conf/"+device+"/"+name] = "0"
		}
		f.Sysctl["net/ipv6/conf/"+device+"/disable_ipv6"] = "0"
		f.Sysctl["net/ipv6/conf/"+device+"/accept_ra"] = "1"
	}
	return f
}

func diagnose(t *testing.T, text string, f *Facts) Report {
	t.Helper()
	cfg, err := config.Parse("d.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return Diagnose(Input{File: "d.toml", Config: cfg, Find: config.Positions("d.toml", []byte(text)), Facts: f})
}

func set1(name, value string) func(*Facts) { return func(f *Facts) { f.Sysctl[name] = value } }

func instance(more string) string {
	return "[vrrp_instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\nvirtual_ipaddress = [\"192.0.2.80/24\"]\n" + more
}

// replaced is base with words exchanged.
func replaced(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(base) }

// throughBase has a check through the virtual address.
var throughBase = replaced(`"nat"`, `"dr"`, `"tcp"`, "\"tcp\"\nthrough_vip = true")

// finding is a host and a configuration, and what is found: "severity id line part of
// what was found". All findings are listed.
type finding struct {
	name  string
	text  string // empty: base
	facts func(*Facts)
	want  []string
}

var cases = []finding{
	{name: "nothing"},
	{"forwarding off", "", set1("net/ipv4/ip_forward", "0"), []string{"broken ip-forward 8 net.ipv4.ip_forward is off"}},
	{"forwarding off, direct routing", replaced(`"nat"`, `"dr"`), set1("net/ipv4/ip_forward", "0"), nil},
	{"forwarding off, local server", "", func(f *Facts) {
		f.Sysctl["net/ipv4/ip_forward"] = "0"
		f.Ways[addr("10.0.0.11")] = Way{Local: true, Device: "lo"}
	}, nil},
	{"forwarding not known", "", func(f *Facts) { delete(f.Sysctl, "net/ipv4/ip_forward") }, nil},
	{"forwarding off, virtual routes", instance("virtual_routes = [{ to = \"10.9.0.0/16\", via = \"192.0.2.254\" }]\n"), set1("net/ipv4/ip_forward", "0"), []string{"unwise ip-forward 5 virtual routes"}},
	{"forwarding off, IPv6 rules", instance("virtual_rules = [{ priority = 7, from = \"2001:db8::/32\", table = 77 }]\n"), set1("net/ipv6/conf/all/forwarding", "0"), []string{"unwise ip-forward 5 virtual rules"}},
	{"learned route", replaced("192.0.2.80:80", "[2001:db8::80]:80", `"192.0.2.80/24"`, `"fe80::80/64", "2001:db8::80/64"`, "10.0.0.11", "2001:db8:1::11"), func(f *Facts) { f.Learned = []string{"eth0"} },
		[]string{"broken router-advertisement 6 accept_ra is 1"}},

	{"reverse path", "", func(f *Facts) { f.Outward["ipv4"], f.Sysctl["net/ipv4/conf/all/rp_filter"] = "eth1", "1" }, []string{"unwise reverse-path 4 default route leaves by eth1"}},
	{"reverse path, symmetric", "", set1("net/ipv4/conf/all/rp_filter", "1"), nil},
	{"reverse path, loose on the interface", "", func(f *Facts) {
		f.Outward["ipv4"], f.Sysctl["net/ipv4/conf/all/rp_filter"], f.Sysctl["net/ipv4/conf/eth0/rp_filter"] = "eth1", "1", "2"
	}, nil},
	{"redirects", "", func(f *Facts) {
		f.Ways[addr("10.0.0.11")] = Way{Device: "eth0"}
		f.Sysctl["net/ipv4/conf/all/send_redirects"] = "1"
	}, []string{"unwise send-redirects 9 10.0.0.11 is on eth0"}},
	{"redirects, servers elsewhere", "", set1("net/ipv4/conf/all/send_redirects", "1"), nil},
	{"no route", "", func(f *Facts) { f.Ways[addr("10.0.0.11")] = Way{Error: "network is unreachable"} }, []string{"broken no-way 9 network is unreachable"}},
	{"server behind a router", replaced(`"nat"`, `"dr"`), func(f *Facts) { f.Ways[addr("10.0.0.11")] = Way{Device: "eth0", Gateway: addr("192.0.2.254")} },
		[]string{"broken direct-routing 9 behind the router 192.0.2.254"}},
	{"director is a real server", replaced(`"nat"`, `"dr"`, "10.0.0.11", "192.0.2.1"), func(f *Facts) { f.Ways[addr("192.0.2.1")] = Way{Local: true, Device: "lo"} },
		[]string{"unwise local-server 9 192.0.2.1 is this host", "unwise own-loop 9 192.0.2.1 is this host, and its IPVS"}},
	{"director is a real server, quiet", replaced(`"nat"`, "\"dr\"\nactive_with = \"web\"", "10.0.0.11", "192.0.2.1"), func(f *Facts) {
		f.Ways[addr("192.0.2.1")] = Way{Local: true, Device: "lo"}
		f.Sysctl["net/ipv4/conf/all/arp_ignore"], f.Sysctl["net/ipv4/conf/all/arp_announce"] = "1", "2"
	}, nil},
	{"virtual address on lo", "", func(f *Facts) {
		f.Links[0].Addresses = append(f.Links[0].Addresses, netip.MustParsePrefix("192.0.2.80/32"))
	}, []string{"broken local-server 4 192.0.2.80 is on lo"}},
	{"through the virtual address", throughBase, set1("net/ipv4/conf/eth1/accept_local", "0"), []string{"broken through-vip 6 accept_local is off on eth1"}},
	{"through the virtual address, accepted", throughBase, set1("net/ipv4/conf/eth1/accept_local", "1"), nil},
	{"through the virtual address, strict", throughBase, func(f *Facts) {
		f.Sysctl["net/ipv4/conf/all/accept_local"], f.Sysctl["net/ipv4/conf/eth1/accept_local"] = "1", "0"
		f.Sysctl["net/ipv4/conf/all/rp_filter"] = "1"
	}, []string{"broken through-vip 6 whose rp_filter is 1"}},
	{"private services", throughBase, func(f *Facts) {
		f.Sysctl["net/ipv4/conf/eth1/accept_local"] = "1"
		f.Services = []Service{{Protocol: "fwmark", Mark: 1828716544}, {Protocol: "fwmark", Mark: 7}}
	}, []string{"note ipvs-strangers 0 fwmark 7"}},
	{"large receive", replaced(`"nat"`, `"dr"`), func(f *Facts) { f.Links[1].LargeReceive, f.Sysctl["net/ipv4/ip_forward"] = true, "0" }, []string{"unwise large-receive 6 eth0"}},
	{"tunnel", replaced(`"nat"`, `"tunnel"`), nil, []string{"unwise tunnel-mtu 9 carries 1500: 1480"}},
	{"tunnel with room", replaced(`"nat"`, `"tunnel"`), func(f *Facts) { f.Links[2].MTU = 1520 }, nil},
	{"tunnel, narrow route", replaced(`"nat"`, `"tunnel"`), func(f *Facts) {
		f.Links[2].MTU = 9000
		f.Ways[addr("10.0.0.11")] = Way{Device: "eth1", MTU: 1400}
	}, []string{"unwise tunnel-mtu 9 carries 1400: 1380"}},

	{"no ip_vs", "", func(f *Facts) { f.Modules.IPVS, f.Modules.State["ip_vs"] = false, "missing" }, []string{"broken modules 6 has no module ip_vs"}},
	{"ip_vs later", "", func(f *Facts) { f.Modules.IPVS, f.Modules.State["ip_vs"] = false, "available" }, []string{"note modules 6 not loaded yet"}},
	{"scheduler not known", "", func(f *Facts) { f.Modules.Known = false; delete(f.Modules.State, "ip_vs_wlc") }, []string{"unwise modules 6 whether the kernel can load it"}},
	{"no modules loaded any more", instance("use_vmac = true\n"), func(f *Facts) { f.Modules.NoLoad = true }, []string{"broken modules 5 kernel.modules_disabled"}},
	{"FTP", replaced("192.0.2.80:80", "192.0.2.80:21"), nil, []string{"unwise modules 7 ip_vs_ftp"}},

	{"nodest", "", set1("net/ipv4/vs/expire_nodest_conn", "0"), []string{"unwise expire-nodest 6 is 0"}},
	{"nodest, weight 0 instead", replaced("forwarding =", "inhibit_on_failure = true\nforwarding ="), set1("net/ipv4/vs/expire_nodest_conn", "0"), nil},
	{"template", replaced("forwarding =", "inhibit_on_failure = true\npersistence_timeout = \"60s\"\nforwarding ="), func(f *Facts) {
		f.Sysctl["net/ipv4/vs/expire_quiescent_template"] = "0"
		f.Sysctl["net/ipv4/vs/expire_nodest_conn"] = "0"
	}, []string{"unwise expire-template 9 weight 0"}},
	{"hashing", replaced("forwarding =", "scheduler = \"mh\"\nforwarding ="), nil, []string{"note sloppy-tcp 8 mh"}},
	{"hashing, sloppy", replaced("forwarding =", "scheduler = \"mh\"\nforwarding ="), set1("net/ipv4/vs/sloppy_tcp", "1"), nil},
	{"translating firewall", "", func(f *Facts) { f.Translate = true }, []string{"unwise ipvs-conntrack 6 vs.conntrack is 0"}},
	{"no rerouting", "", func(f *Facts) { f.Rules, f.Sysctl["net/ipv4/vs/snat_reroute"] = true, "0" }, []string{"unwise snat-reroute 6 snat_reroute is 0"}},
	{"conntrack filling", "", set1("net/netfilter/nf_conntrack_count", "55000"), []string{"unwise conntrack-table 6 55000 of at most 65536"}},
	{"conntrack full", "", set1("net/netfilter/nf_conntrack_count", "65536"), []string{"broken conntrack-table 6 65536 of at most 65536"}},
	{"a stranger's service", "", func(f *Facts) {
		f.Services = []Service{{Protocol: "tcp", Address: netip.MustParseAddrPort("192.0.2.80:80")}, {Protocol: "udp", Address: netip.MustParseAddrPort("192.0.2.9:53")}, {Protocol: "fwmark", Mark: 4}}
	}, []string{"note ipvs-strangers 0 192.0.2.9:53/udp", "note ipvs-strangers 0 fwmark 4"}},
	{"a stranger's service, removed", "[global]\nexclusive_ipvs = true\n" + base, func(f *Facts) {
		f.Services = []Service{{Protocol: "udp", Address: netip.MustParseAddrPort("192.0.2.9:53")}}
	}, []string{"unwise ipvs-strangers 2 which director removes"}},
	{"a group's own services", grouped, func(f *Facts) {
		for _, a := range []string{"192.0.2.80:80", "192.0.2.81:80", "192.0.2.82:80"} {
			f.Services = append(f.Services, Service{Protocol: "tcp", Address: netip.MustParseAddrPort(a)})
		}
	}, []string{"unwise farm-address 13 has 192.0.2.81", "note ipvs-strangers 0 192.0.2.82:80/tcp"}},
	{"nobody's address", replaced("192.0.2.80:80", "192.0.2.81:80"), nil, []string{"unwise farm-address 7 neither has this host"}},

	{"no interface", instance(""), func(f *Facts) { f.Links = f.Links[:1] }, []string{"broken interface 2 there is no interface eth0"}},
	{"interface off", instance(""), func(f *Facts) { f.Links[1].Up = false }, []string{"broken interface 2 switched off"}},
	{"no carrier, not tracked", instance("dont_track_primary = true\n"), func(f *Facts) { f.Links[1].Carrier = false }, []string{"unwise interface 2 no carrier"}},
	{"tracked interface", instance("track_interface = [{ name = \"eth7\", weight = -10 }]\n"), nil, []string{"unwise interface 5 eth7"}},
	{"no address", instance(""), func(f *Facts) { f.Links[1].Addresses = nil }, []string{"broken source-address 2 no IPv4 address"}},
	{"only the virtual address", instance(""), func(f *Facts) {
		f.Links[1].Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.80/24")}
		f.Daemon = master()
		f.DaemonCaps = ^uint64(0)
	}, []string{"broken source-address 2 no IPv4 address of its own"}},
	{"no link-local address", strings.Replace(instance(""), `"192.0.2.80/24"`, `"fe80::80/64"`, 1), func(f *Facts) { f.Links[1].Addresses = f.Links[1].Addresses[:1] }, []string{"broken source-address 2 no link-local"}},
	{"source elsewhere", instance("mcast_src_ip = \"192.0.2.7\"\n"), nil, []string{"broken source-address 5 192.0.2.7"}},
	{"IPv6 off", strings.Replace(instance(""), `"192.0.2.80/24"`, `"fe80::80/64"`, 1), set1("net/ipv6/conf/eth0/disable_ipv6", "1"), []string{"broken ipv6-off 4 eth0"}},
	{"alone", strings.Replace(instance(""), `"192.0.2.80/24"`, `"203.0.113.80"`, 1), nil, []string{"note vip-network 4 203.0.113.80 is in no network of eth0"}},
	{"alone within the network", strings.Replace(instance(""), `"192.0.2.80/24"`, `"192.0.2.80"`, 1), nil, nil},
	{"taken", instance(""), func(f *Facts) {
		f.Links[1].Addresses = append(f.Links[1].Addresses, netip.MustParsePrefix("192.0.2.80/24"))
	}, []string{"unwise vip-taken 4 no director runs here"}},
	{"taken beside a backup", instance(""), func(f *Facts) {
		f.Links[1].Addresses = append(f.Links[1].Addresses, netip.MustParsePrefix("192.0.2.80/24"))
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
		f.Daemon.VRRP.Instances[0].State = "BACKUP"
	}, []string{"broken vip-taken 4 not MASTER here"}},
	{"held by the master", instance(""), func(f *Facts) {
		f.Links[1].Addresses = append(f.Links[1].Addresses, netip.MustParsePrefix("192.0.2.80/24"))
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
	}, nil},
	{"held by its owner", instance("priority = 255\n"), func(f *Facts) {
		f.Links[1].Addresses = append(f.Links[1].Addresses, netip.MustParsePrefix("192.0.2.80/24"))
		f.Mentions = []Mention{{Address: addr("192.0.2.80"), File: "/etc/network/interfaces", Line: 3, Brings: true}}
	}, nil},
	{"two answer", instance(""), func(f *Facts) {
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
		f.Answers = map[netip.Addr]string{addr("192.0.2.80"): "02:00:00:00:00:09"}
	}, []string{"broken vip-answered 4 MASTER here"}},
	{"this host answers itself", instance(""), func(f *Facts) {
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
		f.Links[2].MAC = "02:00:00:00:00:09"
		f.Answers = map[netip.Addr]string{addr("192.0.2.80"): "02:00:00:00:00:09"}
	}, nil},
	{"nobody answers the master", instance(""), func(f *Facts) {
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
		f.Answers = map[netip.Addr]string{addr("192.0.2.80"): ""}
	}, nil},
	{"nobody answers the backup", instance(""), func(f *Facts) {
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
		f.Daemon.VRRP.Instances[0].State = "BACKUP"
		f.Answers = map[netip.Addr]string{addr("192.0.2.80"): ""}
	}, []string{"broken vip-answered 4 nobody answers"}},
	{"somebody answers, no daemon", instance(""), func(f *Facts) { f.Answers = map[netip.Addr]string{addr("192.0.2.80"): "02:00:00:00:00:09"} }, []string{"note vip-answered 4 02:00:00:00:00:09 answers"}},
	{"at boot", instance(""), func(f *Facts) {
		f.Mentions = []Mention{{Address: addr("192.0.2.80"), File: "/etc/network/interfaces", Line: 3, Text: "address 192.0.2.80/24", Brings: true}}
	}, []string{"broken vip-at-boot 4 /etc/network/interfaces:3"}},
	{"bound", instance(""), func(f *Facts) {
		f.Mentions = []Mention{{Address: addr("192.0.2.80"), File: "/etc/haproxy/haproxy.cfg", Line: 9, Text: "bind 192.0.2.80:80"}}
		f.Listeners = []Listener{{netip.MustParseAddrPort("192.0.2.80:80"), "tcp"}}
	}, []string{"broken bind 4 listens on 192.0.2.80:80/tcp", "broken bind 4 /etc/haproxy/haproxy.cfg:9 binds"}},
	{"bound, allowed", instance(""), func(f *Facts) {
		f.Sysctl["net/ipv4/ip_nonlocal_bind"] = "1"
		f.Listeners = []Listener{{netip.MustParseAddrPort("192.0.2.80:80"), "tcp"}}
	}, nil},
	{"secondaries", strings.Replace(instance("promote_secondaries = false\n"), `["192.0.2.80/24"]`, `["192.0.2.80/24", "192.0.2.81/24"]`, 1), nil, []string{"broken promote-secondaries 5 of one network"}},
	{"secondaries, promoted", strings.Replace(instance("promote_secondaries = false\n"), `["192.0.2.80/24"]`, `["192.0.2.80/24", "192.0.2.81/24"]`, 1), set1("net/ipv4/conf/all/promote_secondaries", "1"), nil},
	{"peer elsewhere", instance("unicast_peer = [\"10.0.0.2\"]\n"), func(f *Facts) { f.Ways[addr("10.0.0.2")] = Way{Device: "eth1"} }, []string{"unwise peer-way 5 leaves by eth1"}},
	{"peer elsewhere, strict", instance("unicast_peer = [\"10.0.0.2\"]\n"), func(f *Facts) {
		f.Ways[addr("10.0.0.2")] = Way{Device: "eth1"}
		f.Sysctl["net/ipv4/conf/eth0/rp_filter"] = "1"
	}, []string{"broken peer-way 5 strict"}},
	{"peer is this host", instance("unicast_peer = [\"192.0.2.1\", \"192.0.2.2\"]\n"), func(f *Facts) { f.Ways[addr("192.0.2.1")] = Way{Device: "lo", Local: true} }, []string{"note peer-way 5 this host itself"}},
	{"peer of a VRF", instance("unicast_peer = [\"10.0.0.2\", \"10.0.0.3\"]\n"), func(f *Facts) {
		f.Links[1].Master, f.Links[1].MasterOf = "blue", "vrf"
		f.Ways[addr("10.0.0.2")], f.Ways[addr("10.0.0.3")] = Way{Device: "eth1"}, Way{Error: "network is unreachable"}
		f.Outward["ipv4"], f.Sysctl["net/ipv4/conf/all/rp_filter"] = "eth1", "1"
	}, nil},
	{"peer unreachable", instance("unicast_peer = [\"10.0.0.2\"]\n"), func(f *Facts) { f.Ways[addr("10.0.0.2")] = Way{Error: "network is unreachable"} }, []string{"broken no-way 5 10.0.0.2"}},
	{"fast", instance("advert_interval = \"50ms\"\n"), nil, []string{"unwise fast-adverts 5 50ms"}},
	{"fast, with priority", instance("advert_interval = \"50ms\"\n[vrrp_process]\nrt_priority = 50\n"), nil, nil},
	{"no real time", instance("[vrrp_process]\nrt_priority = 50\n"), set1("kernel/sched_rt_runtime_us", "0"), []string{"broken real-time 6 is 0"}},
	{"long adverts", strings.Replace(instance(""), `"192.0.2.80/24"`, manyIPv6(91), 1), nil, []string{"broken advert-size 4 1504 bytes"}},
	{"long adverts that fit", strings.Replace(instance(""), `"192.0.2.80/24"`, manyIPv6(90), 1), nil, nil},
	{"VMAC on a port", instance("use_vmac = true\n"), func(f *Facts) { f.Links[1].Master, f.Links[1].MasterOf = "br0", "bridge" }, []string{"broken vmac-parent 5 part of the bridge br0"}},
	{"VMAC on the air", instance("use_vmac = true\n"), func(f *Facts) { f.Links[1].Wireless = true }, []string{"broken vmac-parent 5 wireless"}},
	{"VMAC, name taken", instance("use_vmac = true\n"), func(f *Facts) { f.Links = append(f.Links, Link{Name: "vrrp.51", Kind: "macvlan"}) }, []string{"broken vmac-name 5 vrrp.51"}},
	{"VMAC of ours", instance("use_vmac = true\n"), func(f *Facts) {
		f.Links = append(f.Links, Link{Name: "vrrp.51", Kind: "macvlan", Alias: "director VMAC"})
	}, nil},
	{"VMAC in a virtual machine", instance("use_vmac = true\n"), func(f *Facts) { f.Virtual = "VMware, Inc." }, []string{"note vmac-virtual-host 5 VMware"}},
	{"group", instance("mcast_group = \"239.1.2.3\"\n"), nil, []string{"note multicast-snooping 5 239.1.2.3"}},
	{"firewall drops", instance(""), func(f *Facts) {
		for _, p := range Traffic(mustParse(instance(""))) {
			f.Firewall[p.Name()] = Fate{Drops: p.In, Accepts: !p.In, Where: "the policy", Chain: "inet filter input"}
		}
	}, []string{"broken firewall 2 drops incoming VRRP (IP protocol 112) to 224.0.0.18 on eth0"}},
	{"firewall may drop", instance("[bfd.b]\nneighbor_ip = \"192.0.2.2\"\ninterface = \"eth0\"\n"), func(f *Facts) {
		for _, p := range Traffic(mustParse(instance("[bfd.b]\nneighbor_ip = \"192.0.2.2\"\ninterface = \"eth0\"\n"))) {
			f.Firewall[p.Name()] = Fate{Drops: p.Port == 3784 && !p.In, Accepts: true, Where: "rule 4"}
		}
	}, []string{"unwise firewall 5 may drop"}},
	{"clock", instance("authentication = { type = \"HMAC\", keys = [{ id = 1, key = \"0123456789abcdef0123456789abcdef\" }] }\n"), func(f *Facts) { f.ClockSynchronised = false }, []string{"unwise clock 5 nothing keeps"}},

	{"advice", instance(""), func(f *Facts) { f.Advice = []Advice{{Broken, 3, "x", "it is bad"}} }, []string{"broken configuration 3 it is bad"}},
	{"keepalived", "", func(f *Facts) { f.Processes = []Process{{PID: 7, Name: "keepalived", Sure: true}} }, []string{"broken rival 1 keepalived runs as process 7"}},
	{"keepalived, perhaps elsewhere", "", func(f *Facts) { f.Processes = []Process{{PID: 7, Name: "keepalived"}} }, []string{"unwise rival 1 could not be seen"}},
	{"keepalived elsewhere", "", func(f *Facts) { f.Processes = []Process{{PID: 7, Name: "keepalived", Other: true}} }, nil},
	{"kube-proxy", "", func(f *Facts) {
		f.Processes = []Process{{PID: 7, Name: "kube-proxy", Args: []string{"kube-proxy", "--proxy-mode=ipvs"}, Sure: true}}
	}, []string{"broken rival 6 IPVS table"}},
	{"kube-proxy of unknown mode", "", func(f *Facts) {
		f.Processes = []Process{{PID: 7, Name: "kube-proxy", Args: []string{"kube-proxy", "--config=x"}, Sure: true}}
	}, []string{"note rival 6 IPVS mode"}},
	{"ldirectord without farms", instance(""), func(f *Facts) {
		f.Processes = []Process{{PID: 7, Name: "perl", Args: []string{"/usr/bin/perl", "/usr/sbin/ldirectord"}, Sure: true}}
	}, nil},
	{"another director", "", func(f *Facts) {
		f.Processes = []Process{{PID: 7, Name: "director", Args: []string{"director", "run"}, Sure: true}}
	}, []string{"unwise rival 0 does not answer"}},
	{"the director that this user may not ask", "", func(f *Facts) {
		f.Processes = []Process{{PID: 7, Name: "director", Args: []string{"director", "run"}, Sure: true}}
		f.Denied = true
	}, nil},
	{"the director that answers", "", func(f *Facts) {
		f.Processes = []Process{{PID: 1, Name: "director", Args: []string{"director", "run"}, Sure: true}}
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
	}, nil},
	{"units", "", func(f *Facts) { f.Units = []string{"keepalived.service"} }, []string{"unwise rival-at-boot 0 keepalived.service"}},
	{"networkd", instance("virtual_routes = [{ to = \"10.9.0.0/16\", via = \"192.0.2.254\" }]\n"), func(f *Facts) { f.Networkd.Runs = true }, []string{"unwise networkd 5 ManageForeignRoutes"}},
	{"networkd keeps", instance("virtual_routes = [{ to = \"10.9.0.0/16\", via = \"192.0.2.254\" }]\n"), func(f *Facts) { f.Networkd.Runs, f.Networkd.KeepsRoutes = true, true }, nil},
	{"runtime folder", "", func(f *Facts) { f.RuntimeDir.Mode = 0o777 }, []string{"broken runtime-dir 0 mode 0777"}},
	{"record", "", func(f *Facts) { f.RuntimeDir.RecordError = "version 9" }, []string{"unwise runtime-dir 0 version 9"}},
	{"unit", "", func(f *Facts) {
		f.Unit = map[string]string{"Id": "director.service", "KillMode": "control-group", "RuntimeDirectory": "director", "RuntimeDirectoryPreserve": "no"}
	}, []string{"unwise unit 0 KillMode=control-group", "unwise unit 0 RuntimeDirectoryPreserve=no"}},
	{"capabilities", instance(""), func(f *Facts) { f.Daemon, f.DaemonCaps = master(), 1<<12|1<<14 }, []string{"broken capabilities 0 CAP_NET_RAW"}},
	{"daemon", instance(""), func(f *Facts) {
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
		d := f.Daemon
		d.VRRP.Instances[0].State, d.VRRP.Instances[0].Reason = "FAULT", "eth0 is down"
		d.VRRP.Alarms = []control.Alarm{{Instance: "web", Code: "two_masters", Level: control.LevelAlarm, Reason: "two"}, {Instance: "web", Code: "w", Level: control.LevelWarning, Reason: "one"}}
		d.VRRP.Failures = []control.Failure{{What: "add address", Error: "no", Since: time.Unix(0, 0)}}
		d.Checkers = &control.Checkers{Unwritten: []control.Failure{{What: "/var/lib/director/maintenance.json", Error: "no space left on device"}}}
		d.LastReload = &control.ReloadResult{Errors: []string{"x:1: bad"}}
		d.Processes[0].Restarts = 2
		f.OtherConfig = true
	}, []string{"broken daemon 0 reload was refused", "broken daemon 0 add address fails", "broken daemon 1 in FAULT: eth0 is down", "broken daemon 1 alarm two_masters", "unwise daemon 0 maintenance.json cannot be written", "unwise daemon 1 alarm w", "note daemon 0 another configuration", "note daemon 0 2 times"}},
}

func master() *control.Status {
	return &control.Status{Processes: []control.Process{{Role: "parent", PID: 1}}, VRRP: &control.VRRP{Instances: []control.Instance{{Name: "web", State: "MASTER"}}}}
}

func mustParse(text string) *config.Config {
	c, err := config.Parse("d.toml", []byte(text))
	if err != nil {
		panic(err)
	}
	return c
}

func manyIPv6(n int) string {
	list := []string{`"fe80::80/64"`}
	for i := 1; i < n; i++ {
		list = append(list, fmt.Sprintf(`"fe80::1:%x/64"`, i))
	}
	return strings.Join(list, ", ")
}

func TestFindings(t *testing.T) {
	seen := make(map[string]bool)
	for _, tc := range slices.Concat(cases, farmCases) {
		t.Run(tc.name, func(t *testing.T) {
			text := tc.text
			if text == "" {
				text = base
			}
			f := healthy()
			if tc.facts != nil {
				tc.facts(f)
			}
			var got []string
			r := diagnose(t, text, f)
			for _, x := range r.Findings {
				seen[x.ID] = true
				got = append(got, fmt.Sprintf("%s %s %d %s", x.Severity, x.ID, x.Line, x.Found))
				if x.Why == "" || x.File != "d.toml" || x.ID != "configuration" && len(x.Cure) == 0 {
					t.Errorf("incomplete: %+v", x)
				}
			}
			same := slices.EqualFunc(got, tc.want, func(got, want string) bool {
				w := strings.SplitN(want, " ", 4)
				return strings.HasPrefix(got, strings.Join(w[:3], " ")+" ") && strings.Contains(got, w[3])
			})
			if !same {
				t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tc.want, "\n  "))
			}
			if r.Broken+r.Unwise+r.Notes != len(r.Findings) {
				t.Errorf("counts %d, %d, %d of %d", r.Broken, r.Unwise, r.Notes, len(r.Findings))
			}
		})
	}
	for _, c := range Checks() {
		if !seen[c.ID] {
			t.Errorf("no case shows the check %s", c.ID)
		}
	}
}

// What is not known says nothing: a host of which nothing could be seen has no
// findings but those that follow from the configuration alone.
func TestNothingKnown(t *testing.T) {
	for _, tc := range slices.Concat(cases, farmCases) {
		text := tc.text
		if text == "" {
			text = base
		}
		for _, f := range diagnose(t, text, new(Facts)).Findings {
			if !slices.Contains([]string{"modules", "fast-adverts", "multicast-snooping"}, f.ID) {
				t.Errorf("%s: found %+v", tc.name, f)
			}
		}
	}
}

// A large configuration on a host with nothing right is diagnosed in no time that
// somebody would notice.
func BenchmarkDiagnose(b *testing.B) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "[vrrp_instance.i%d]\ninterface = \"eth%d\"\nvirtual_router_id = %d\nvirtual_ipaddress = [\"10.%d.%d.1/32\"]\n", i, i/250, i%250+1, i/250, i%250)
		fmt.Fprintf(&text, "[virtual_server.v%d]\naddress = \"10.%d.%d.1:80\"\nreal_server = [\"10.9.0.1\", \"10.9.0.2\", \"10.9.0.3\", \"10.9.0.4\"]\n[[virtual_server.v%d.check]]\ntype = \"tcp\"\n", i, i/250, i%250, i)
	}
	cfg, line := mustParse(text.String()), config.Positions("d.toml", []byte(text.String()))
	f := healthy()
	f.Sysctl["net/ipv4/ip_forward"] = "0"
	for b.Loop() {
		Diagnose(Input{File: "d.toml", Config: cfg, Find: line, Facts: f})
	}
}

// grouped is base with a pool behind a group of addresses.
var grouped = strings.NewReplacer("address = \"192.0.2.80:80\"", "group = \"sites\"").Replace(base) + `
[virtual_server_group.sites]
members = ["192.0.2.80:80", "192.0.2.81:80"]
`

// What IPVS does is looked at where it does it.
func TestNamespace(t *testing.T) {
	text := "[global]\nipvs_network_namespace = \"lvs\"\n" + base
	c, err := config.Parse("d.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	rest, farm := Split(c)
	here, there := healthy(), healthy()
	here.Sysctl["net/ipv4/ip_forward"] = "0" // needed there only
	there.Sysctl["net/ipv4/vs/expire_nodest_conn"] = "0"
	there.Unseen = []Unseen{{What: "routes", Why: "not allowed"}}
	diagnose := func(c *config.Config, f *Facts) Report {
		return Diagnose(Input{File: "d.toml", Config: c, Find: config.Positions("d.toml", []byte(text)), Facts: f})
	}
	r := diagnose(rest, here).Join("lvs", diagnose(farm, there))
	if len(r.Findings) != 2 || r.Unwise != 2 || r.Findings[0].ID != "expire-nodest" || r.Findings[1].Cure[0] != "ip netns exec lvs ip address add 192.0.2.80 dev lo" || !strings.HasSuffix(r.Findings[0].Found, "(network namespace lvs)") ||
		r.Findings[0].Cure[0] != "ip netns exec lvs sysctl -w net.ipv4.vs.expire_nodest_conn=1" || r.Unseen[0].What != "routes (network namespace lvs)" {
		t.Errorf("%+v", r)
	}
	c.Global.IPVSNamespace = ""
	if rest, farm := Split(c); rest != c || farm != nil {
		t.Error("divided without a namespace")
	}
}
