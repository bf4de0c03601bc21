package vrrpd

import (
	"errors"
	"strings"
	"testing"
	"time"

	"director/vrrp/link"
)

// only keeps the lines of the log that hold one of the words.
func (w *world) only(words ...string) (lines []string) {
	for _, l := range w.log {
		for _, word := range words {
			if strings.Contains(l, word) {
				lines = append(lines, l)
				break
			}
		}
	}
	return lines
}

// A router with a virtual MAC address makes its interface when it is configured, and
// puts it up before the addresses when it becomes MASTER; it goes down after them.
func TestVMACOfRouter(t *testing.T) {
	w := newWorld(t)
	in := instance("web", 51, 100, "192.0.2.10/24")
	in.UseVMAC, in.Accept = true, false
	in.Addresses[0].Device = "vrrp.51"
	w.configure(nil, in)
	w.settle()
	if got := strings.Join(w.only("add"), "; "); got != "add setting arp_ignore of eth0; add setting arp_announce of eth0; add vrrp.51, 00:00:5e:00:01:33 on eth0" {
		t.Errorf("configured: %s", got)
	}
	if i := w.router("web"); i.VMAC == nil || i.VMAC.Up || i.VMAC.Address != "00:00:5e:00:01:33" {
		t.Errorf("status of a BACKUP says %+v", i.VMAC)
	}
	w.log = nil
	w.pass(3700 * time.Millisecond)
	w.settle()
	w.want("advert 100 from 192.0.2.1 as 00:00:5e:00:01:33", "add vrrp.51 up", "add drop of what is sent to 192.0.2.10 itself",
		"add 192.0.2.10/24", "announce 192.0.2.10/24", "web BACKUP->MASTER (master_down)")
	if i := w.router("web"); !i.VMAC.Up || len(i.Blocks) != 1 || !i.Blocks[0].Installed {
		t.Errorf("status of a MASTER says %+v and %+v", i.VMAC, i.Blocks)
	}

	// Somebody deletes the interface: it is made anew, and all that was on it.
	w.log = nil
	w.link("vrrp.51", 9, true)
	delete(w.kernel, "vrrp.51, 00:00:5e:00:01:33 on eth0")
	delete(w.kernel, "vrrp.51 up")
	delete(w.kernel, "vrrp.51 192.0.2.10/24")
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkRemoved, Interface: link.Interface{Name: "vrrp.51", Index: 9}})
	w.settle()
	got := strings.Join(w.only("add", "announce", "repaired"), "; ")
	for _, part := range []string{"add vrrp.51, 00:00:5e:00:01:33 on eth0", "add vrrp.51 up", "add 192.0.2.10/24", "announce 192.0.2.10/24", "(repaired)"} {
		if !strings.Contains(got, part) {
			t.Errorf("after the interface was deleted: %s, without %q", got, part)
		}
	}
	if w.router("web").State != "MASTER" {
		t.Error("it gave up for that")
	}

	// A rival: the addresses go, then the interface goes down, and stays.
	w.log = nil
	w.hear("192.0.2.2", 200, settings(&in))
	w.settle()
	got = strings.Join(w.only("remove"), "; ")
	if want := "remove 192.0.2.10/24; remove drop of what is sent to 192.0.2.10 itself; remove vrrp.51 up"; got != want {
		t.Errorf("as BACKUP: %s, want %s", got, want)
	}

	// Without it: the address is on eth0, and the interface goes.
	w.log = nil
	plain := instance("web", 51, 100, "192.0.2.10/24")
	w.configure(nil, plain)
	if got := strings.Join(w.only("remove"), "; "); got != "remove vrrp.51, 00:00:5e:00:01:33 on eth0" {
		t.Errorf("without a virtual MAC address: %s", got)
	}
}

// The interface cannot be made: that is told, tried again, and the addresses wait.
func TestVMACFails(t *testing.T) {
	w := newWorld(t)
	in := instance("web", 51, 100, "192.0.2.10/24")
	in.UseVMAC = true
	in.Addresses[0].Device = "vrrp.51"
	w.fail["vrrp.51, 00:00:5e:00:01:33 on eth0"] = errors.New("device or resource busy")
	w.configure(nil, in)
	if v := w.router("web").VMAC; v.Error != "" {
		t.Errorf("before it was needed: %+v", v)
	}
	if f := w.e.snapshot().Failures; len(f) != 1 || !strings.Contains(f[0].Error, "busy") {
		t.Errorf("failures %+v", f)
	}
	delete(w.fail, "vrrp.51, 00:00:5e:00:01:33 on eth0")
	w.pass(2 * time.Second)
	if f := w.e.snapshot().Failures; len(f) != 0 {
		t.Errorf("failures %+v", f)
	}
	if k := (link.VMAC{Device: "vrrp.51"}).Key(); w.e.holders[k] == nil {
		t.Error("nobody holds it")
	}
}
