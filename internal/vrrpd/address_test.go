package vrrpd

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"director/vrrp/link"
)

// vanish is somebody else's removal of an address from eth0.
func (w *world) vanish(prefix string) {
	delete(w.kernel, "eth0 "+prefix)
	w.e.linkEvent(w.now, link.Event{
		Kind: link.AddrRemoved, Prefix: netip.MustParsePrefix(prefix),
		Interface: link.Interface{Name: "eth0", Index: 2, Up: true, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}},
	})
	w.e.flush(w.now)
}

// An address may be removed by somebody else before the loop has seen that it
// was added: the two reports come from different goroutines.
func TestRemovalOvertakesTheAdd(t *testing.T) {
	w := newWorld(t)
	w.hold = true
	w.configure(nil, instance("web", 51, 255, "192.0.2.10/32"))
	w.vanish("192.0.2.10/32")
	w.hold = false
	w.settle()
	if !w.kernel["eth0 192.0.2.10/32"] || !w.router("web").Addresses[0].Installed {
		t.Error("the address is lost")
	}
	// A report that is older than the Add does no harm.
	repairs := w.e.snapshot().Repairs
	w.hold = true
	w.vanish("192.0.2.10/32")
	w.vanish("192.0.2.10/32")
	w.hold = false
	w.settle()
	if got := w.e.snapshot().Repairs; got != repairs+1 {
		t.Errorf("%d repairs counted, want 1", got-repairs)
	}
}

// Two programs that disagree about an address do not keep the host busy.
func TestContestedAddressIsPutBackEverMoreSlowly(t *testing.T) {
	w := newWorld(t)
	w.configure(nil, instance("web", 51, 255, "192.0.2.10/32"))
	added := 0
	for end := w.now.Add(time.Minute); w.now.Before(end); w.pass(10 * time.Millisecond) {
		if w.kernel["eth0 192.0.2.10/32"] {
			added++
			w.vanish("192.0.2.10/32")
			w.settle()
		}
	}
	if added > 10 {
		t.Errorf("put back %d times within a minute", added)
	}
	if f := w.e.snapshot().Failures; len(f) != 1 || f[0].Error != errContested.Error() {
		t.Errorf("failures %+v", f)
	}
	w.pass(2 * time.Minute)
	if f := w.e.snapshot().Failures; len(f) != 0 || !w.kernel["eth0 192.0.2.10/32"] {
		t.Errorf("when the other has given up: %+v", f)
	}
	// Calm again, it is put back at once.
	w.vanish("192.0.2.10/32")
	w.settle()
	if !w.kernel["eth0 192.0.2.10/32"] {
		t.Error("not put back")
	}
}

// The address owner of RFC 9568 has its addresses anyway: they are the host's,
// and stay when director stops. What director itself added goes.
func TestOwnersAddressesStay(t *testing.T) {
	w := newWorld(t)
	w.link("eth0", 2, true, "192.0.2.10/24")
	w.kernel["eth0 192.0.2.10/24"] = true
	c := instance("web", 51, 255, "192.0.2.10/24", "192.0.2.11/32")
	w.configure(nil, c)
	i := w.router("web")
	if i.State != "MASTER" || !i.Addresses[0].Own || i.Addresses[1].Own {
		t.Errorf("%s, addresses %+v", i.State, i.Addresses)
	}
	// A reload that adds an address asks for all of them again.
	c = instance("web", 51, 255, "192.0.2.10/24", "192.0.2.11/32", "192.0.2.12/32")
	w.configure(nil, c)
	w.link("eth0", 2, false, "192.0.2.10/24")
	w.link("eth0", 2, true, "192.0.2.10/24")
	w.e.stop(w.now)
	w.settle()
	if !w.gone() || len(w.kernel) != 1 || !w.kernel["eth0 192.0.2.10/24"] {
		t.Errorf("gone %v, the kernel holds %v", w.gone(), w.kernel)
	}
}

// After a respawn the process knows which addresses were its own work.
func TestOwnerKnowsItsAddressesAfterARespawn(t *testing.T) {
	w := newWorld(t)
	w.kernel["eth0 192.0.2.10/32"] = true
	c := instance("web", 51, 255, "192.0.2.10/32", "192.0.2.11/32")
	w.configure(nil, c)
	former := w.e.snapshot()
	again := newWorld(t)
	again.kernel = w.kernel
	again.resume(resumeOf(former), nil, c)
	if i := again.router("web"); i.State != "MASTER" || !i.Addresses[0].Own || i.Addresses[1].Own {
		t.Errorf("%s, addresses %+v", i.State, i.Addresses)
	}
	again.e.stop(again.now)
	again.settle()
	if len(again.kernel) != 1 || !again.kernel["eth0 192.0.2.10/32"] {
		t.Errorf("the kernel holds %v", again.kernel)
	}
}

// A removal that fails is tried again: else a BACKUP keeps the address.
func TestFailedRemovalIsRetried(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 100, "192.0.2.10/32")
	w.configure(nil, c)
	w.pass(4 * time.Second)
	w.hold = true
	w.hear("192.0.2.2", 200, settings(&c))
	w.e.flush(w.now)
	for i := range w.held {
		w.held[i].Err = errors.New("operation not permitted")
	}
	w.kernel["eth0 192.0.2.10/32"] = true
	w.hold = false
	w.settle()
	if f := w.e.snapshot().Failures; len(f) != 1 || !strings.HasPrefix(f[0].What, "remove 192.0.2.10/32") {
		t.Errorf("failures %+v", f)
	}
	w.pass(1100 * time.Millisecond)
	if f := w.e.snapshot().Failures; len(f) != 0 || len(w.kernel) != 0 {
		t.Errorf("failures %+v, the kernel holds %v", f, w.kernel)
	}
	if i := w.router("web"); i.State != "BACKUP" || i.Addresses[0].Installed {
		t.Errorf("%s, addresses %+v", i.State, i.Addresses)
	}
}

// An interface that is renamed takes its addresses along.
func TestRenamedInterfaceKeepsNoAddress(t *testing.T) {
	w := newWorld(t)
	w.configure(nil, instance("web", 51, 255, "192.0.2.10/32"))
	delete(w.kernel, "eth0 192.0.2.10/32")
	w.kernel["lan0 192.0.2.10/32"] = true
	w.take()
	w.link("lan0", 2, true, "192.0.2.1/24", "192.0.2.10/32")
	if len(w.kernel) != 0 {
		t.Errorf("the kernel holds %v", w.kernel)
	}
	if i := w.router("web"); i.State != "FAULT" || i.Code != "interface_absent" {
		t.Errorf("web is %s: %s", i.State, i.Reason)
	}
	if len(w.socks) != 0 {
		t.Error("the socket is still open")
	}
}

// The monitor may have missed that an interface was deleted and made anew: its
// addresses went with it all the same.
func TestInterfaceWithAnotherIndex(t *testing.T) {
	w := newWorld(t)
	w.configure(nil, instance("web", 51, 255, "192.0.2.10/32"))
	w.kernel = make(map[string]bool)
	w.link("eth0", 9, true, "192.0.2.1/24")
	if i := w.router("web"); i.State != "MASTER" || !w.kernel["eth0 192.0.2.10/32"] || !i.Addresses[0].Installed {
		t.Errorf("web is %s: %s; the kernel holds %v", i.State, i.Reason, w.kernel)
	}
	// A late report of the former one concerns nobody.
	w.take()
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkRemoved, Interface: link.Interface{Name: "eth0", Index: 2}})
	w.settle()
	w.want()
}

// A change of the interface's address while MASTER: adverts follow it.
func TestSourceChangesWhileMaster(t *testing.T) {
	w := newWorld(t)
	w.configure(nil, instance("web", 51, 255, "192.0.2.10/32"))
	w.take()
	w.link("eth0", 2, true, "192.0.2.7/24", "192.0.2.10/32")
	w.pass(time.Second)
	w.want("advert 255 from 192.0.2.7")
	w.link("eth0", 2, true, "192.0.2.10/32")
	if i := w.router("web"); i.State != "MASTER" || i.Source != "192.0.2.10" {
		t.Errorf("an owner that has only its own address is %s from %s: %s", i.State, i.Source, i.Reason)
	}
}
