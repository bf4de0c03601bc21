package test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"director/internal/netlab"
)

// BenchmarkTakeover measures what a backup adds to the time that the protocol
// demands: the first advert of the new master less the last one of the old and
// the master-down time. director and keepalived do the same, one after the other.
func BenchmarkTakeover(b *testing.B) {
	for _, interval := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		for _, who := range []string{"director", "keepalived"} {
			b.Run(fmt.Sprintf("%s/%v", who, interval), func(b *testing.B) { benchmarkTakeover(b, who, interval) })
		}
	}
}

func benchmarkTakeover(b *testing.B, who string, interval time.Duration) {
	p := newPair(b)
	start := func(h *netlab.Host, prio int) {
		if who == "director" {
			startDirector(b, h, vrrp("VI", 51, prio, "192.0.2.100/24", fmt.Sprintf("advert_interval = %q", interval)))
			return
		}
		_, err := h.Keepalived(keepalived("VI", 3, 51, prio, fmt.Sprint(interval.Seconds()), "192.0.2.100/24"))
		p.Must(err)
	}
	start(p.a, 200)
	p.Within(10*time.Second, "A is master", func() bool { return p.a.HasAddr(vip) })
	start(p.b, 100)
	time.Sleep(4 * interval) // B hears A
	src := netip.MustParseAddr("192.0.2.2")
	masterDown := 3*interval + 156*interval/256
	var over []time.Duration
	for b.Loop() {
		p.cap.Reset()
		_, err := p.cap.WaitAdvert(10*time.Second, func(a netlab.Advert) bool { return a.Source != src })
		p.Must(err)
		p.Must(p.portA.Cut())
		adv, err := p.cap.WaitAdvert(10*time.Second, func(a netlab.Advert) bool { return a.Source == src && a.Priority == 100 })
		p.Must(err)
		var last time.Time
		for _, a := range p.cap.Adverts() {
			if a.Source != src && a.Time.Before(adv.Time) {
				last = a.Time
			}
		}
		p.Must(p.portA.Heal())
		p.Within(10*time.Second, "A is master again", func() bool { return !p.b.HasAddr(vip) })
		time.Sleep(4 * interval)
		if !last.IsZero() {
			over = append(over, adv.Time.Sub(last)-masterDown)
		}
	}
	report(b, over)
}

// report gives the distribution of what was measured in the place of ns/op.
func report(b *testing.B, d []time.Duration) {
	if len(d) == 0 {
		b.Fatal("nothing was measured")
	}
	slices.Sort(d)
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	b.ReportMetric(us(d[len(d)/2]), "µs-median")
	b.ReportMetric(us(d[len(d)*9/10]), "µs-p90")
	b.ReportMetric(us(d[len(d)-1]), "µs-max")
	b.ReportMetric(0, "ns/op")
}
