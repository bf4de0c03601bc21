package test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"director/internal/netlab"
)

// Set-up 11 with signed adverts: a pair by unicast, keys in files. The same key on
// both; another one on A, named on both sides; a change of the key under way; and a
// third host that sends recorded adverts again.
func TestSignedUnicastPair(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	key := func(h *netlab.Host, name, text string) string {
		p.Must(os.WriteFile(h.Path(name), []byte(text+"\n"), 0o600))
		return h.Path(name)
	}
	k1, k2 := "hex:"+strings.Repeat("0f", 32), "geheim-geheim-geheim-geheim-geheim"
	conf := func(h *netlab.Host, prio, peer, active int, ids ...int) string {
		c := vrrp("VI", 51, prio, "192.0.2.100/24", fast, fmt.Sprintf("unicast_peer = [\"192.0.2.%d\"]", peer),
			"[vrrp_instance.VI.authentication]", `type = "HMAC"`, fmt.Sprintf("active_key = %d", active))
		for _, id := range ids {
			c += fmt.Sprintf("[[vrrp_instance.VI.authentication.keys]]\nid = %d\nkey_file = %q\n", id, h.Path(fmt.Sprint("key", id)))
		}
		return c
	}
	for _, h := range []*netlab.Host{p.a, p.b} {
		key(h, "key1", k1)
		key(h, "key2", k2)
	}
	b := startDirector(t, p.b, conf(p.b, 100, 1, 1, 1))
	a := startDirector(t, p.a, conf(p.a, 150, 2, 1, 1))
	p.onlyOn(p.a, vip, patience)
	if i := b.WaitInstance("VI", "BACKUP", patience); i.Authentication == nil || i.Authentication.ActiveKey != 1 || len(i.Discards) > 0 {
		t.Errorf("B: %+v, dropped %v", i.Authentication, i.Discards)
	}

	// The key changes step by step, and B loses none of A's adverts.
	before, transitions := b.Instance("VI"), a.Instance("VI").Transitions
	for _, step := range []struct {
		active int
		ids    []int
	}{{1, []int{1, 2}}, {2, []int{1, 2}}, {2, []int{2}}} {
		for _, reload := range []func() error{
			func() error { return b.Reload(conf(p.b, 100, 1, step.active, step.ids...)) },
			func() error { return a.Reload(conf(p.a, 150, 2, step.active, step.ids...)) },
		} {
			p.Must(reload())
			i := b.Instance("VI")
			heard := i.AdvertsHeard + i.Discards["unknown_key"]
			p.Within(patience, "B hears more", func() bool {
				i := b.Instance("VI")
				return i.AdvertsHeard+i.Discards["unknown_key"] >= heard+3
			})
		}
	}
	p.Eventually(patience, "B hears key 2", func() error {
		i := b.Instance("VI")
		if s := i.Authentication.Senders; len(s) != 1 || s[0].Key != 2 || s[0].Address != netip.MustParseAddr("192.0.2.1") {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	after := b.Instance("VI")
	if a.Instance("VI").Transitions != transitions || after.Transitions != before.Transitions || len(after.Discards) > 0 || after.AdvertsHeard < before.AdvertsHeard+9 {
		t.Errorf("A changed %d times, B heard %d more and dropped %v", a.Instance("VI").Transitions-transitions,
			after.AdvertsHeard-before.AdvertsHeard, after.Discards)
	}
	if text, err := b.CLI("status", "--all"); err != nil || !strings.Contains(text, "by 192.0.2.1 with key 2") {
		t.Errorf("%v\n%s", err, text)
	}

	// The client sends what A has sent, and then what A sent with another priority. A
	// goes on, B stays; each packet is counted.
	var recorded []netlab.Frame
	for _, f := range p.cap.Frames() {
		if adv, ok := f.Advert(); ok && adv.Source == netip.MustParseAddr("192.0.2.1") && adv.Dest == netip.MustParseAddr("192.0.2.2") {
			recorded = append(recorded, f)
		}
	}
	if len(recorded) < 10 {
		t.Fatalf("%d adverts recorded", len(recorded))
	}
	recorded = recorded[len(recorded)-10:]
	p.replay(p.client, recorded)
	p.Eventually(patience, "B counts the recorded adverts", func() error {
		if i := b.Instance("VI"); i.Discards["replay"] < 3 || i.Discards["replay"]+i.Discards["unknown_key"] < 10 || i.State != "BACKUP" || i.Transitions != before.Transitions {
			return fmt.Errorf("B is %s, dropped %v", i.State, i.Discards)
		}
		return nil
	})
	// Without A they do not hold B back either.
	p.Must(p.portA.Cut())
	p.Within(patience, "B takes the address", func() bool {
		if p.b.HasAddr(vip) {
			return true
		}
		p.replay(p.client, recorded)
		return false
	})
	if i := b.WaitInstance("VI", "MASTER", patience); i.Code != "master_down" {
		t.Errorf("B: %s", i.Reason)
	}
	p.Must(p.portA.Heal())
	p.onlyOn(p.a, vip, patience)

	// Another key under the same number: both say so, and what they say is no key.
	key(p.a, "key2", "another-another-another-another-")
	p.Must(a.Reload(conf(p.a, 150, 2, 2, 2)))
	for _, d := range []*director{a, b} {
		p.Eventually(patience, "the wrong key is named", func() error {
			if i := d.Instance("VI"); i.Discards["bad_icv"] == 0 {
				return fmt.Errorf("%s dropped %v", d.host.Name(), i.Discards)
			}
			text, err := d.CLI("status")
			if err != nil || !strings.Contains(text, "adverts signed with another key 2") {
				return fmt.Errorf("%s: %v\n%s", d.host.Name(), err, text)
			}
			return nil
		})
	}
	// A file that is gone is refused with its name, and what runs goes on.
	p.Must(os.Remove(p.a.Path("key1")))
	err := a.Reload(conf(p.a, 150, 2, 1, 1))
	if err == nil || !strings.Contains(err.Error(), p.a.Path("key1")) || !strings.Contains(err.Error(), "keys[0].key_file") {
		t.Errorf("reload: %v", err)
	}
	key(p.a, "key2", k2)
	p.Must(a.Reload(conf(p.a, 150, 2, 2, 2)))
	p.onlyOn(p.a, vip, patience)
	for _, d := range []*director{a, b} {
		text, _ := d.CLI("status", "--json")
		plain, _ := d.CLI("status", "--all")
		for _, leak := range []string{"geheim", "another-", "0f0f0f"} {
			if strings.Contains(text+plain+d.Log(), leak) {
				t.Errorf("%s shows a key", d.host.Name())
			}
		}
	}
}

// replay sends frames from a host's eth0 as they were recorded, but for the source
// MAC, which stays the host's own: switches would send A's packets to it.
func (p *pair) replay(h *netlab.Host, frames []netlab.Frame) {
	p.t.Helper()
	mac, err := h.MAC("eth0")
	p.Must(err)
	p.Must(h.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, f := range frames {
			data := append([]byte(nil), f.Data...)
			copy(data[6:], mac)
			if err := unix.Sendto(fd, data, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index}); err != nil {
				return err
			}
		}
		return nil
	}))
}
