package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/internal/control"
)

// tunneled is base with a tunnel of a kind.
func tunneled(kind string) string {
	return replaced(`"nat"`, "\"tunnel\"\ntunnel = "+kind)
}

// marked is base with a firewall mark in place of its address.
func marked(forward string) string {
	return replaced(`address = "192.0.2.80:80"`, "fwmark = 7", `"nat"`, `"`+forward+`"`, `"tcp"`, "\"tcp\"\nconnect_port = 80")
}

// among is base with direct routing to servers on the link of the clients.
var among = replaced(`"nat"`, `"dr"`, "10.0.0.11", "192.0.2.11")

// wide makes room for packets of 1500 bytes in a tunnel with n bytes of headers.
func wide(n int) func(*Facts) { return func(f *Facts) { f.Links[2].MTU = 1500 + n } }

// loops is base with this host as a server of direct routing, that keeps still.
func loops(more string) string { return replaced(`"nat"`, `"dr"`, "10.0.0.11", "192.0.2.1") + more }

func local(more ...func(*Facts)) func(*Facts) {
	return func(f *Facts) {
		f.Ways[addr("192.0.2.1")] = Way{Local: true, Device: "lo"}
		f.Sysctl["net/ipv4/conf/all/arp_ignore"], f.Sysctl["net/ipv4/conf/all/arp_announce"] = "1", "2"
		for _, change := range more {
			change(f)
		}
	}
}

const (
	syncing   = "[ipvs_sync]\ninterface = \"eth1\"\n"
	following = syncing + "vrrp_instance = \"web\"\n"
)

// answering has a MAC address answer for the virtual address and for a server.
func answering(state string, more ...func(*Facts)) func(*Facts) {
	return func(f *Facts) {
		f.Ways[addr("192.0.2.11")] = Way{Device: "eth0"}
		if state != "" {
			f.Daemon, f.DaemonCaps = master(), ^uint64(0)
			f.Daemon.VRRP.Instances[0].State = state
		}
		const mac = "02:00:00:00:00:09"
		f.Answers = map[netip.Addr]string{addr("192.0.2.80"): mac, addr("192.0.2.11"): mac}
		for _, change := range more {
			change(f)
		}
	}
}

// kept is base whose servers stay with weight 0 when they fail.
var kept = replaced("forwarding =", "inhibit_on_failure = true\nforwarding =")

// reusing is a kernel that schedules nothing anew when a client uses a port again.
func reusing(f *Facts) {
	f.Sysctl["net/ipv4/vs/conn_reuse_mode"], f.Sysctl["net/ipv4/vs/expire_nodest_conn"] = "0", "0"
}

// ordered is a daemon with a drained server.
func ordered(f *Facts) {
	f.Daemon, f.DaemonCaps = master(), ^uint64(0)
	f.Daemon.Checkers = &control.Checkers{Services: []control.Service{{Name: "web", Servers: []control.Server{{Override: &control.Override{Order: control.VerbDrain}}}}}}
}

// farmCases are further cases, about farms.
var farmCases = []finding{
	{"GRE, short of one byte", tunneled(`"gre"`), wide(23), []string{"unwise tunnel-mtu 10 carries 1523: 1499 without the headers of the tunnel, 24 bytes for IPv4 and GRE"}},
	{"GRE", tunneled(`"gre"`), wide(24), nil},
	{"GRE with a checksum, short of one byte", tunneled(`{ type = "gre", checksum = "checksum" }`), wide(27), []string{"unwise tunnel-mtu 10 28 bytes for IPv4 and GRE with a checksum"}},
	{"GUE, short of one byte", tunneled(`{ type = "gue", port = 6080 }`), wide(31), []string{"unwise tunnel-mtu 10 32 bytes for IPv4, UDP and GUE"}},
	{"GUE", tunneled(`{ type = "gue", port = 6080 }`), wide(32), nil},
	{"GUE with the remote's checksum, short of one byte", tunneled(`{ type = "gue", port = 6080, checksum = "remote-checksum" }`), wide(39), []string{"unwise tunnel-mtu 10 40 bytes for IPv4, UDP and GUE with"}},
	{"GUE over IPv6", strings.Replace(tunneled(`{ type = "gue", port = 6080 }`), "10.0.0.11", "2001:db8:1::11", 1), func(f *Facts) {
		f.Ways[addr("2001:db8:1::11")] = Way{Device: "eth1"}
	}, []string{"unwise tunnel-mtu 10 52 bytes for IPv6, UDP and GUE"}},

	{"a group, redirects", grouped, func(f *Facts) {
		f.Links[1].Addresses = append(f.Links[1].Addresses, netip.MustParsePrefix("192.0.2.81/24"))
		f.Ways[addr("10.0.0.11")] = Way{Device: "eth0"}
		f.Sysctl["net/ipv4/conf/all/send_redirects"] = "1"
	}, []string{"unwise send-redirects 9 10.0.0.11 is on eth0"}},
	{"a group, tunnel", strings.Replace(grouped, `"nat"`, `"tunnel"`, 1), nil, []string{"unwise tunnel-mtu 9 carries 1500: 1480", "unwise farm-address 13 192.0.2.81"}},
	{"a group, FTP", strings.NewReplacer("192.0.2.80:80", "192.0.2.80:21", `"tcp"`, "\"tcp\"\nconnect_port = 21").Replace(grouped), nil, []string{"unwise modules 6 ip_vs_ftp", "unwise farm-address 14 192.0.2.81"}},
	{"a mark, tunnel", marked("tunnel"), nil, []string{"unwise tunnel-mtu 9 carries 1500: 1480"}},
	{"a mark of IPv6, tunnel", strings.Replace(marked("tunnel"), "fwmark = 7", "fwmark = 7\nfamily = \"ipv6\"", 1), nil, nil},
	{"a mark, large receive", marked("dr"), func(f *Facts) { f.Links[1].LargeReceive, f.Sysctl["net/ipv4/ip_forward"] = true, "0" }, []string{"unwise large-receive 6 eth0"}},
	{"a mark, redirects", marked("nat"), func(f *Facts) {
		f.Ways[addr("10.0.0.11")] = Way{Device: "eth0"}
		f.Sysctl["net/ipv4/conf/all/send_redirects"] = "1"
	}, []string{"unwise send-redirects 9 10.0.0.11 is on eth0"}},
	{"a mark, this host", strings.Replace(marked("dr"), "10.0.0.11", "192.0.2.1", 1), func(f *Facts) { f.Ways[addr("192.0.2.1")] = Way{Local: true, Device: "lo"} },
		[]string{"unwise local-server 9 quiet about 192.0.2.80", "unwise own-loop 9 192.0.2.1 is this host"}},

	{"SIP", replaced(":80\"", ":5060\"\nprotocol = \"udp\"\npersistence_timeout = \"60s\"\npersistence_engine = \"sip\"", `"tcp"`, `"udp"`), func(f *Facts) {
		f.Modules.State["ip_vs_pe_sip"] = "missing"
	}, []string{"broken modules 10 no module ip_vs_pe_sip, needed for persistence by sip"}},

	{"sent to itself", loops(""), local(), []string{"unwise own-loop 9 192.0.2.1 is this host"}},
	{"sent to itself, in the table of the master alone", strings.Replace(loops(""), `"dr"`, "\"dr\"\nactive_with = \"web\"", 1), local(), nil},
	{"sent to itself, sync all the time", loops(syncing), local(set1(backupOnly, "0")), []string{"unwise own-loop 9 192.0.2.1 is this host"}},
	{"sent to itself, sync with the instance", loops(following), local(set1(backupOnly, "0")), []string{"unwise own-loop 9 192.0.2.1 is this host"}},
	{"sent to itself, backups quiet", loops(following), local(set1(backupOnly, "1")), nil},
	{"sent to itself, not known whether backups are quiet", loops(following), local(), nil},

	{"backups quiet, all the time", base + syncing, set1(backupOnly, "1"), []string{"broken ipvs-sync 12 backup_only is 1"}},
	{"backups quiet", base + following, set1(backupOnly, "1"), nil},
	{"without sync", base, func(f *Facts) { f.Sysctl[backupOnly], f.Sysctl["net/ipv4/vs/sync_threshold"] = "1", "9\t0" }, nil},
	{"told once", base + following, func(f *Facts) {
		f.Sysctl["net/ipv4/vs/sync_threshold"], f.Sysctl["net/ipv4/vs/sync_refresh_period"] = "3\t0", "0"
	}, []string{"unwise ipvs-sync 12 has the period 0"}},
	{"told by time", base + following, func(f *Facts) {
		f.Sysctl["net/ipv4/vs/sync_threshold"], f.Sysctl["net/ipv4/vs/sync_refresh_period"] = "3\t0", "10"
	}, nil},
	{"told by default", base + following, func(f *Facts) {
		f.Sysctl["net/ipv4/vs/sync_threshold"], f.Sysctl["net/ipv4/vs/sync_refresh_period"] = "3\t50", "0"
	}, nil},
	{"told late", base + following, set1("net/ipv4/vs/sync_threshold", "40\t50"), []string{"note ipvs-sync 12 is 40 50: a connection is told of with its packet number 40"}},
	{"old messages", base + following, set1("net/ipv4/vs/sync_version", "0"), nil},
	{"old messages, IPv6", replaced("192.0.2.80:80", "[2001:db8::80]:80", `"192.0.2.80/24"`, `"fe80::80/64", "2001:db8::80/64"`, "10.0.0.11", "2001:db8:1::11") + following, set1("net/ipv4/vs/sync_version", "0"),
		[]string{"broken ipvs-sync 12 know no IPv6"}},

	{"reuse", kept, reusing, []string{"unwise conn-reuse 6 conn_reuse_mode and expire_nodest_conn are 0"}},
	{"reuse, by default", kept, func(f *Facts) { reusing(f); f.Sysctl["net/ipv4/vs/conn_reuse_mode"] = "1" }, nil},
	{"reuse, scheduled anew", kept, set1("net/ipv4/vs/conn_reuse_mode", "0"), nil},
	{"reuse, servers that go", base, reusing, []string{"unwise expire-nodest 6 is 0"}},
	{"reuse, drained at the end", replaced("forwarding =", "drain_on_remove = \"60s\"\nforwarding ="), reusing, []string{"unwise expire-nodest 6 is 0", "unwise conn-reuse 6 are drained"}},
	{"reuse and persistence, drained now", replaced("forwarding =", "persistence_timeout = \"60s\"\nforwarding ="), func(f *Facts) {
		ordered(f)
		reusing(f)
		f.Sysctl["net/ipv4/vs/expire_quiescent_template"] = "0"
	}, []string{"unwise expire-nodest 6 is 0", "unwise conn-reuse 6 are drained", "unwise expire-template 8 are drained"}},

	{"a server answers the master", among, answering("MASTER"), []string{"broken vip-answered 9 192.0.2.11 answers for 192.0.2.80 on eth0 (02:00:00:00:00:09)"}},
	{"a server answers the backup", among, answering("BACKUP"), []string{"broken vip-answered 9 192.0.2.11 answers for"}},
	{"a server answers, no daemon", among, answering(""), []string{"unwise vip-answered 9 unless that is the other director"}},
	{"the master, which is a server, answers the backup", among, answering("BACKUP", func(f *Facts) {
		f.Daemon.VRRP.Instances[0].Master = "192.0.2.2"
		f.Answers[addr("192.0.2.2")] = "02:00:00:00:00:09"
	}), nil},
	{"a server behind NAT answers", replaced("10.0.0.11", "192.0.2.11"), answering("MASTER"), []string{"broken vip-answered 4 the instance is MASTER here"}},
	{"another one answers", among, answering("MASTER", func(f *Facts) { f.Answers[addr("192.0.2.11")] = "02:00:00:00:00:08" }), []string{"broken vip-answered 4 the instance is MASTER here"}},

	{"repairs", base, func(f *Facts) {
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
		f.Daemon.Checkers = &control.Checkers{Repairs: 2}
	}, []string{"note daemon 0 2 differences in the IPVS table"}},
	{"many repairs", base, func(f *Facts) {
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
		f.Daemon.Checkers = &control.Checkers{Repairs: 200}
	}, []string{"unwise daemon 0 200 differences in the IPVS table"}},

	{"alarms of a farm", base, func(f *Facts) {
		f.Daemon, f.DaemonCaps = master(), ^uint64(0)
		f.Daemon.Checkers = &control.Checkers{Services: []control.Service{{Name: "web", PanicGuard: &control.PanicGuard{Blocking: true},
			NoVerdict: &control.NoVerdict{}, Servers: []control.Server{{Unchecked: time.Unix(1, 0), Obstacle: "tcp: local failure: no address"}},
			Expiring: &control.Expiring{At: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}}}}
	}, []string{"broken daemon 6 alarm panic_guard", "broken daemon 6 alarm no_verdict: checks of its servers cannot be made from here: tcp: local failure: no address", "unwise daemon 6 alarm certificate_ends: a certificate of its servers ends on 2026-12-01"}},

	{"firewall and sync", base + syncing, func(f *Facts) {
		for _, p := range Traffic(mustParse(base + syncing)) {
			f.Firewall[p.Name()] = Fate{Drops: p.Port == 8848 && p.In, Where: "the policy", Chain: "inet filter input"}
		}
	}, []string{"broken firewall 12 drops incoming connection sync (UDP port 8848) to 224.0.0.81 on eth1"}},
	{"firewall and readiness", base + reporting, func(f *Facts) {
		for _, p := range Traffic(mustParse(base + reporting)) {
			f.Firewall[p.Name()] = Fate{Drops: p.Protocol == protocolUDP, Where: "the policy", Chain: "inet filter x"}
		}
	}, []string{"broken firewall 15 drops incoming readiness reports (UDP port 7001) of 192.0.2.2", "broken firewall 15 drops outgoing readiness reports (UDP port 7002) to 192.0.2.2"}},
}

const reporting = `[readiness]
listen = "192.0.2.1:7001"
key = "0123456789abcdef0123456789abcdef"
peer = ["192.0.2.2:7002"]
`

// The words of the cures that depend on the farm.
func TestFarmCures(t *testing.T) {
	cures := func(text string, change func(*Facts)) string {
		f := healthy()
		change(f)
		var all []string
		for _, x := range diagnose(t, text, f).Findings {
			all = append(all, x.Cure...)
		}
		return strings.Join(all, "\n")
	}
	for want, got := range map[string]string{
		"ip link set eth1 mtu 1532   # and so on the whole way\nip route replace default via GATEWAY advmss 1428   # or this on each real server": cures(tunneled(`{ type = "gue", port = 6080 }`), wide(0)),
		"sysctl -w net.ipv4.conf.all.arp_ignore=1   # on 192.0.2.11, and in its sysctl.conf\nsysctl -w net.ipv4.conf.all.arp_announce=2   # on 192.0.2.11, and in its sysctl.conf\n" +
			"ip addr show to 192.0.2.80   # on 192.0.2.11: it belongs on lo\nip addr del 192.0.2.80/32 dev DEVICE; ip addr add 192.0.2.80/32 dev lo   # there, when it is on another interface": cures(among, answering("MASTER")),
		"active_with = \"web\"   # in virtual_server.web: the service is in the table of the MASTER alone\nsysctl -w net.ipv4.vs.backup_only=1   # or this": cures(loops(following), local(set1(backupOnly, "0"))),
		"nft insert rule inet filter input iifname eth1 udp dport 8848 accept": cures(base+syncing, func(f *Facts) {
			for _, p := range Traffic(mustParse(base + syncing)) {
				f.Firewall[p.Name()] = Fate{Drops: p.Port == 8848 && p.In, Where: "the policy", Chain: "inet filter input"}
			}
		}),
	} {
		if got != want {
			t.Errorf("cures\n%s\nwant\n%s", got, want)
		}
	}
}

// Real servers are asked for where somebody answers for their virtual address, and no
// others.
func TestSuspects(t *testing.T) {
	text := strings.Replace(among, `"192.0.2.11"`, `"192.0.2.11", "192.0.2.12", "192.0.2.13", "198.51.100.9"`, 1) + `
[virtual_server.dns]
address = "192.0.2.90:53"
forwarding = "dr"
real_server = ["192.0.2.14"]
check = { type = "tcp" }
`
	f := healthy()
	f.Ways = map[netip.Addr]Way{addr("192.0.2.11"): {Device: "eth0"}, addr("192.0.2.12"): {Device: "eth0"}, addr("192.0.2.13"): {Device: "lo", Local: true},
		addr("192.0.2.14"): {Device: "eth0"}, addr("198.51.100.9"): {Device: "eth0", Gateway: addr("192.0.2.254")}}
	ask := func() string {
		var list []string
		for _, p := range Suspects(mustParse(text), f) {
			list = append(list, fmt.Sprint(p.Device, " ", p.Addr))
		}
		return strings.Join(list, ", ")
	}
	for _, mac := range []string{"", "02:00:00:00:00:01"} {
		f.Links[1].MAC = "02:00:00:00:00:01"
		f.Answers = map[netip.Addr]string{addr("192.0.2.80"): mac}
		if got := ask(); got != "" {
			t.Errorf("%q answers: asks for %s", mac, got)
		}
	}
	f.Answers[addr("192.0.2.80")] = "02:00:00:00:00:09"
	if got := ask(); got != "eth0 192.0.2.11, eth0 192.0.2.12" {
		t.Errorf("asks for %s", got)
	}
	f.Daemon = master()
	f.Daemon.VRRP.Instances[0].Master = "192.0.2.2"
	if got := ask(); got != "eth0 192.0.2.2, eth0 192.0.2.11, eth0 192.0.2.12" {
		t.Errorf("asks for %s", got)
	}
}

// Every scheduler and what it is used with has its module looked at.
func TestNeeds(t *testing.T) {
	for _, scheduler := range []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos"} {
		got := Needs(mustParse(replaced("forwarding =", "scheduler = \""+scheduler+"\"\nforwarding =")))
		if want := []string{"ip_vs", "ip_vs_" + scheduler}; !slices.Equal(got, want) {
			t.Errorf("%s needs %v, want %v", scheduler, got, want)
		}
	}
}
