package link

import (
	"fmt"
	"testing"
	"time"

	"director/vrrp"
)

// The path of an advert allocates nothing, neither out nor in.
func TestAdvertsAllocateNothing(t *testing.T) {
	p := newPair(t, 51)
	const burst = 20
	pdu, src, dst := advert(51), ip("10.1.0.1"), vrrp.Group4()
	send := func() {
		for range burst {
			p.sa.Queue(src, dst, 255, pdu)
		}
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	p.sb.handle = func(Datagram) { count++ }
	receive := func() {
		p.receive(t, &count, count+burst)
	}
	send()
	receive()
	if n := testing.AllocsPerRun(500, func() { send(); receive() }); n != 0 && !raceEnabled {
		t.Errorf("%d adverts sent and received cost %v allocations", burst, n)
	}
	if count == 0 {
		t.Error("nothing was received")
	}
	if n := testing.AllocsPerRun(100, func() {
		p.pa.Wake()
		_ = p.pa.Wait(time.Now().Add(time.Second))
	}); n != 0 && !raceEnabled {
		t.Errorf("a wake-up costs %v allocations", n)
	}
}

// receive has b's poller read until count has come to want. A busy kernel may deliver a burst in parts.
func (p *pair) receive(t *testing.T, count *int, want int) {
	limit := time.Now().Add(30 * time.Second)
	for *count < want && time.Now().Before(limit) {
		if err := p.pb.Wait(limit); err != nil {
			t.Fatal(err)
		}
	}
	if *count != want {
		t.Fatalf("received %d, want %d", *count, want)
	}
}

// One operation is one advert.
func BenchmarkSend(b *testing.B) {
	for _, batch := range []int{1, 20, 255} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			p := newPair(b) // the other end drops all
			pdu, src, dst := advert(51), ip("10.1.0.1"), vrrp.Group4()
			b.ReportAllocs()
			for sent := 0; b.Loop(); {
				p.sa.Queue(src, dst, 255, pdu)
				if sent++; sent%batch == 0 {
					if err := p.sa.Flush(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// One operation is one advert, received by Wait in bursts; the
// sending is not counted.
func BenchmarkReceive(b *testing.B) {
	for _, burst := range []int{1, 20, 255} {
		b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) {
			p := newPair(b, 51)
			pdu, src, dst := advert(51), ip("10.1.0.1"), vrrp.Group4()
			n := 0
			p.sb.handle = func(Datagram) { n++ }
			b.ReportAllocs()
			b.ResetTimer()
			for n < b.N {
				b.StopTimer()
				for range burst {
					p.sa.Queue(src, dst, 255, pdu)
				}
				if err := p.sa.Flush(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := p.pb.Wait(time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
