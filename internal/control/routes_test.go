package control

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Routes, rules and static items stand in the text as they are in the kernel.
func TestRenderRoutes(t *testing.T) {
	s := &Status{VRRP: &VRRP{
		Instances: []Instance{
			{Name: "gw", State: "MASTER", Routes: []KernelItem{
				{What: "route default via 192.0.2.1 table 100", Installed: true},
				{What: "route 10.0.0.0/8 via 192.0.2.9", Error: "network is unreachable"},
				{What: "route 10.1.0.0/16 dev eth1"},
			}, Rules: []KernelItem{{What: "rule 100: from all lookup 100", Installed: true}}},
			{Name: "other", State: "BACKUP", Routes: []KernelItem{{What: "route 10.2.0.0/16 dev eth1"}},
				Rules: []KernelItem{{What: "rule 101: from all lookup 100", Installed: true}}},
		},
		Static: []KernelItem{
			{What: "198.51.100.1/24 on eth2", Installed: true, Own: true},
			{What: "route 10.3.0.0/16 dev eth3", Error: "link: add route 10.3.0.0/16 dev eth3: no such device"},
			{What: "setting promote_secondaries of eth0", Installed: true},
			{What: "setting promote_secondaries of eth7", Error: "no such device"},
		},
		Failures: []Failure{{What: "add setting promote_secondaries of eth7", Count: 2, Error: "link: add setting promote_secondaries of eth7: no such device"}},
	}}
	var b bytes.Buffer
	if err := Render(&b, s, View{Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"route default via 192.0.2.1 table 100 here",
		"route 10.0.0.0/8 via 192.0.2.9: network is unreachable",
		"route 10.1.0.0/16 dev eth1 missing",
		"rule 100: from all lookup 100 here",
		"route 10.2.0.0/16 dev eth1 not here",
		"rule 101: from all lookup 100 here although not MASTER",
		"198.51.100.1/24 on eth2 here, it was there before and will stay",
		"route 10.3.0.0/16 dev eth3 no such device",
		"add setting promote_secondaries of eth7 - 2 no such device",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not said: %s", want)
		}
	}
	if strings.Contains(text, "promote_secondaries of eth0") {
		t.Error("a setting that is as it should be is told")
	}
	if t.Failed() {
		t.Log(b.String())
	}
}
