package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"director/internal/control"
	"director/internal/netlab"
)

// allOptions is a director without VRRP whose table has every scheduler of User Mode Linux 6.1 with its flags (it lacks twos), and every kind of
// service and server. Connection sync excludes servers of the other IP version, so there are none.
func allOptions() (conf, table string) {
	conf = "[global]\nreconcile_interval = \"1s\"\n"
	flags := map[string]string{"sh": `"sh-fallback", "sh-port"`, "mh": `"mh-fallback", "mh-port"`, "wrr": `"flag-1", "flag-3"`}
	shown := map[string]string{"sh": " -b sh-fallback,sh-port", "mh": " -b mh-fallback,mh-port", "wrr": " -b flag-1,flag-3"}
	for i, s := range strings.Fields("rr wrr lc wlc lblc lblcr sh mh dh fo ovf sed nq") {
		conf += fmt.Sprintf("[virtual_server.%[1]s]\naddress = \"192.0.2.80:%[2]d\"\nscheduler = \"%[1]s\"\nscheduler_flags = [%[3]s]\nreal_server = [\"10.0.0.11\"]\n", s, 1000+i, flags[s])
		table += fmt.Sprintf("-A -t 192.0.2.80:%[2]d -s %[1]s%[3]s\n-a -t 192.0.2.80:%[2]d -r 10.0.0.11:%[2]d -m -w 1\n", s, 1000+i, shown[s])
	}
	conf += `
[virtual_server.sip]
address = "192.0.2.80:5060"
protocol = "udp"
scheduler = "rr"
one_packet = true
persistence_timeout = "60s"
persistence_granularity = "24"
persistence_engine = "sip"
real_server = ["10.0.0.11"]
[virtual_server.sctp]
address = "[2001:db8::80]:36412"
protocol = "sctp"
scheduler = "rr"
persistence_timeout = "60s"
persistence_granularity = 64
real_server = ["2001:db8:1::11"]
[virtual_server.mark4]
fwmark = 7
scheduler = "rr"
real_server = [{ address = "10.0.0.11", weight = 70000, upper_threshold = 9, lower_threshold = 7 }]
[virtual_server.mark6]
fwmark = 7
family = "ipv6"
scheduler = "rr"
real_server = ["2001:db8:1::11"]
[virtual_server.far]
address = "192.0.2.80:443"
scheduler = "rr"
forwarding = "tunnel"
tunnel = { type = "gue", port = 6080, checksum = "remote-checksum" }
real_server = ["10.0.0.11", { address = "10.0.0.12", tunnel = { type = "gre", checksum = "checksum" } }]
[virtual_server_group.vips]
members = ["192.0.2.90-91:80", { fwmark = 8 }]
[virtual_server.vips]
group = "vips"
scheduler = "rr"
real_server = ["10.0.0.11"]
[ipvs_sync]
interface = "eth1"
sync_id = 7
[ipvs_timeouts]
tcp_fin = "31s"
`
	table += `
-A -u 192.0.2.80:5060 -s rr -p 60 -M 255.255.255.0 --pe sip -o
-a -u 192.0.2.80:5060 -r 10.0.0.11:5060 -m -w 1
-A --sctp-service [2001:db8::80]:36412 -s rr -p 60 -M 64
-a --sctp-service [2001:db8::80]:36412 -r [2001:db8:1::11]:36412 -m -w 1
-A -f 7 -s rr
-a -f 7 -r 10.0.0.11:0 -m -w 70000
-A -f 7 -6 -s rr
-a -f 7 -6 -r [2001:db8:1::11]:0 -m -w 1
-A -t 192.0.2.80:443 -s rr
-a -t 192.0.2.80:443 -r 10.0.0.11:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 192.0.2.80:443 -r 10.0.0.12:443 -i -w 1 --tun-type gre --tun-csum
-A -t 192.0.2.90:80 -s rr
-a -t 192.0.2.90:80 -r 10.0.0.11:80 -m -w 1
-A -t 192.0.2.91:80 -s rr
-a -t 192.0.2.91:80 -r 10.0.0.11:80 -m -w 1
-A -f 8 -s rr
-a -f 8 -r 10.0.0.11:0 -m -w 1`
	return conf, table
}

// testIPVSOptions holds what ipvsadm, a program that is not ours, says of the kernel against the configuration.
func testIPVSOptions(t *testing.T) {
	f := newFarm(t, 1, 0)
	h := f.directors[0]
	says := func(want bool, text string, args ...string) {
		t.Helper()
		f.Eventually(patience, "ipvsadm "+strings.Join(args, " "), func() error {
			out, err := h.Run(append([]string{"ipvsadm"}, args...)...)
			if err == nil && strings.Contains(out, text) != want {
				err = fmt.Errorf("it says, and %q should be there: %v\n%s", text, want, out)
			}
			return err
		})
	}
	conf, table := allOptions()
	d := startDirector(t, h, conf)
	wantTable(t, h, table)
	says(true, "10.0.0.11:0                  9          7 ", "-Ln", "--thresholds")
	says(true, " 31 ", "-L", "--timeout")
	says(true, "master sync daemon (mcast=eth1, syncid=7", "-L", "--daemon")
	says(true, "backup sync daemon (mcast=eth1, syncid=7", "-L", "--daemon")
	if _, err := h.Run("ipvsadm", "--stop-daemon", "backup"); err != nil {
		t.Fatal(err)
	}
	says(true, "backup sync daemon (mcast=eth1, syncid=7", "-L", "--daemon")
	d.waitFor(patience, "both sync daemons run", func(s control.Status) error {
		if s.Checkers == nil || s.Checkers.Sync == nil || len(s.Checkers.Sync.Daemons) != 2 || !s.Checkers.Sync.Daemons[0].Running || !s.Checkers.Sync.Daemons[1].Running {
			return fmt.Errorf("the status says %+v", s.Checkers)
		}
		return nil
	})
	d.Stop()
	wantTable(t, h, "")
	says(false, "sync daemon", "-L", "--daemon")
	says(false, " 31 ", "-L", "--timeout")
}

// testIPv6Farm is a farm of IPv6 with real packets: one service by NAT, one by direct routing.
func testIPv6Farm(t *testing.T) {
	f := newFarm(t, 1, 2)
	h := f.directors[0]
	add := func(host *netlab.Host, dev, prefix string) {
		f.must(host.Run("ip", "-6", "addr", "add", prefix, "dev", dev, "nodad"))
	}
	add(f.client, "eth0", "2001:db8:a::100/64")
	add(h, "eth0", "2001:db8:a::1/64")
	add(h, "eth0", "2001:db8:a::80/128")
	add(h, "eth1", "2001:db8:b::1/64")
	f.Must(h.Sysctl("net.ipv6.conf.all.forwarding", "1"))
	for i, s := range f.servers {
		add(s, "eth0", fmt.Sprintf("2001:db8:b::%d/64", 11+i))
		add(s, "lo", "2001:db8:a::80/128") // for direct routing
		f.must(s.Run("ip", "-6", "route", "add", "default", "via", "2001:db8:b::1"))
		w, err := s.WebServer(netip.MustParseAddrPort("[::]:80"), s.Name())
		f.Must(err)
		t.Cleanup(w.Close)
	}
	conf := ""
	for name, fwd := range map[string]string{"80": "dr", "8080": "nat"} {
		conf += fmt.Sprintf("[virtual_server.%[2]s]\naddress = \"[2001:db8:a::80]:%[1]s\"\nscheduler = \"rr\"\nforwarding = \"%[2]s\"\ncheck = { type = \"tcp\", interval = \"500ms\" }\n"+
			"real_server = [\"[2001:db8:b::11]:80\", \"[2001:db8:b::12]:80\"]\n", name, fwd)
	}
	d := startDirector(t, h, conf)
	d.WaitServers()
	for _, port := range []string{"80", "8080"} {
		if got := f.ask(4, "http://[2001:db8:a::80]:"+port+"/"); got["s1"] != 2 || got["s2"] != 2 {
			t.Errorf("port %s: answers %v", port, got)
		}
	}
	d.Stop()
}

// must ends the test on an error and drops the output.
func (f *farm) must(_ string, err error) {
	f.t.Helper()
	f.Must(err)
}
