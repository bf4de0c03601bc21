package link

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// captured returns the packets and messages of a kind in testdata/captured.txt.
func captured(t testing.TB, kind string) (all [][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/captured.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		k, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if k != kind {
			continue
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		t.Fatalf("nothing was captured of %s", kind)
	}
	return all
}

// What others really send is understood: seeds that every decoder refuses at its
// first look would lead nowhere.
func TestCapturedIsUnderstood(t *testing.T) {
	for kind, understood := range map[string]func([]byte) bool{
		"ipv4": func(b []byte) bool { _, ok := parseIPv4(b); return ok },
		"arp":  func(b []byte) bool { _, ok := parseARP(b); return ok },
		"nd": func(b []byte) bool {
			_, ok := parseAdvertisement(b[54:])
			return ok == (b[54] == neighborAdvertisement)
		},
		"route":   func(b []byte) bool { _, _, ok := parseRoute(b); return ok },
		"rule":    func(b []byte) bool { _, ok := parseRule(b); return ok || b[0] >= 128 },
		"addr":    func(b []byte) bool { return (addressProtocol(b) > 0) == bytes.Contains(b, []byte{5, 0, ifaProto, 0}) },
		"link":    func(b []byte) bool { _, ok := inetConf([][]byte{b}, 20); return ok },
		"control": func(b []byte) bool { c := parseControl(b); return c.stamped && (c.hops == 255) == c.dst.Is6() },
	} {
		for _, b := range captured(t, kind) {
			if !understood(b) {
				t.Errorf("%s: %x", kind, b)
			}
		}
	}
}
