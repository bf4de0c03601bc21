package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"director/internal/control"
	"director/internal/netlab"
	"director/internal/watchdog"
	"director/ipvs"
	"director/ipvs/kernel"
)

// The farm's addresses (RFC 5737).
const (
	clientAddr = "198.51.100.10"
	wanGateway = "198.51.100.1"
	lanGateway = "192.0.2.1"
	vipText    = "192.0.2.80"
	url        = "http://" + vipText + "/"
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

// director is one of the two directors: a machine that runs the real program.
type director struct {
	*netlab.Host
	addr     netip.Addr
	priority int
	mac      string
	exe      string
	proc     *netlab.Process
	kernel   *kernel.Kernel // the machine's IPVS table, read past director
	cut      bool           // off the network
	readdr   chan netlink.AddrUpdate
	hush     chan struct{} // closed to end the reports on readdr
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
	if err = errors.Join(f.gw.Forward(), f.client.DefaultRoute(netip.MustParseAddr(wanGateway))); err != nil {
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

// prepare opens what the play watches the director's machine with.
func (d *director) prepare() error {
	mac, err := d.MAC("eth0")
	if err != nil {
		return err
	}
	d.mac = mac.String()
	d.readdr, d.hush = make(chan netlink.AddrUpdate, 256), make(chan struct{})
	return errors.Join(
		d.DefaultRoute(netip.MustParseAddr(lanGateway)),
		d.Do(func() (err error) {
			d.kernel, err = kernel.Open()
			return err
		}),
		d.Do(func() error { return netlink.AddrSubscribe(d.readdr, d.hush) }),
		d.configure(config(d, 1, 1)),
	)
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

// config is the configuration file of a director, with the weights of the servers.
func config(d *director, weights ...int) string {
	return fmt.Sprintf(`# The configuration of %s. The other director's differs in router_id and priority only.
[global]
router_id = "%[1]s"

# Without the gateway this director is of no use: it gives the address up.
[vrrp_script.gateway]
script   = "ping -n -c 1 -W 1 %s"
interval = "%v"
timeout  = "400ms"
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
`, d.Name(), lanGateway, scriptInterval, scriptFall, scriptRise, d.priority, advertInterval, vipText,
		netlab.HealthPath, checkInterval, rise, fall, weights[0], weights[1])
}

// configPath is where the director's configuration is.
func (d *director) configPath() string { return d.Path("director.toml") }

// runtimeDir is where its control socket is.
func (d *director) runtimeDir() string { return d.Path("run") }

// configure writes the configuration file.
func (d *director) configure(text string) error {
	_, err := d.WriteFile("director.toml", text)
	return err
}

// launch starts the director and does not wait for anything.
func (d *director) launch() (err error) {
	d.proc, err = d.Start("director", d.exe, "run", "-c", d.configPath(), "--runtime-dir", d.runtimeDir())
	return err
}

// ask talks to the director over its control socket.
func (d *director) ask(ctx context.Context, what func(context.Context, *control.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := control.Dial(ctx, watchdog.SocketPath(d.runtimeDir()))
	if err != nil {
		return fmt.Errorf("%s: %w", d.Name(), err)
	}
	defer c.Close()
	if err := what(ctx, c); err != nil {
		return fmt.Errorf("%s: %w", d.Name(), err)
	}
	return nil
}

// status returns the director's own view.
func (d *director) status(ctx context.Context) (s *control.Status, err error) {
	err = d.ask(ctx, func(ctx context.Context, c *control.Client) error {
		s, err = c.Status(ctx)
		return err
	})
	return s, err
}

// instance returns the state of the virtual router.
func (d *director) instance(ctx context.Context) (control.Instance, error) {
	s, err := d.status(ctx)
	if err != nil {
		return control.Instance{}, err
	}
	if s.VRRP == nil || len(s.VRRP.Instances) == 0 {
		return control.Instance{}, fmt.Errorf("%s: no virtual router yet", d.Name())
	}
	return s.VRRP.Instances[0], nil
}

// process returns a process of the director by its role.
func (d *director) process(ctx context.Context, role watchdog.Role) (control.Process, error) {
	s, err := d.status(ctx)
	if err != nil {
		return control.Process{}, err
	}
	for _, p := range s.Processes {
		if p.Role == string(role) {
			return p, nil
		}
	}
	return control.Process{}, fmt.Errorf("%s: no process %s", d.Name(), role)
}

// reload makes the director read its configuration.
func (d *director) reload(ctx context.Context) (r control.ReloadResult, err error) {
	err = d.ask(ctx, func(ctx context.Context, c *control.Client) error {
		r, err = c.Reload(ctx)
		return err
	})
	return r, err
}

// kill kills a child and returns its process number.
func (d *director) kill(ctx context.Context, role watchdog.Role) (int, error) {
	p, err := d.process(ctx, role)
	if err != nil {
		return 0, err
	}
	if p.PID == 0 {
		return 0, fmt.Errorf("%s: %s does not run", d.Name(), role)
	}
	return p.PID, syscall.Kill(p.PID, syscall.SIGKILL)
}

// holds reports whether the machine has the virtual address.
func (d *director) holds() bool { return d.HasAddr(vip) }

// moves counts how often the virtual address has come or gone on the machine since it
// was asked last.
func (d *director) moves() int {
	n := 0
	for {
		select {
		case u, open := <-d.readdr:
			if !open {
				return n
			}
			if ip, ok := netip.AddrFromSlice(u.LinkAddress.IP); ok && ip.Unmap() == vip {
				n++
			}
		default:
			return n
		}
	}
}

// weights reads from the kernel which servers are in the pool, with their weights;
// one that is not in is not in the map.
func (d *director) weights() map[netip.Addr]int {
	table, err := d.kernel.Dump()
	if err != nil {
		return nil
	}
	out := map[netip.Addr]int{}
	if e := table[service()]; e != nil {
		for key, dest := range e.Dests {
			out[key.Addr()] = int(dest.Weight)
		}
	}
	return out
}

// service is the key of the virtual server in the kernel's table.
func service() ipvs.ServiceKey {
	return ipvs.AddrService(ipvs.TCP, netip.AddrPortFrom(vip, 80))
}

// ipvsadm is the kernel's table as ipvsadm prints it.
func (d *director) ipvsadm() (string, error) { return d.Run("ipvsadm", "-Sn") }

// connections is the kernel's count of connections through the virtual server,
// which begins at 0 for a service that is made anew.
func (d *director) connections() (uint64, error) {
	stats, err := d.kernel.Stats()
	if err != nil {
		return 0, err
	}
	if s := stats[service()]; s != nil {
		return s.Counters.Connections, nil
	}
	return 0, fmt.Errorf("%s: the kernel has no virtual server", d.Name())
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
		close(d.hush)
		if d.kernel != nil {
			_ = d.kernel.Close() // reading only
		}
	}
	err := f.lab.Close()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
