package test

import (
	be "encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"director/internal/control"
	"director/internal/netlab"
)

// threeLevels are the checks of the farms whose servers answer directly: is the host there, is the port open, is the
// answer right.
const threeLevels = `
check = [
  { type = "ping", interval = "500ms", timeout = "1s", rise = 1, fall = 3 },
  { type = "tcp", interval = "500ms", timeout = "1s", rise = 1, fall = 3 },
  { type = "http", path = "/health", interval = "500ms", timeout = "1s", rise = 1, fall = 3 },
]
`

// outsideConfig is the part of a configuration that owns the outside address.
const outsideConfig = `
[vrrp_instance.outside]
interface = "eth0"
virtual_router_id = 51
advert_interval = "300ms"
virtual_ipaddress = ["192.0.2.80/24"]
`

// testDirectRouting is the farm whose servers are on the clients' network and hold the VIP on loopback, without answering
// ARP for it (set-up 8).
func testDirectRouting(t *testing.T) {
	f := newFarm(t, 1, 0)
	f.outsideServers(3)
	var macs []string
	for _, h := range f.servers {
		f.Must(h.AddAddr("lo", netip.MustParsePrefix(outsideVIP+"/32")))
		macs = append(macs, mac(t, h, "eth0"))
	}
	d := f.directly("dr", func(i int) string { return fmt.Sprintf("192.0.2.%d:80", i+11) }, macs)
	// The one that the whole network takes for the owner of the VIP is the director.
	if got, ok := f.client.Neighbour(netip.MustParseAddr(outsideVIP)); !ok || got.String() != mac(t, d.host, "eth0") {
		t.Errorf("the client's neighbour entry for the VIP is %v, want the director's %s", got, mac(t, d.host, "eth0"))
	}
}

// outsideServers makes n more servers, on the clients' network, which answer ARP for no address of another device.
func (f *farm) outsideServers(n int) {
	f.t.Helper()
	for i := range n {
		f.servers = append(f.servers, f.outsideServer(fmt.Sprintf("s%d", len(f.servers)+1), fmt.Sprintf("192.0.2.%d/24", i+11)))
	}
}

// outsideServer makes one of them, with virtual addresses on its loopback device.
func (f *farm) outsideServer(name, prefix string, vips ...string) *netlab.Host {
	f.t.Helper()
	h := f.Host(name)
	f.Connect(h, "eth0", f.front, prefix)
	f.Must(h.Sysctl("net.ipv4.conf.all.arp_ignore", "1"))
	f.Must(h.Sysctl("net.ipv4.conf.all.arp_announce", "2"))
	for _, vip := range vips {
		f.Must(h.AddAddr("lo", netip.MustParsePrefix(vip+"/32")))
	}
	return h
}

// testTunnel is the farm whose servers are behind a router and hold the VIP on a tunnel device: the director wraps requests
// in IP-in-IP, the answers take the router (set-up 8).
func testTunnel(t *testing.T) {
	f := newFarm(t, 1, 0)
	router := f.Host("router")
	f.Connect(router, "eth0", f.front, "192.0.2.254/24")
	f.Connect(router, "eth1", f.back, "10.0.1.254/24")
	f.Must(router.Forward())
	f.Must(f.directors[0].Route(netip.MustParsePrefix("10.0.1.0/24"), netip.MustParseAddr("192.0.2.254")))
	for i := range 3 {
		f.servers = append(f.servers, f.behindRouter(fmt.Sprintf("s%d", i+1), fmt.Sprintf("10.0.1.%d/24", i+11)))
	}
	f.directly("tunnel", func(i int) string { return fmt.Sprintf("10.0.1.%d:80", i+11) }, []string{mac(t, router, "eth0")})
}

// directly starts a director and shows what is common to both ways of forwarding: answers reach the client from one of the
// given hardware addresses and never through the director, and each of three checks finds its own kind of failure.
func (f *farm) directly(forwarding string, address func(int) string, answersFrom []string) *director {
	f.t.Helper()
	t := f.t
	web := f.nginx(f.servers...)
	conf := outsideConfig + fmt.Sprintf("[virtual_server.web]\naddress = \"192.0.2.80:80\"\nscheduler = \"rr\"\nforwarding = %q\n%s", forwarding, threeLevels)
	flag := map[string]string{"dr": "-g", "tunnel": "-i"}[forwarding]
	table := "-A -t 192.0.2.80:80 -s rr\n"
	for i, h := range f.servers {
		conf += fmt.Sprintf("[[virtual_server.web.real_server]]\nname = %q\naddress = %q\n", h.Name(), address(i))
		table += fmt.Sprintf("-a -t 192.0.2.80:80 -r %s %s -w 1\n", address(i), flag)
		if forwarding == "tunnel" {
			table = strings.TrimSuffix(table, "\n") + " --tun-type ipip\n"
		}
	}
	d := startDirector(t, f.directors[0], conf)
	d.WaitInstance("outside", "MASTER", patience)
	d.WaitServers()
	wantTable(t, d.host, table)

	capture, err := f.client.Capture("eth0", netlab.FilterAll)
	f.Must(err)
	const url = "http://" + outsideVIP + "/"
	if diff := cmp.Diff(map[string]int{"s1": 4, "s2": 4, "s3": 4}, f.ask(12, url)); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	f.Must(capture.Close())
	senders := sendersOf(capture.Frames(), netip.MustParseAddr(outsideVIP))
	if got := slices.Sorted(maps.Keys(senders)); !slices.Equal(got, slices.Sorted(slices.Values(answersFrom))) {
		t.Errorf("answers came from %v, want %v", got, answersFrom)
	}
	f.Eventually(patience, "12 connections", func() error {
		if c := d.Service("web").Counters; c.Connections != 12 || c.InPackets == 0 || c.OutPackets != 0 || c.OutBytes != 0 {
			return fmt.Errorf("the status says %+v; answers do not pass the director", c)
		}
		return nil
	})
	d.wantOwnCounts()

	// The host is gone: ping. The port is closed: tcp. The answer is wrong: http. What is behind the lowest failing level
	// fails as well, what is before it does not.
	f.Must(f.servers[0].Cut())
	f.Must(web[1].Stop(patience))
	f.Must(web[2].SetHealthy(false))
	for name, want := range map[string]map[string]string{
		"s1": {"ping": "down", "tcp": "down", "http": "down"},
		"s2": {"ping": "up", "tcp": "down", "http": "down"},
		"s3": {"ping": "up", "tcp": "up", "http": "down"},
	} {
		var r control.Server
		d.waitService("web", name+" has failed its way", func(v control.Service) (err error) {
			if r, err = serverOf(v, name); err != nil {
				return err
			}
			got := map[string]string{}
			for _, c := range r.Checks {
				got[c.Kind] = c.State
			}
			if diff := cmp.Diff(want, got); diff != "" || r.Health != "down" {
				return fmt.Errorf("%s is %s (-want +got):\n%s", name, r.Health, diff)
			}
			return nil
		})
		t.Logf("%s is down: %s", name, r.Reason)
	}
	// Without a sorry server the pool is down and the service refuses.
	if s := d.WaitService("web", "down"); s.UpWeight != 0 {
		t.Errorf("weight %d up", s.UpWeight)
	}
	wantTable(t, d.host, "-A -t 192.0.2.80:80 -s rr")

	f.Must(f.servers[0].Heal())
	_, err = f.servers[1].Nginx(netip.MustParseAddrPort("0.0.0.0:80"), "s2", netlab.NginxOptions{})
	f.Must(err)
	f.Must(web[2].SetHealthy(true))
	d.WaitServers()
	wantTable(t, d.host, table)
	if diff := cmp.Diff(map[string]int{"s1": 1, "s2": 1, "s3": 1}, f.ask(3, url)); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	return d
}

// sendersOf counts the received IPv4 packets from an address by the hardware address that sent them.
func sendersOf(frames []netlab.Frame, from netip.Addr) map[string]int {
	senders := map[string]int{}
	for _, fr := range frames {
		if fr.Outgoing || len(fr.Data) < 34 || be.BigEndian.Uint16(fr.Data[12:]) != 0x0800 {
			continue
		}
		if source, _ := netip.AddrFromSlice(fr.Data[26:30]); source == from {
			senders[net.HardwareAddr(fr.Data[6:12]).String()]++
		}
	}
	return senders
}

func mac(t testing.TB, h *netlab.Host, ifname string) string {
	t.Helper()
	m, err := h.MAC(ifname)
	if err != nil {
		t.Fatal(err)
	}
	return m.String()
}
