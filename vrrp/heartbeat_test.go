package vrrp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSenderOfAHeartbeat(t *testing.T) {
	for _, tc := range []struct {
		name             string
		family           Family
		version          uint8
		virtual          []netip.Addr
		sender, src, dst string
	}{
		{"IPv4", IPv4, 3, addresses, "192.0.2.1", "198.51.100.1", "198.51.100.2"},
		{"version 2", IPv4, 2, addresses, "192.0.2.1", "198.51.100.1", "224.0.0.18"},
		{"IPv6", IPv6, 3, []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("2001:db8::100")}, "fe80::1", "2001:db8:1::1", "2001:db8:1::2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sender, src, dst := netip.MustParseAddr(tc.sender), netip.MustParseAddr(tc.src), netip.MustParseAddr(tc.dst)
			s := Settings{VRID: 51, Family: tc.family, Version: tc.version, AdvertInterval: time.Second}
			s.Addresses = HeartbeatAddresses(tc.virtual, sender)
			pdu, err := AppendAdvert(nil, &s, 100, src, dst)
			if err != nil {
				t.Fatal(err)
			}
			adv, why := Parse(pdu, src, dst)
			if why != DiscardNone {
				t.Fatal(why)
			}
			if adv.SameAddresses(tc.virtual) {
				t.Error("the mark is not part of the list")
			}
			if got, ok := adv.TakeSender(); !ok || got != sender {
				t.Errorf("sender %v, %v", got, ok)
			}
			if !adv.SameAddresses(tc.virtual) {
				t.Error("the list without the mark is another one")
			}
			if got, ok := adv.TakeSender(); ok {
				t.Errorf("a second sender %v", got)
			}
		})
	}
}

func TestAdvertWithoutSender(t *testing.T) {
	zero, virtual := netip.IPv4Unspecified(), addresses[0]
	for _, list := range [][]netip.Addr{
		{virtual}, {virtual, virtual, virtual}, {zero, virtual}, {virtual, zero, zero},
		{virtual, zero, Group4()}, {virtual, zero, virtual, virtual},
	} {
		s := Settings{VRID: 51, Family: IPv4, Version: 3, AdvertInterval: time.Second, Addresses: list}
		pdu, err := AppendAdvert(nil, &s, 100, virtual, Group4())
		if err != nil {
			t.Fatal(err)
		}
		adv, _ := Parse(pdu, virtual, Group4())
		if got, ok := adv.TakeSender(); ok || adv.Addresses() != len(list) {
			t.Errorf("%v: sender %v, %d addresses left", list, got, adv.Addresses())
		}
	}
}

func TestPathWatch(t *testing.T) {
	const limit = 4 * time.Second
	var w PathWatch
	var got []string
	now := epoch
	w.Begin(now, 2)
	// One letter a second: the path that brings an advert.
	second := func(which string) {
		now = now.Add(time.Second)
		for _, c := range which {
			w.Heard(now, int(c-'a'), limit)
		}
		if w.Judge(limit) {
			for i := range 2 {
				if _, silent := w.Silent(i); silent {
					got = append(got, now.Sub(epoch).String()+" silent "+string(rune('a'+i)))
					return
				}
			}
			got = append(got, now.Sub(epoch).String()+" whole")
		}
	}
	for _, which := range []string{
		"ab", "a", "a", "a", "a", "a", "ab", "a", "a", "a", "a", "a", "ab", "ab", "ab", "a", "", "", "", "", "", "", "b", "a",
	} {
		second(which)
	}
	// The silence of both, seconds 17 to 22, is the master's, but who is late by more
	// than the limit when one comes back is silent.
	want := []string{"6s silent b", "15s whole", "23s silent a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if since, _ := w.Silent(0); since != epoch.Add(24*time.Second) {
		t.Errorf("newest %v", since)
	}
}

// After a stall the paths are read one after the other; the verdict comes after the
// last, and is that of a process that was always awake.
func TestPathWatchAfterAStall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 40
		var awake, stalled PathWatch
		awake.Begin(epoch, 3)
		stalled.Begin(epoch, 3)
		var queues [3][]time.Time
		now := epoch
		for range rapid.IntRange(1, 50).Draw(t, "adverts") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "pause")))
			path := rapid.IntRange(0, 2).Draw(t, "path")
			queues[path] = append(queues[path], now)
			awake.Heard(now, path, limit)
		}
		awake.Judge(limit)
		for _, path := range rapid.Permutation([]int{0, 1, 2}).Draw(t, "order") {
			for _, at := range queues[path] {
				stalled.Heard(at, path, limit)
			}
		}
		stalled.Judge(limit)
		for i := range 3 {
			since, silent := awake.Silent(i)
			if s, sil := stalled.Silent(i); s != since || sil != silent {
				t.Fatalf("path %d: %v %v, after a stall %v %v", i, since, silent, s, sil)
			}
		}
	})
}
