package netlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
)

// FRR is FRR's VRRP daemon on a host, with the zebra that it needs.
type FRR struct {
	*Process // vrrpd
	zebra    *Process
	host     *Host
	dir      string
	vrid     int
}

// FRROptions describes the one virtual router that FRR runs. Its addresses are
// of one family.
type FRROptions struct {
	Interface string
	VRID      int
	Version   int
	Priority  int
	Interval  time.Duration
	Address   netip.Prefix
}

// FRR starts zebra and vrrpd, all of their files below the host's folder. FRR wants the virtual address on a macvlan interface
// with the virtual MAC, which is made here; it takes the interface down while it is backup.
func (h *Host) FRR(o FRROptions) (*FRR, error) {
	f := &FRR{host: h, dir: h.Path("frr"), vrid: o.VRID}
	if err := f.folder(); err != nil {
		return nil, err
	}
	if err := h.frrInterface(o); err != nil {
		return nil, fmt.Errorf("%s: interface for FRR: %w", h.name, err)
	}
	family := "ip"
	if o.Address.Addr().Is6() {
		family = "ipv6"
	}
	router := fmt.Sprintf(" vrrp %d ", o.VRID)
	conf := "log stdout debugging\ninterface " + o.Interface + "\n" +
		router + fmt.Sprintf("version %d\n", o.Version) +
		router + fmt.Sprintf("priority %d\n", o.Priority) +
		router + fmt.Sprintf("advertisement-interval %d\n", o.Interval.Milliseconds()) +
		router + family + " " + o.Address.Addr().String() + "\n"
	for name, text := range map[string]string{"zebra.conf": "log stdout\n", "vrrpd.conf": conf} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	var err error
	if f.zebra, err = f.daemon("zebra"); err != nil {
		return nil, err
	}
	// vrrpd tries again only after a long while when there is no zebra yet.
	if err := EventuallyWithin(startTimeout, func() error { _, err := os.Stat(filepath.Join(f.dir, "zserv")); return err }); err != nil {
		return nil, fmt.Errorf("%s: zebra: %w: %s", h.name, err, f.zebra.Log())
	}
	f.Process, err = f.daemon("vrrpd")
	return f, err
}

// folder makes the folder of the daemons, which run as their own user.
func (f *FRR) folder() error {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	u, err := user.Lookup("frr")
	if err != nil {
		return fmt.Errorf("FRR (Debian package frr): %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	return os.Chown(f.dir, uid, -1)
}

func (f *FRR) daemon(name string) (*Process, error) {
	return f.host.Start(name, "/usr/lib/frr/"+name, "-f", filepath.Join(f.dir, name+".conf"), "-i", filepath.Join(f.dir, name+".pid"),
		"-z", filepath.Join(f.dir, "zserv"), "--vty_socket", f.dir, "-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0", "--log", "stdout")
}

func (h *Host) frrInterface(o FRROptions) error {
	parent, err := h.nl.LinkByName(o.Interface)
	if err != nil {
		return err
	}
	kind := byte(1)
	if o.Address.Addr().Is6() {
		kind = 2
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("frr-%d", o.VRID)
	attrs.ParentIndex = parent.Attrs().Index
	attrs.HardwareAddr = net.HardwareAddr{0, 0, 0x5e, 0, kind, byte(o.VRID)}
	macvlan := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	if err := h.nl.LinkAdd(macvlan); err != nil {
		return err
	}
	addresses := []netip.Prefix{o.Address}
	if kind == 2 {
		// FRR sends from a link-local address of this interface, the kernel's own or this.
		addresses = append(addresses, netip.MustParsePrefix("fe80::5e:1/64"))
	}
	return errors.Join(
		// The parent must not answer for the address, nor ask in its name.
		h.Sysctl("net/ipv4/conf/"+o.Interface+"/arp_ignore", "1"),
		h.Sysctl("net/ipv4/conf/"+o.Interface+"/arp_announce", "2"),
		h.AddAddr(attrs.Name, addresses...),
		h.nl.LinkSetUp(macvlan))
}

// Master says whether FRR is master over a family.
func (f *FRR) Master(ipv6 bool) (bool, error) {
	out, err := f.host.Run("vtysh", "--vty_socket", f.dir, "-d", "vrrpd", "-c", "show vrrp json")
	if err != nil {
		return false, err
	}
	var routers []struct {
		VRID int                     `json:"vrid"`
		V4   struct{ Status string } `json:"v4"`
		V6   struct{ Status string } `json:"v6"`
	}
	if err := json.Unmarshal([]byte(out), &routers); err != nil {
		return false, fmt.Errorf("%w: %s", err, out)
	}
	for _, r := range routers {
		if r.VRID == f.vrid {
			status := r.V4.Status
			if ipv6 {
				status = r.V6.Status
			}
			return status == "Master", nil
		}
	}
	return false, fmt.Errorf("%s: FRR does not know router %d: %s", f.host.name, f.vrid, out)
}

// Stop ends vrrpd, which says good-bye, and zebra.
func (f *FRR) Stop(limit time.Duration) error {
	return errors.Join(f.Process.Stop(limit), f.zebra.Stop(limit))
}
