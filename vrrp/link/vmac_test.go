package link

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// run runs a program on the host.
func (h *host) run(argv ...string) string {
	h.t.Helper()
	return in(h, func() (string, error) {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%v: %w: %s", argv, err, out)
		}
		return string(out), err
	})
}

// kernel opens what the worker uses, on the host.
func (h *host) kernel() *kernel {
	h.t.Helper()
	k := in(h, func() (*kernel, error) {
		k, err := openKernel()
		if err == nil {
			_, err = k.firewall() // here, and not where it is used first
		}
		return k, err
	})
	h.t.Cleanup(k.close)
	return k
}

// inside calls f on the host.
func (h *host) inside(f func()) {
	h.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(h.ns)
		if err == nil {
			f()
		}
		done <- err
	}()
	h.must(<-done)
}

func TestVMAC(t *testing.T) {
	h, other := newHost(t), newHost(t)
	cable(h, "eth0", "10.0.0.1/24", other, "eth0", "10.0.0.2/24")
	k := h.kernel()
	v := VMAC{Device: "vrrp.51", Parent: "eth0", MAC: MAC{0, 0, 0x5e, 0, 1, 51}}
	add := func(v VMAC, wantAlready bool) {
		t.Helper()
		k.forget()
		if already, err := v.add(k); err != nil || already != wantAlready {
			t.Fatalf("add %v: already %v, %v", v, already, err)
		}
	}
	add(v, false)
	l, ok := h.link("vrrp.51").(*netlink.Macvlan)
	if !ok || l.Mode != netlink.MACVLAN_MODE_BRIDGE || l.HardwareAddr.String() != "00:00:5e:00:01:33" ||
		l.ParentIndex != h.link("eth0").Attrs().Index || l.Flags&1 != 0 || l.Alias != vmacAlias {
		t.Errorf("made %+v", l)
	}
	h.inside(func() {
		for name, want := range map[string]string{
			"ipv4/conf/vrrp.51/rp_filter": "2", "ipv4/conf/vrrp.51/arp_ignore": "1",
			"ipv4/conf/vrrp.51/promote_secondaries": "1", "ipv6/conf/vrrp.51/addr_gen_mode": "1",
		} {
			got, err := os.ReadFile("/proc/sys/net/" + name)
			if err != nil || strings.TrimSpace(string(got)) != want {
				t.Errorf("%s is %q, %v, want %s", name, got, err, want)
			}
		}
	})
	up := Up{"vrrp.51"}
	for _, want := range []bool{false, true} {
		if already, err := up.add(k); err != nil || already != want {
			t.Errorf("up: already %v, %v", already, err)
		}
	}
	if out := h.run("ip", "-6", "addr", "show", "dev", "vrrp.51"); out != "" {
		t.Errorf("it made itself an address: %s", out)
	}
	add(v, true) // one that is up stays up
	if !strings.Contains(h.run("ip", "link", "show", "vrrp.51"), ",UP") {
		t.Error("an adopted VMAC went down")
	}
	for _, want := range []bool{false, true} {
		if already, err := up.remove(k); err != nil || already != want {
			t.Errorf("down: already %v, %v", already, err)
		}
	}

	// Another MAC address: ours is replaced, a stranger's is not.
	v.MAC[5] = 52
	add(v, false)
	if got := h.link("vrrp.51").Attrs().HardwareAddr.String(); got != "00:00:5e:00:01:34" {
		t.Errorf("the new one has %s", got)
	}
	h.run("ip", "link", "set", "vrrp.51", "alias", "mine")
	v.MAC[5] = 53
	if _, err := v.add(k); err == nil || !strings.Contains(err.Error(), "of another make") {
		t.Errorf("a stranger's macvlan: %v", err)
	}
	if already, err := v.remove(k); err != nil || !already {
		t.Errorf("a stranger's macvlan, removed: already %v, %v", already, err)
	}
	h.run("ip", "link", "set", "vrrp.51", "alias", vmacAlias)
	for _, want := range []bool{false, true} {
		if already, err := v.remove(k); err != nil || already != want {
			t.Errorf("remove: already %v, %v", already, err)
		}
	}
	if already, err := up.remove(k); err != nil || !already {
		t.Errorf("down when it is gone: %v, %v", already, err)
	}
	h.run("ip", "link", "add", "vrrp.51", "type", "bridge")
	if _, err := v.add(k); err == nil || !strings.Contains(err.Error(), "of another kind (bridge)") {
		t.Errorf("a bridge of that name: %v", err)
	}
	v.Device, v.Parent = "vrrp.9", "eth9"
	if _, err := v.add(k); !absent(err) {
		t.Errorf("without the interface below: %v", err)
	}
}

func TestBlock(t *testing.T) {
	h, other := newHost(t), newHost(t)
	cable(h, "eth0", "10.0.0.1/24", other, "eth0", "10.0.0.2/24")
	for _, a := range []string{"10.0.0.100/32", "10.0.0.101/32"} {
		h.run("ip", "addr", "add", a, "dev", "eth0")
	}
	for _, at := range []*host{h, other} {
		ip := map[*host]string{h: "fd00::1/64", other: "fd00::2/64"}[at]
		at.run("ip", "addr", "add", ip, "dev", "eth0", "nodad")
	}
	h.run("ip", "addr", "add", "fd00::100/128", "dev", "eth0", "nodad")
	ping := func(addr string) bool {
		_, err := func() (string, error) {
			var out []byte
			var err error
			other.inside(func() { out, err = exec.Command("ping", "-c1", "-W0.3", addr).CombinedOutput() })
			return string(out), err
		}()
		return err == nil
	}
	answers := func(want map[string]bool) {
		t.Helper()
		for addr, w := range want {
			got := ping(addr)
			for end := time.Now().Add(30 * time.Second); got != w && w && time.Now().Before(end); {
				got = ping(addr) // the first one may have been lost on a busy machine
			}
			if got != w {
				t.Errorf("%s answers: %v, want %v", addr, got, w)
			}
		}
	}
	k := h.kernel()
	do := func(what string, f func(*kernel) (bool, error), wantAlready bool) {
		t.Helper()
		if already, err := f(k); err != nil || already != wantAlready {
			t.Fatalf("%s: already %v, %v", what, already, err)
		}
	}
	a, b, c := Block{netip.MustParseAddr("10.0.0.100")}, Block{netip.MustParseAddr("10.0.0.101")}, Block{netip.MustParseAddr("fd00::100")}
	do("remove without a table", a.remove, true)
	do("add a", a.add, false)
	do("add a again", a.add, true)
	do("add c", c.add, false)
	answers(map[string]bool{"10.0.0.1": true, "10.0.0.100": false, "10.0.0.101": true, "fd00::1": true, "fd00::100": false})
	// The address is dropped, its neighbour discovery is not: that is how others find it.
	if out := other.run("ip", "-6", "neigh", "show", "fd00::100"); !strings.Contains(out, "lladdr") {
		t.Errorf("no neighbour discovery: %q", out)
	}
	h.run("nft", "flush", "ruleset")
	answers(map[string]bool{"10.0.0.100": true})
	do("add b after a flush", b.add, false)
	do("add a after a flush", a.add, false)
	answers(map[string]bool{"10.0.0.100": false, "10.0.0.101": false, "fd00::100": true})
	do("remove b", b.remove, false)
	do("remove b again", b.remove, true)
	answers(map[string]bool{"10.0.0.100": false, "10.0.0.101": true})
	do("remove a", a.remove, false)
	if out := h.run("nft", "list", "ruleset"); strings.TrimSpace(out) != "" {
		t.Errorf("left behind:\n%s", out)
	}
	// What a dead process left is taken over.
	do("add b", b.add, false)
	second := h.kernel()
	k = second
	do("add b by another process", b.add, true)
	do("add a by another process", a.add, false)
	answers(map[string]bool{"10.0.0.100": false, "10.0.0.101": false})
}
