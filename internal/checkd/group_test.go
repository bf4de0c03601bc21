package checkd

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/ipvs"
)

// parsed is a configuration in the language of the file.
func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// lines trims the indentation of a text.
func lines(text string) string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// holds compares the kernel's table with lines of ipvsadm -S.
func (w *world) holds(want string) {
	w.t.Helper()
	if d := cmp.Diff(lines(want), lines(w.kernel.String())); d != "" {
		w.t.Errorf("the kernel's table (-want +got):\n%s", d)
	}
}

// Everything that a service can be told reaches the kernel.
func TestServiceOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(parsed(t, `
[virtual_server.sip]
address = "192.0.2.1:5060"
protocol = "udp"
scheduler = "mh"
scheduler_flags = ["mh-fallback", "mh-port"]
one_packet = true
persistence_timeout = "5m"
persistence_granularity = "20"
persistence_engine = "sip"
real_server = [{ address = "10.0.0.1", upper_threshold = 9, lower_threshold = 7, weight = 70000 }]
[virtual_server.sctp]
address = "[2001:db8::1]:36412"
protocol = "sctp"
scheduler = "sh"
scheduler_flags = ["flag-3", "flag-2"]
persistence_timeout = "60s"
persistence_granularity = 64
real_server = ["2001:db8:1::1"]
[virtual_server.mark4]
fwmark = 7
real_server = ["10.0.0.1"]
[virtual_server.mark6]
fwmark = 7
family = "ipv6"
forwarding = "tunnel"
tunnel = { type = "gue", port = 6080, checksum = "remote-checksum" }
real_server = ["2001:db8:1::1", "10.0.0.1", { address = "10.0.0.2", tunnel = { type = "gre", checksum = "checksum" } },
  { address = "10.0.0.3", tunnel = "ipip" }]
`))
		w.holds(`
			-A -u 192.0.2.1:5060 -s mh -p 300 -M 255.255.240.0 --pe sip -o -b mh-fallback,mh-port
			-a -u 192.0.2.1:5060 -r 10.0.0.1:5060 -m -w 70000 -x 9 -y 7
			-A --sctp-service [2001:db8::1]:36412 -s sh -p 60 -M 64 -b sh-port,flag-3
			-a --sctp-service [2001:db8::1]:36412 -r [2001:db8:1::1]:36412 -m -w 1
			-A -f 7 -s wlc
			-a -f 7 -r 10.0.0.1:0 -m -w 1
			-A -f 7 -6 -s wlc
			-a -f 7 -6 -r 10.0.0.1:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
			-a -f 7 -6 -r 10.0.0.2:0 -i -w 1 --tun-type gre --tun-csum
			-a -f 7 -6 -r 10.0.0.3:0 -i -w 1 --tun-type ipip
			-a -f 7 -6 -r [2001:db8:1::1]:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum`)
		s := w.inquire().Services
		if got := fmt.Sprint(s[0].Options, s[1].Options, s[2].Options); got !=
			"[mh-fallback mh-port one packet persistent for 5m0s by /20 by sip] [sh-port flag-3 persistent for 1m0s by /64] []" {
			t.Errorf("options %s", got)
		}
		if r := s[0].Servers[0]; r.UpperThreshold != 9 || r.LowerThreshold != 7 {
			t.Errorf("thresholds of %+v", r)
		}
		if got := s[3].Servers[0].Forwarding + ", " + s[3].Servers[2].Forwarding; got != "tunnel gue 6080 remote-checksum, tunnel gre checksum" {
			t.Errorf("forwarding %s", got)
		}
		w.kill()
	})
}

const groupConfig = `
[virtual_server_group.vips]
members = [MEMBERS]
[virtual_server.web]
group = "vips"
scheduler = "rr"
real_server = ["10.0.0.1", "10.0.0.2:8080"]
[virtual_server.alone]
address = "192.0.2.9:80"
scheduler = "lc"
real_server = ["10.0.0.9"]
`

// A group is one pool behind many services, which come and go with its members.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		members := func(list string) *config.Config { return parsed(t, strings.Replace(groupConfig, "MEMBERS", list, 1)) }
		w.run()
		w.configure(members(`"192.0.2.1-2:80", "192.0.2.1:443", { fwmark = 5 }`))
		const alone = `
			-A -t 192.0.2.9:80 -s lc
			-a -t 192.0.2.9:80 -r 10.0.0.9:80 -m -w 1`
		want := func(marks string, services ...string) string {
			text := ""
			for _, s := range services {
				_, port, _ := strings.Cut(s, ":")
				text += fmt.Sprintf("-A -t %[1]s -s rr\n-a -t %[1]s -r 10.0.0.1:%[2]s -m -w 1\n-a -t %[1]s -r 10.0.0.2:8080 -m -w 1\n", s, port)
			}
			return text + alone + marks
		}
		const mark = `
			-A -f 5 -s rr
			-a -f 5 -r 10.0.0.1:0 -m -w 1
			-a -f 5 -r 10.0.0.2:8080 -m -w 1`
		w.holds(want(mark, "192.0.2.1:80", "192.0.2.1:443", "192.0.2.2:80"))

		first, marked := ipvs.AddrService(ipvs.TCP, netip.MustParseAddrPort("192.0.2.2:80")), ipvs.MarkService(5, ipvs.IPv4)
		count := func(server string, n uint64) *ipvs.ServiceStats {
			c := ipvs.Counters{Connections: n, InByteRate: n}
			return &ipvs.ServiceStats{Counters: c, Dests: map[ipvs.DestKey]ipvs.DestStats{netip.MustParseAddrPort(server): {Active: uint32(n), Persistent: 1, Counters: c}}}
		}
		w.kernel.SetStats(ipvs.Stats{first: count("10.0.0.1:80", 3), marked: count("10.0.0.1:0", 4)})
		s := w.inquire().Services[0]
		if s.Group != "vips" || !s.Installed || s.Counters.Connections != 7 || s.Rates.InBytes != 7 || len(s.Members) != 4 ||
			s.Members[1].Address != "192.0.2.2:80/tcp" || s.Members[1].Counters.Connections != 3 || !s.Members[3].Installed {
			t.Errorf("status of the group: %+v", s)
		}
		if r := s.Servers[0]; !r.Installed || r.Active != 7 || r.Persistent != 2 || r.Counters.Connections != 7 {
			t.Errorf("status of its server: %+v", r)
		}

		// Somebody takes out a server of one service: it is told by its name.
		if err := w.kernel.ByHand(ipvs.Op{Kind: ipvs.DeleteDest, Key: first, DestKey: netip.MustParseAddrPort("10.0.0.1:80")}); err != nil {
			t.Fatal(err)
		}
		w.events()
		w.pass(w.daemon.table.interval)
		w.holds(want(mark, "192.0.2.1:80", "192.0.2.1:443", "192.0.2.2:80"))
		if got := w.events(); got != "web/10.0.0.1 missing>repaired" {
			t.Errorf("events %s", got)
		}
		if len(w.reasons) > 0 && !strings.HasPrefix(w.reasons[0], "192.0.2.2:80/tcp was removed") {
			t.Errorf("reason %s", w.reasons[0])
		}

		// Only what differs is changed.
		w.kernel.Log()
		w.configure(members(`"192.0.2.1-3:80", { fwmark = 5 }`))
		w.holds(want(mark, "192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"))
		w.ops("-A -t 192.0.2.3:80 -s rr", "-a -t 192.0.2.3:80 -r 10.0.0.1:80 -m -w 1", "-a -t 192.0.2.3:80 -r 10.0.0.2:8080 -m -w 1", "-D -t 192.0.2.1:443")

		// A new process adopts them.
		w.kill()
		w.kernel.Log()
		w.run()
		w.configure(members(`"192.0.2.1-3:80", { fwmark = 5 }`))
		w.ops("")
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		w.holds("")
	})
}

// A member changes from one virtual server to another.
func TestGroupGivesAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(parsed(t, strings.Replace(groupConfig, "MEMBERS", `"192.0.2.1-2:80"`, 1)))
		text := strings.Replace(groupConfig, "MEMBERS", `"192.0.2.2-3:80"`, 1)
		text = strings.Replace(text, `"192.0.2.9:80"`, `"192.0.2.1:80"`, 1)
		w.configure(parsed(t, text))
		w.holds(`
			-A -t 192.0.2.1:80 -s lc
			-a -t 192.0.2.1:80 -r 10.0.0.9:80 -m -w 1
			-A -t 192.0.2.2:80 -s rr
			-a -t 192.0.2.2:80 -r 10.0.0.1:80 -m -w 1
			-a -t 192.0.2.2:80 -r 10.0.0.2:8080 -m -w 1
			-A -t 192.0.2.3:80 -s rr
			-a -t 192.0.2.3:80 -r 10.0.0.1:80 -m -w 1
			-a -t 192.0.2.3:80 -r 10.0.0.2:8080 -m -w 1`)
		w.kill()
	})
}
