package netlab

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func frame(t *testing.T, text string) Frame {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return Frame{Data: b}
}

// Adverts put together by hand from RFC 3768 section 5.1 and RFC 5798 section 5.1.
const (
	advertV2 = "01005e000012 000000000001 0800" + "45c0 0028 0001 0000 ff70 0000 0a000001 e0000012" + "2133ff01 01010000 0a000064 3131313100000000"
	advertV3 = "01005e000012 00005e000133 0800" + "45c0 0024 0001 0000 ff70 0000 0a000001 e0000012" + "31336402 00030000 0a000064 0a000065"
	advertV6 = "333300000012 00005e000233 86dd" + "60000000 0018 70ff fe800000000000000000000000000001 ff020000000000000000000000000012" +
		"31336401 03e80000 20010db8000000000000000000000064"
	garp = "ffffffffffff 020000000101 0806" + "0001 0800 06 04 0001 020000000101 0a000064 000000000000 0a000064"
)

func TestAdvert(t *testing.T) {
	vip, vip2, vip6 := netip.MustParseAddr("10.0.0.100"), netip.MustParseAddr("10.0.0.101"), netip.MustParseAddr("2001:db8::64")
	for _, c := range []struct {
		in   string
		want Advert
	}{
		{advertV2, Advert{SourceMAC: "00:00:00:00:00:01", DestMAC: "01:00:5e:00:00:12", Source: netip.MustParseAddr("10.0.0.1"), Dest: netip.MustParseAddr("224.0.0.18"),
			TTL: 255, Version: 2, Type: 1, VRID: 51, Priority: 255, Count: 1, Interval: time.Second, AuthType: 1, Auth: "1111", Addresses: []netip.Addr{vip}}},
		{advertV3, Advert{SourceMAC: "00:00:5e:00:01:33", DestMAC: "01:00:5e:00:00:12", Source: netip.MustParseAddr("10.0.0.1"), Dest: netip.MustParseAddr("224.0.0.18"),
			TTL: 255, Version: 3, Type: 1, VRID: 51, Priority: 100, Count: 2, Interval: 30 * time.Millisecond, Addresses: []netip.Addr{vip, vip2}}},
		{advertV6, Advert{SourceMAC: "00:00:5e:00:02:33", DestMAC: "33:33:00:00:00:12", Source: netip.MustParseAddr("fe80::1"), Dest: netip.MustParseAddr("ff02::12"),
			TTL: 255, Version: 3, Type: 1, VRID: 51, Priority: 100, Count: 1, Interval: 10 * time.Second, Addresses: []netip.Addr{vip6}}},
	} {
		got, ok := frame(t, c.in).Advert()
		got.Payload = nil
		if !ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v\n got %#v\nwant %#v", ok, got, c.want)
		}
		if _, ok := frame(t, c.in).ARP(); ok {
			t.Error("an advert is an ARP packet")
		}
	}
	got, ok := frame(t, garp).ARP()
	if !ok || !got.Gratuitous() || got.Op != 1 || got.Sender != vip || got.SenderMAC != "02:00:00:00:01:01" || got.TargetMAC != "00:00:00:00:00:00" || got.DestMAC != "ff:ff:ff:ff:ff:ff" {
		t.Errorf("%v %#v", ok, got)
	}
	if _, ok := frame(t, garp).Advert(); ok {
		t.Error("an ARP packet is an advert")
	}
}

func FuzzFrame(f *testing.F) {
	for _, s := range []string{advertV2, advertV3, advertV6, garp, ""} {
		b, _ := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		for n := range len(b) + 1 {
			f.Add(b[:n])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr := Frame{Data: b}
		if a, ok := fr.Advert(); ok && (len(a.Addresses) > a.Count || len(a.Payload) < 8) {
			t.Errorf("%#v", a)
		}
		if _, ok := fr.ARP(); ok && fr.EtherType() != 0x0806 {
			t.Error("ARP of another type")
		}
	})
}

func TestSummarize(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(ms, latency int, body string, err error) Result {
		return Result{Start: start.Add(time.Duration(ms) * time.Millisecond), Latency: time.Duration(latency) * time.Millisecond, Body: body, Err: err}
	}
	lost := errors.New("lost")
	for _, c := range []struct {
		name string
		in   []Result
		want Stats
	}{
		{"nothing", nil, Stats{ByBody: map[string]int{}}},
		{"one", []Result{at(0, 3, "a", nil)}, Stats{OK: 1, ByBody: map[string]int{"a": 1}, Median: 3e6, Max: 3e6}},
		{"only failures", []Result{at(0, 3, "", lost)}, Stats{Failed: 1, ByBody: map[string]int{}, FirstErr: lost}},
		{"an outage", []Result{at(0, 1, "a", nil), at(10, 2, "a", nil), at(20, 100, "", lost), at(30, 100, "", lost), at(40, 5, "b", nil)},
			Stats{OK: 3, Failed: 2, ByBody: map[string]int{"a": 2, "b": 1}, Gap: 33e6, GapStart: start.Add(12e6), Median: 2e6, Max: 5e6, FirstErr: lost}},
		{"answers out of order", []Result{at(0, 50, "a", nil), at(10, 1, "a", nil)},
			Stats{OK: 2, ByBody: map[string]int{"a": 2}, Gap: 39e6, GapStart: start.Add(11e6), Median: 50e6, Max: 50e6}},
	} {
		if got := summarize(c.in); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestEventually(t *testing.T) {
	n := 0
	if err := EventuallyWithin(time.Minute, func() error {
		if n++; n < 3 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil || n != 3 {
		t.Errorf("%v after %d calls", err, n)
	}
	never := errors.New("it is cold")
	err := EventuallyWithin(20*time.Millisecond, func() error { return never })
	if !errors.Is(err, never) || !strings.HasPrefix(err.Error(), "not within ") {
		t.Errorf("%v", err)
	}
	if err := EventuallyWithin(0, func() error { return nil }); err != nil {
		t.Errorf("without time: %v", err)
	}
}
