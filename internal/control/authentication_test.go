package control

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestAuthenticationLines(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	sender := AuthSender{Address: netip.MustParseAddr("192.0.2.2"), Key: 1, At: now.Add(-2 * time.Second)}
	for _, tc := range []struct {
		auth *Authentication
		want []string
	}{
		{nil, nil},
		{&Authentication{Type: "PASS"}, []string{"auth PASS"}},
		{&Authentication{Type: "HMAC", Mode: "enforce", ActiveKey: 2, Keys: []int{2}}, []string{"auth HMAC, signs with key 2"}},
		{&Authentication{Type: "HMAC", Mode: "permissive", ActiveKey: 2, Keys: []int{1, 2}, Unsigned: 1, Senders: []AuthSender{sender}},
			[]string{"auth HMAC, signs with key 2, knows 1, 2, took 1 unsigned advert", "signed by 192.0.2.2 with key 1, 2s ago"}},
		{&Authentication{Type: "HMAC", Mode: "receive-only", ActiveKey: 1, Keys: []int{1}},
			[]string{"auth HMAC, signs nothing (receive-only), took 0 unsigned adverts"}},
	} {
		i := Instance{Name: "web", State: "MASTER", Since: now, Authentication: tc.auth, Discards: map[string]uint64{"unknown_key": 3, "bad_icv": 4}}
		var out strings.Builder
		if err := Render(&out, &Status{VRRP: &VRRP{Instances: []Instance{i}}}, View{Now: now, All: true}); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(out.String()), " ")
		for _, want := range append(tc.want, "dropped adverts: 4 with a wrong signature", "3 signed with a key that this host does not have") {
			if !strings.Contains(text, want) {
				t.Errorf("%+v gives %q, want %q", tc.auth, text, want)
			}
		}
		if tc.auth == nil && strings.Contains(text, "auth") {
			t.Errorf("%q", text)
		}
	}
}
