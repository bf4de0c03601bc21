package link

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/vrrp"
)

func TestForeignPacketsAreCounted(t *testing.T) {
	p := newPair(t, 51)
	send := func(vrid uint8, n int) {
		t.Helper()
		for range n {
			p.sa.Queue(ip("10.1.0.1"), vrrp.Group4(), 255, advert(vrid))
		}
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	look := func() (total uint64, sample []uint8) {
		t.Helper()
		total, err := p.sb.Foreign(func(d Datagram) {
			if d.Src != ip("10.1.0.1") || d.TTL != 255 {
				t.Errorf("%+v", d)
			}
			sample = append(sample, d.Payload[1])
		})
		if err != nil {
			t.Fatal(err)
		}
		return total, sample
	}
	if total, sample := look(); total != 0 || sample != nil {
		t.Errorf("before anything was sent: %d, %v", total, sample)
	}
	send(51, 10) // ours
	send(99, 1)
	if total, sample := look(); total != 1 || len(sample) != 1 || sample[0] != 99 {
		t.Errorf("one packet: %d, %v", total, sample)
	}
	send(98, 1000)
	if total, sample := look(); total < 2 || len(sample) == 0 || len(sample) > 20 || sample[0] != 98 {
		t.Errorf("a flood: %d, %v", total, sample)
	}
	send(97, 1) // carries the count of what was lost before it
	if total, _ := look(); total != 1002 {
		t.Errorf("total %d, want 1002", total)
	}
	silence99 := 0
	p.sb.handle = func(d Datagram) {
		if d.Payload[1] != 51 {
			silence99++
		}
	}
	if err := p.pb.Wait(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if silence99 > 0 {
		t.Errorf("%d foreign packets on the socket itself", silence99)
	}
	if err := p.sb.SetVRIDs([]uint8{97}); err != nil {
		t.Fatal(err)
	}
	send(97, 1)
	send(51, 1)
	if total, sample := look(); total != 1003 || len(sample) != 1 || sample[0] != 51 {
		t.Errorf("after a change of the VRIDs: %d, %v", total, sample)
	}
}

// What does not fit into the receive buffer is counted.
func TestLostPacketsAreCounted(t *testing.T) {
	p := newPair(t, 51)
	if err := unix.SetsockoptInt(p.sb.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	send := func(n int) {
		for range n {
			p.sa.Queue(ip("10.1.0.1"), vrrp.Group4(), 255, advert(51))
		}
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	send(100)
	n, err := p.sb.receive(func(Datagram) {})
	if err != nil || n >= 100 {
		t.Fatalf("received %d, error %v", n, err)
	}
	send(1)
	if _, err := p.sb.receive(func(Datagram) {}); err != nil {
		t.Fatal(err)
	}
	if got := p.sb.Stats(); got.Lost != uint32(100-n) || got.Received != uint64(n)+1 {
		t.Errorf("stats %+v after %d of 100 were received", got, n)
	}
}
