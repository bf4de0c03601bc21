package link

import (
	"encoding/hex"
	"testing"
	"time"

	"director/vrrp"
)

// Adverts from a virtual MAC address, over both families: the frame is right and the
// other router hears it, with a VMAC that is up or down on its side.
func TestAdvertsFromVirtualMAC(t *testing.T) {
	for _, tc := range []struct {
		p        *pair
		src      string
		group    string
		dstMAC   string
		macLast2 byte
	}{
		{newPair(t, 51), "10.1.0.1", "224.0.0.18", "01:00:5e:00:00:12", 1},
		{newPair6(t, 51), "fe80::a", "ff02::12", "33:33:00:00:00:12", 2},
	} {
		mac := MAC{0, 0, 0x5e, 0, tc.macLast2, 51}
		k := tc.p.b.kernel()
		capture := tc.p.b.capture("eth0")
		tc.p.a.inside(func() { // where the socket for frames is opened
			if err := tc.p.sa.QueueFrom(mac, ip(tc.src), ip(tc.group), 255, advert(50)); err != nil {
				t.Error(err)
			}
		})
		for _, vmac := range []string{"none", "down", "up"} {
			switch v := (VMAC{Device: "vrrp.51", Parent: "eth0", MAC: mac}); vmac {
			case "down":
				if _, err := v.add(k); err != nil {
					t.Fatal(err)
				}
			case "up":
				if _, err := (Up{"vrrp.51"}).add(k); err != nil {
					t.Fatal(err)
				}
			}
			if err := tc.p.sa.QueueFrom(mac, ip(tc.src), ip(tc.group), 255, advert(51)); err != nil {
				t.Fatal(err)
			}
			if err := tc.p.sa.Flush(); err != nil {
				t.Fatal(err)
			}
			got := listen(t, tc.p.pb, 1)[tc.p.sb]
			got[0].arrival = time.Time{}
			if want := (heard{src: tc.src, dst: tc.group, ttl: 255, vrid: 51, length: 12}); len(got) != 1 || got[0] != want {
				t.Errorf("VMAC %s: heard %v, want %v", vmac, got, want)
			}
			frame := capture(func(f []byte) bool { return f[0]&1 == 1 && MAC(f[6:12]) == mac })
			if MAC(frame[:6]).String() != tc.dstMAC {
				t.Errorf("a frame to %s", MAC(frame[:6]))
			}
			silence(t, tc.p.pa) // its own
		}
		// Bursts go in one call, allocate nothing, and errors name the advert.
		pdu := advert(51)
		src, dst := ip(tc.src), ip(tc.group)
		before := tc.p.sa.Stats().Sent
		if n := testing.AllocsPerRun(50, func() {
			for range 20 {
				_ = tc.p.sa.QueueFrom(mac, src, dst, 255, pdu)
			}
			if err := tc.p.sa.Flush(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 && !raceEnabled {
			t.Errorf("20 adverts cost %v allocations", n)
		}
		if sent := tc.p.sa.Stats().Sent - before; sent != 51*20 {
			t.Errorf("sent %d", sent)
		}
		tc.p.a.down("eth0")
		_ = tc.p.sa.QueueFrom(mac, src, dst, 255, pdu)
		if err := tc.p.sa.Flush(); err == nil {
			t.Error("no error on an interface that is down")
		} else {
			t.Log(err)
		}
	}
}

// The whole header of a frame, byte by byte.
func TestFrameBytes(t *testing.T) {
	p := newPair(t, 51)
	mac := MAC{0, 0, 0x5e, 0, 1, 51}
	p.a.inside(func() { // where the socket for frames is opened
		if err := p.sa.QueueFrom(mac, ip("10.1.0.1"), vrrp.IPv4.Group(), 255, []byte{0x31, 51, 100, 1}); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	want := "01005e000012" + "00005e000133" + "0800" +
		"45c0001800010000ff70" + "d0a0" + "0a010001" + "e0000012" + "31336401"
	if got := hex.EncodeToString(p.sa.frames.bufs[0]); got != want {
		t.Errorf("frame\n%s, want\n%s", got, want)
	}
}
