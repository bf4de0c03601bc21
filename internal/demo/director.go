package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"

	"director/internal/control"
	"director/internal/netlab"
	"director/internal/watchdog"
	"director/ipvs"
	"director/ipvs/kernel"
)

// director is one of the two directors: a machine that runs the real program.
type director struct {
	*netlab.Host
	addr     netip.Addr
	priority int
	mac      string
	exe      string
	proc     *netlab.Process
	kernel   *kernel.Kernel          // the machine's IPVS table, read past director
	cut      bool                    // off the network
	changes  chan netlink.AddrUpdate // of the machine's addresses
	quiet    chan struct{}           // closed to end the reports of changes
}

// prepare opens what the play watches the director's machine with.
func (d *director) prepare() error {
	mac, err := d.MAC("eth0")
	if err != nil {
		return err
	}
	d.mac = mac.String()
	d.changes, d.quiet = make(chan netlink.AddrUpdate, 256), make(chan struct{})
	return errors.Join(
		d.DefaultRoute(netip.MustParseAddr(lanGateway)),
		d.Do(func() (err error) {
			d.kernel, err = kernel.Open()
			return err
		}),
		// As etc/director.sysctl has it: a connection that the kernel remembers as one to
		// a server that is out of the pool is not lost, when a client comes again
		// from the same port.
		d.Sysctl("net.ipv4.vs.expire_nodest_conn", "1"),
		d.Do(func() error { return netlink.AddrSubscribe(d.changes, d.quiet) }),
		d.configure(d.configuration(1, 1)),
	)
}

// forget closes what prepare has opened.
func (d *director) forget() {
	if d.quiet != nil {
		close(d.quiet)
	}
	if d.kernel != nil {
		_ = d.kernel.Close() // it was only read from
	}
}

// configPath is where the director's configuration is.
func (d *director) configPath() string { return d.Path("director.toml") }

// runtimeDir is where its control socket is.
func (d *director) runtimeDir() string { return d.Path("run") }

// configuration is its configuration file with the weights of the two web servers.
func (d *director) configuration(weight1, weight2 int) string {
	return configuration(d.Name(), d.priority, weight1, weight2)
}

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

// holds reports whether the machine has the virtual address.
func (d *director) holds() bool { return d.HasAddr(vip) }

// moves counts how often the virtual address has come or gone on the machine since it
// was asked last.
func (d *director) moves() int {
	n := 0
	for {
		select {
		case u, open := <-d.changes:
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
