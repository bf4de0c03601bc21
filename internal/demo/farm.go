package demo

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"director/internal/netlab"
)

// The farm's addresses (RFC 5737).
const (
	clientAddr = "198.51.100.10"
	wanGateway = "198.51.100.1"
	lanGateway = "192.0.2.1"
	vipText    = "192.0.2.80"
	pageURL    = "http://" + vipText + "/"
)

// The farm's settings. The advert interval is short, so that a switch is quick,
// and long enough for a VRRP process that was killed to be back before the other
// director may take over, also where starting a program takes a while.
const (
	advertInterval = 200 * time.Millisecond
	checkInterval  = 300 * time.Millisecond
	rise, fall     = 2, 3
	scriptInterval = 500 * time.Millisecond
	scriptRise     = 3
	scriptFall     = 2
	highPriority   = 150
	lowPriority    = 100
)

// farm is the lab: a client behind a router, and on the other side of the router two
// directors and two web servers.
type farm struct {
	lab    *netlab.Lab
	lan    *netlab.Switch
	client *netlab.Host
	gw     *netlab.Host
	lb     []*director
	web    []*server
	exe    string
}

// server is one of the web servers.
type server struct {
	*netlab.Host
	addr  netip.Addr
	nginx *netlab.Nginx
}

var vip = netip.MustParseAddr(vipText)

// build makes the farm, with nothing started but the web servers.
func build(exe string) (*farm, error) {
	lab, err := netlab.New("demo")
	if err != nil {
		return nil, err
	}
	f := &farm{lab: lab, exe: exe}
	if err := f.build(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *farm) build() (err error) {
	wan, err := f.lab.Switch("wan")
	if err != nil {
		return err
	}
	if f.lan, err = f.lab.Switch("lan"); err != nil {
		return err
	}
	host := func(name, ifname string, sw *netlab.Switch, addr string) (*netlab.Host, error) {
		h, err := f.lab.Host(name)
		if err != nil {
			return nil, err
		}
		_, err = f.lab.Connect(h, ifname, sw, netip.PrefixFrom(netip.MustParseAddr(addr), 24))
		return h, err
	}
	if f.client, err = host("client", "eth0", wan, clientAddr); err != nil {
		return err
	}
	if f.gw, err = host("gw", "eth0", wan, wanGateway); err != nil {
		return err
	}
	if _, err = f.lab.Connect(f.gw, "eth1", f.lan, netip.PrefixFrom(netip.MustParseAddr(lanGateway), 24)); err != nil {
		return err
	}
	if err = errors.Join(f.gw.Forward(), f.client.DefaultRoute(netip.MustParseAddr(wanGateway)),
		f.client.Sysctl("net.ipv4.ip_local_port_range", "1024 65535")); err != nil {
		return err
	}
	for i, priority := range []int{highPriority, lowPriority} {
		addr := fmt.Sprintf("192.0.2.%d", 2+i)
		h, err := host(fmt.Sprintf("lb%d", 1+i), "eth0", f.lan, addr)
		if err != nil {
			return err
		}
		d := &director{Host: h, addr: netip.MustParseAddr(addr), priority: priority, exe: f.exe}
		f.lb = append(f.lb, d)
		if err := d.prepare(); err != nil {
			return err
		}
	}
	for i := range 2 {
		addr := fmt.Sprintf("192.0.2.%d", 11+i)
		h, err := host(fmt.Sprintf("web%d", 1+i), "eth0", f.lan, addr)
		if err != nil {
			return err
		}
		w := &server{Host: h, addr: netip.MustParseAddr(addr)}
		f.web = append(f.web, w)
		if err := w.prepare(); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes a machine serve pages for the virtual address, which it holds on
// its loopback and never speaks of: that is direct routing.
func (w *server) prepare() error {
	return errors.Join(
		w.Sysctl("net.ipv4.conf.all.arp_ignore", "1"),
		w.Sysctl("net.ipv4.conf.all.arp_announce", "2"),
		w.AddAddr("lo", netip.PrefixFrom(vip, 32)),
		w.DefaultRoute(netip.MustParseAddr(lanGateway)),
		w.start(),
	)
}

// start starts the web server; it listens when start returns.
func (w *server) start() (err error) {
	w.nginx, err = w.Nginx(netip.AddrPortFrom(netip.IPv4Unspecified(), 80), w.Name(), netlab.NginxOptions{})
	return err
}

// stop ends the web server as `systemctl stop nginx` does.
func (w *server) stop() error { return w.nginx.Stop(5 * time.Second) }

// configuration is the configuration file of a director, with the weights of the
// two web servers.
func configuration(name string, priority, weight1, weight2 int) string {
	return fmt.Sprintf(`# The configuration of %s. The other director's differs in router_id and priority only.
[global]
router_id = "%[1]s"

# Without the gateway this director is of no use: it gives the address up.
[vrrp_script.gateway]
script   = "ping -n -c 1 -W 1 %s"
interval = "%v"
timeout  = "900ms"
fall     = %d
rise     = %d

[vrrp_instance.web]
interface         = "eth0"
virtual_router_id = 80
priority          = %d
advert_interval   = "%v"
virtual_ipaddress = ["%s"]
track_script      = ["gateway"]

[virtual_server.web]
address    = "%[8]s:80"
scheduler  = "wrr"
forwarding = "dr"

[[virtual_server.web.check]]
type     = "http"
path     = "%s"
interval = "%v"
timeout  = "%[10]v"
rise     = %d
fall     = %d

[[virtual_server.web.real_server]]
name    = "web1"
address = "192.0.2.11"
weight  = %d

[[virtual_server.web.real_server]]
name    = "web2"
address = "192.0.2.12"
weight  = %d
`, name, lanGateway, scriptInterval, scriptFall, scriptRise, priority, advertInterval, vipText,
		netlab.HealthPath, checkInterval, rise, fall, weight1, weight2)
}

// owners lists the directors that have the virtual address and can be reached.
func (f *farm) owners() []*director {
	var out []*director
	for _, d := range f.lb {
		if !d.cut && d.holds() {
			out = append(out, d)
		}
	}
	return out
}

// pool is the pool of a director as the timeline shows it: each server with its
// weight, or a dash while it is out.
func (f *farm) pool(d *director) string {
	weights := d.weights()
	words := make([]string, len(f.web))
	for i, w := range f.web {
		words[i] = "-"
		if n, in := weights[w.addr]; in {
			words[i] = fmt.Sprintf("%s:%d", w.Name(), n)
		}
	}
	return fmt.Sprintf("%-6s %s", words[0], strings.Join(words[1:], " "))
}

// close ends everything.
func (f *farm) close() error {
	for _, d := range f.lb {
		d.forget()
	}
	return f.lab.Close()
}
