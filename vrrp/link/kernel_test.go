package link

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// ip runs ip(8) in the host's namespace.
func (h *host) ip(args ...string) string {
	h.t.Helper()
	return in(h, func() (string, error) {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out)), err
	})
}

// tell runs ip -j and returns the objects that it lists.
func (h *host) tell(args ...string) (list []map[string]any) {
	h.t.Helper()
	text := h.ip(append([]string{"-j", "-N", "-d"}, args...)...)
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		h.t.Fatalf("%v: %s", err, text)
	}
	return list
}

// two is a host with two cables.
func two(t testing.TB) *host {
	h, peer := cabled(t)
	cable(h, "eth1", "10.2.0.1/24", peer, "eth1", "10.2.0.2/24")
	h.ip("-6", "addr", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
	return h
}

// hasAll says which of the wanted values an object of ip -j lacks.
func hasAll(have map[string]any, want string) (missing []string) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(want), &fields); err != nil {
		panic(err)
	}
	for key, v := range fields {
		if fmt.Sprint(have[key]) != fmt.Sprint(v) {
			missing = append(missing, fmt.Sprintf("%s is %v, want %v", key, have[key], v))
		}
	}
	slices.Sort(missing)
	return missing
}

// TestAddressOptions reads each option of an address back.
func TestAddressOptions(t *testing.T) {
	h := two(t)
	k := in(h, openKernel)
	defer k.close()
	addr := netip.MustParseAddr
	for _, c := range []struct {
		a    Address
		want string
	}{
		{Address{}, `{"label":"eth0","scope":"0","valid_life_time":4294967295,"preferred_life_time":4294967295}`},
		{Address{Label: "eth0:vip"}, `{"label":"eth0:vip"}`},
		{Address{Scope: 253}, `{"scope":"253"}`},
		{Address{Scope: 254}, `{"scope":"254"}`},
		{Address{Broadcast: addr("10.9.0.255")}, `{"broadcast":"10.9.0.255"}`},
		{Address{Peer: addr("10.9.0.77")}, `{"local":"10.9.0.1","address":"10.9.0.77"}`},
		{Address{NoPrefixRoute: true}, `{"noprefixroute":true}`},
		{Address{Prefix: netip.MustParsePrefix("239.1.2.3/32"), AutoJoin: true}, `{"autojoin":true,"local":"239.1.2.3"}`},
		{Address{Prefix: netip.MustParsePrefix("fd00::1/64")}, `{"nodad":true}`},
		{Address{Prefix: netip.MustParsePrefix("fd00::1/64"), DetectDuplicates: true}, `{"nodad":null}`},
		{Address{Prefix: netip.MustParsePrefix("fd00::1/64"), Home: true}, `{"home":true}`},
		{Address{Prefix: netip.MustParsePrefix("fd00::1/64"), ManageTemp: true}, `{"mngtmpaddr":true}`},
		{Address{Prefix: netip.MustParsePrefix("fd00::1/64"), NoPrefixRoute: true}, `{"noprefixroute":true}`},
		{Address{Prefix: netip.MustParsePrefix("fd00::1/128"), Deprecated: true}, `{"deprecated":true,"preferred_life_time":0,"valid_life_time":4294967295}`},
		{Address{Prefix: netip.MustParsePrefix("fd00::1/128"), Preferred: 3600}, `{"preferred_life_time":3600,"valid_life_time":4294967295}`},
	} {
		c.a.Device = "eth0"
		if !c.a.Prefix.IsValid() {
			c.a.Prefix = netip.MustParsePrefix("10.9.0.1/24")
		}
		if already, err := c.a.add(k); err != nil || already {
			t.Errorf("%s: add: already %v, error %v", c.a.Variant(), already, err)
			continue
		}
		if already, err := c.a.add(k); err != nil || !already {
			t.Errorf("%s: again: already %v, error %v", c.a.Variant(), already, err)
		}
		found := false
		for _, l := range h.tell("addr", "show", "dev", "eth0") {
			for _, info := range l["addr_info"].([]any) {
				if a := info.(map[string]any); a["local"] == c.a.Prefix.Addr().String() {
					found = true
					if m := hasAll(a, c.want); m != nil {
						t.Errorf("%s: %v", c.a.Variant(), m)
					}
				}
			}
		}
		if !found {
			t.Errorf("%s: not there", c.a.Variant())
		}
		if ours, err := k.marked(h.iface("eth0").Index, c.a.Prefix); err != nil || !ours {
			t.Errorf("%s: marked as ours %v, error %v", c.a.Variant(), ours, err)
		}
		if already, err := c.a.remove(k); err != nil || already {
			t.Errorf("%s: remove: already %v, error %v", c.a.Variant(), already, err)
		}
		if already, err := c.a.remove(k); err != nil || !already {
			t.Errorf("%s: remove again: already %v, error %v", c.a.Variant(), already, err)
		}
	}
}

// An address that somebody else put there is left alone when it is asked for.
func TestOnlyMarkedAddressIsRemoved(t *testing.T) {
	h := two(t)
	k := in(h, openKernel)
	defer k.close()
	theirs := Address{Prefix: netip.MustParsePrefix("10.9.0.1/24"), Device: "eth0", OnlyMarked: true}
	h.ip("addr", "add", "10.9.0.1/24", "dev", "eth0")
	if already, err := theirs.remove(k); err != nil || !already {
		t.Errorf("already %v, error %v", already, err)
	}
	ours := Address{Prefix: netip.MustParsePrefix("10.9.0.2/32"), Device: "eth0", OnlyMarked: true}
	if _, err := ours.add(k); err != nil {
		t.Fatal(err)
	}
	if already, err := ours.remove(k); err != nil || already {
		t.Errorf("ours: already %v, error %v", already, err)
	}
	if got := h.prefixes("eth0"); fmt.Sprint(got) != "[10.1.0.1/24 10.9.0.1/24]" {
		t.Errorf("left are %v", got)
	}
}

func TestPromoteSecondaries(t *testing.T) {
	for _, on := range []bool{true, false} {
		h := newHost(t)
		peer := newHost(t)
		cable(h, "eth0", "", peer, "eth0", "")
		k := in(h, openKernel)
		s := Setting{"eth0", PromoteSecondaries, 1}
		if on {
			if already, err := s.add(k); err != nil || already {
				t.Fatalf("already %v, error %v", already, err)
			}
			if already, err := s.add(k); err != nil || already {
				t.Errorf("again: already %v, error %v, but it is ours", already, err)
			}
		}
		for _, a := range vips("eth0", "10.7.0.10/24", "10.7.0.11/24", "10.7.0.12/24") {
			if _, err := a.add(k); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := vips("eth0", "10.7.0.10/24")[0].remove(k); err != nil {
			t.Fatal(err)
		}
		want := "[]"
		if on {
			want = "[10.7.0.11/24 10.7.0.12/24]"
		}
		if got := h.prefixes("eth0"); fmt.Sprint(got) != want {
			t.Errorf("promotion %v: left are %v, want %s", on, got, want)
		}
		if already, err := s.remove(k); err != nil || already == on {
			t.Errorf("promotion %v: off: already %v, error %v", on, already, err)
		}
		k.close()
	}
	k := in(newHost(t), openKernel)
	defer k.close()
	s := Setting{"eth7", PromoteSecondaries, 1}
	if _, err := s.add(k); err == nil {
		t.Error("set on an interface that does not exist")
	}
	if already, err := s.remove(k); err != nil || !already {
		t.Errorf("off without the interface: already %v, error %v", already, err)
	}
}

// A setting goes back to what it was, whoever takes it back: a process that follows one
// that was killed knows from the record that it is not the host's, and so does one
// whose configuration has no use for it any more.
func TestSettingGoesBack(t *testing.T) {
	h, peer := newHost(t), newHost(t)
	cable(h, "eth0", "", peer, "eth0", "")
	dir := t.TempDir()
	announce, ignore := Setting{"eth0", ARPAnnounce, 2}, Setting{"eth0", ARPIgnore, 1}
	life := func(do func(k *kernel)) {
		t.Helper()
		k := in(h, openKernel)
		defer k.close()
		var err error
		if k.former, err = ReadFormer(dir); err != nil {
			t.Fatal(err)
		}
		do(k)
	}
	is := func(k *kernel, s Setting, want uint32) {
		t.Helper()
		d, err := k.device(s.Device)
		h.must(err)
		if got, ok, err := s.read(k, d); err != nil || !ok || got != want {
			t.Errorf("%s is %d, %v, want %d", s, got, err, want)
		}
	}
	add := func(k *kernel, s Setting, host bool) {
		t.Helper()
		if already, err := s.add(k); err != nil || already != host {
			t.Errorf("%s: already %v, error %v", s, already, err)
		}
	}
	life(func(k *kernel) {
		d, err := k.device("eth0")
		h.must(err)
		h.must(announce.write(k, d, 1))
		add(k, announce, false)
		add(k, ignore, false)
		is(k, announce, 2)
	})
	life(func(k *kernel) { // killed, and started again
		add(k, announce, false)
		_, err := announce.remove(k)
		h.must(err)
		is(k, announce, 1)
	})
	life(func(k *kernel) { // killed, and configured otherwise
		is(k, ignore, 1)
		_, err := (&Leftovers{Keep: map[Key]bool{announce.Key(): true}}).remove(k)
		h.must(err)
		is(k, ignore, 0)
	})
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("left in the runtime directory: %v, %v", list, err)
	}
	life(func(k *kernel) { // what the host has itself stays
		d, err := k.device("eth0")
		h.must(err)
		h.must(ignore.write(k, d, 1))
		add(k, ignore, true)
	})
	h.must(os.WriteFile(filepath.Join(dir, formerName), []byte("{"), 0o600))
	if _, err := ReadFormer(dir); err == nil || !strings.Contains(err.Error(), formerName) {
		t.Errorf("a broken record: %v", err)
	}
}

// What a killed director left behind is found by its mark and removed; what is
// configured and what is somebody else's stays.
func TestLeftovers(t *testing.T) {
	h := two(t)
	k := in(h, openKernel)
	defer k.close()
	keep := make(map[Key]bool)
	put := func(i Item, kept bool) {
		t.Helper()
		if _, err := i.add(k); err != nil {
			t.Fatal(err)
		}
		if kept {
			keep[i.Key()] = true
		}
	}
	for n, c := range routeCases {
		r := c.r
		if r.Type == "local" || len(r.Hops) == 0 && !r.To.Addr().Is4() {
			continue
		}
		r.Protocol, r.Table = Protocol, uint32(2000+n)
		put(&r, n == 0)
	}
	for n, c := range ruleCases {
		r := c.r
		r.Protocol, r.Priority = Protocol, uint32(200+n)
		put(&r, n == 0)
	}
	put(vips("eth0", "10.9.0.1/24")[0], true)
	put(vips("eth0", "10.9.0.2/32")[0], false)
	put(vips("eth1", "2001:db8:9::2/64")[0], false)
	put(Address{Prefix: prefix("10.9.1.1/32"), Peer: ip("10.9.1.2"), Device: "eth1"}, false)
	h.ip("rule", "add", "priority", "50", "table", "100")
	h.ip("route", "add", "10.60.0.0/16", "via", "10.1.0.2")
	l := &Leftovers{Keep: keep}
	if _, err := l.remove(k); err != nil {
		t.Fatal(err)
	}
	marked := func(list []map[string]any) (n int) {
		for _, l := range list {
			if l["protocol"] == "112" {
				n++
			}
		}
		return n
	}
	for what, got := range map[string]int{
		"routes": marked(h.tell("route", "show", "table", "all")), "IPv6 routes": marked(h.tell("-6", "route", "show", "table", "all")) + 1,
		"rules": marked(h.tell("rule")), "IPv6 rules": marked(h.tell("-6", "rule")) + 1,
	} {
		if got != 1 {
			t.Errorf("%d %s left", got, what)
		}
	}
	if got := h.prefixes("eth0"); fmt.Sprint(got) != "[10.1.0.1/24 10.9.0.1/24]" {
		t.Errorf("eth0 has %v", got)
	}
	list, err := h.handle.AddrList(h.link("eth1"), netlink.FAMILY_ALL)
	h.must(err)
	for _, a := range list {
		if strings.HasPrefix(a.IP.String(), "2001:db8:9") || strings.HasPrefix(a.IP.String(), "10.9.1") {
			t.Errorf("eth1 has %s", a.IPNet)
		}
	}
	if h.ip("rule", "show", "priority", "50") == "" || h.ip("route", "show", "10.60.0.0/16") == "" {
		t.Error("somebody else's rule or route is gone")
	}
}
