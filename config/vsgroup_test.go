package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestRangeAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:80":                      "[192.0.2.1:80]",
		"192.0.2.1":                         "[192.0.2.1:0]",
		"192.0.2.254-192.0.3.1:80":          "[192.0.2.254:80 192.0.2.255:80 192.0.3.0:80 192.0.3.1:80]",
		"192.0.2.8-10:80":                   "[192.0.2.8:80 192.0.2.9:80 192.0.2.10:80]",
		"192.0.2.4/30":                      "[192.0.2.4:0 192.0.2.5:0 192.0.2.6:0 192.0.2.7:0]",
		"2001:db8::1":                       "[[2001:db8::1]:0]",
		"[2001:db8::1]:80":                  "[[2001:db8::1]:80]",
		"[2001:db8::f-11]:80":               "[[2001:db8::f]:80 [2001:db8::10]:80 [2001:db8::11]:80]",
		"[2001:db8::ffff-2001:db8::1:0]:80": "[[2001:db8::ffff]:80 [2001:db8::1:0]:80]",
		"2001:db8::2/127":                   "[[2001:db8::2]:0 [2001:db8::3]:0]",
		"255.255.255.255":                   "[255.255.255.255:0]",
	} {
		r, err := ParseRange(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := fmt.Sprint(r.Addresses()); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestRangeSize(t *testing.T) {
	for text, ok := range map[string]bool{
		"10.0.0.0/18": true, "10.0.0.0/17": false, "0.0.0.0-255.255.255.255": false, "[::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1": false,
		"10.0.0.1-10.0.64.0:1": true, "10.0.0.1-10.0.64.1:1": false, "[2001:db8::-3fff]:1": true, "[2001:db8::-4000]:1": false,
	} {
		if r, err := ParseRange(text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		} else if ok && len(r.Addresses()) > MaxGroup {
			t.Errorf("%s: %d addresses", text, len(r.Addresses()))
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"192.0.2.1-9:80", "[2001:db8::1-f]:80", "192.0.2.0/24", "[", "-", "/", "[]:1", "1.2.3.4-:80", "::-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			return
		}
		list := r.Addresses()
		if len(list) == 0 || len(list) > MaxGroup || list[0].Addr() != r.First || list[len(list)-1].Addr() != r.Last {
			t.Errorf("%q: %d addresses from %v to %v", s, len(list), r.First, r.Last)
		}
		if strings.ContainsRune(s, '%') {
			t.Errorf("%q has a zone", s)
		}
	})
}

func TestGranularity(t *testing.T) {
	for text, want := range map[string]string{
		"24": "255.255.255.0 ffff:ff00::", "255.255.240.0": "255.255.240.0 no", "64": "no ffff:ffff:ffff:ffff::", "128": "no ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"0": "no no", "129": "no no", "255.0.255.0": "no no", "0.0.0.0": "no no", "024": "no no", "ffff::": "no no", "": "no no", "+5": "no no",
	} {
		show := func(ipv6 bool) string {
			if m, ok := Granularity(text, ipv6); ok {
				return m.String()
			}
			return "no"
		}
		if got := show(false) + " " + show(true); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
