package test

import (
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/netlab"
)

// An address is added on the master alone and put in force by a reload. Debian's keepalived on the other router drops the adverts from then on,
// because they announce another number of addresses, and becomes a second master; director stays backup.
func TestAddedAddressMakesNoSecondMaster(t *testing.T) {
	t.Parallel()
	second := netip.MustParseAddr("192.0.2.101")
	fromB := func(adv netlab.Advert) bool {
		return adv.Source == netip.MustParseAddr("192.0.2.2") && adv.Priority > 0
	}
	const down = 3 * fastInterval // and the skew time: when a backup that hears nothing takes over
	t.Run("keepalived", func(t *testing.T) {
		t.Parallel()
		p := keepalivedPair(t)
		conf := keepalived("VI_1", 3, 51, 150, keepalivedFast, "192.0.2.100/24\n192.0.2.101/24")
		_, err := p.a.WriteFile(netlab.KeepalivedConf, conf)
		p.Must(err)
		began := time.Now()
		p.cap.Reset()
		p.Must(p.a.Started()[0].Signal(syscall.SIGHUP))
		if _, err := p.cap.WaitAdvert(patience, fromB); err != nil {
			t.Fatalf("keepalived made no second master: %v", err)
		}
		t.Logf("a second master %v after the reload", time.Since(began).Round(time.Millisecond))
		p.Within(patience, "both have the first address", func() bool { return p.a.HasAddr(vip) && p.b.HasAddr(vip) })
	})
	t.Run("director", func(t *testing.T) {
		t.Parallel()
		p := newPair(t)
		a := startDirector(t, p.a, vrrp("VI", 51, 150, "192.0.2.100/24", fast))
		a.WaitInstance("VI", "MASTER", patience)
		b := startDirector(t, p.b, vrrp("VI", 51, 100, "192.0.2.100/24", fast))
		before := b.WaitInstance("VI", "BACKUP", patience)
		p.cap.Reset()
		p.Must(a.Reload(strings.Replace(vrrp("VI", 51, 150, "192.0.2.100/24", fast), `"192.0.2.100/24"`, `"192.0.2.100/24", "192.0.2.101/24"`, 1)))
		p.Within(patience, "the second address is on A", func() bool { return p.a.HasAddr(second) })
		two := func(adv netlab.Advert) bool { return adv.Count == 2 }
		if _, err := p.cap.WaitAdvert(patience, two); err != nil {
			t.Fatal(err)
		}
		p.Holds(4*down, "A is the only master", func() bool { return !slices.ContainsFunc(p.cap.Adverts(), fromB) })
		if i := b.Instance("VI"); i.State != "BACKUP" || i.Transitions != before.Transitions {
			t.Errorf("B is %s (%s) after %d transitions, was BACKUP after %d", i.State, i.Reason, i.Transitions, before.Transitions)
		}
	})
}
