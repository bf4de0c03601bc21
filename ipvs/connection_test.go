package ipvs_test

import (
	"testing"
	"time"

	"director/ipvs"
)

// The lines are what Linux 6.1 wrote.
func TestParseConnection(t *testing.T) {
	for line, want := range map[string]ipvs.Connection{
		"TCP C0000201 800C C0000202 0050 0A000003 1F90 ESTABLISHED     899": {
			Protocol: "TCP", State: "ESTABLISHED", Client: ap("192.0.2.1:32780"), Virtual: ap("192.0.2.2:80"), Server: ap("10.0.0.3:8080"), Expires: 899 * time.Second,
		},
		"UDP 2001:0db8:0000:0000:0000:0000:0000:0001 0000 2001:0db8:0000:0000:0000:0000:0000:0001 0035 C0000202 1388 NONE             99": {
			Protocol: "UDP", State: "NONE", Client: ap("[2001:db8::1]:0"), Virtual: ap("[2001:db8::1]:53"), Server: ap("192.0.2.2:5000"), Expires: 99 * time.Second,
		},
		"UDP C0000201 0000 C0000201 13C4 C0000202 13C4 UDP              59 sip abc123@example.com": {
			Protocol: "UDP", State: "UDP", Client: ap("192.0.2.1:0"), Virtual: ap("192.0.2.1:5060"), Server: ap("192.0.2.2:5060"), Expires: 59 * time.Second,
			Engine: "sip", EngineData: "abc123@example.com",
		},
	} {
		if got, ok, err := ipvs.ParseConnection(line); err != nil || !ok || got != want {
			t.Errorf("%s\ngot  %+v, %v, %v\nwant %+v", line, got, ok, err, want)
		}
	}
	if _, ok, err := ipvs.ParseConnection("Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData"); ok || err != nil {
		t.Errorf("the heading is a connection: %v", err)
	}
	for _, line := range []string{
		"", "TCP C0000201 800C", "TCP C00002 800C C0000202 0050 0A000003 1F90 ESTABLISHED 899",
		"TCP C0000201 800CF C0000202 0050 0A000003 1F90 ESTABLISHED 899", "TCP C0000201 800C C0000202 0050 0A000003 1F90 ESTABLISHED -1",
	} {
		if c, ok, err := ipvs.ParseConnection(line); err == nil || ok {
			t.Errorf("%q is understood as %+v", line, c)
		}
	}
}

func FuzzParseConnection(f *testing.F) {
	f.Add("TCP C0000201 800C C0000202 0050 0A000003 1F90 ESTABLISHED     899")
	f.Add("UDP 2001:0db8:0000:0000:0000:0000:0000:0001 0000 2001:0db8:0000:0000:0000:0000:0000:0001 0035 C0000202 1388 NONE             99 sip x y")
	f.Fuzz(func(t *testing.T, line string) {
		if c, ok, err := ipvs.ParseConnection(line); ok && (err != nil || !c.Client.IsValid() || !c.Virtual.IsValid() || !c.Server.IsValid()) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
