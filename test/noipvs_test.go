package test

import (
	"strings"
	"testing"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// TestWithoutIPVS starts director with a virtual server on a kernel that has no IPVS: it gives up at once, says why and what
// to do, and has not touched anything. Where the kernel has IPVS there is nothing to see.
func TestWithoutIPVS(t *testing.T) {
	t.Parallel()
	if netlab.HasIPVS() {
		t.Log("this kernel has IPVS")
		return
	}
	l := labtest.New(t, "noipvs")
	h := l.Host("a")
	l.Connect(h, "eth0", l.Switch("front"), "192.0.2.1/24")
	addresses := watchAddresses(t, h, outsideVIP)
	d := launchDirector(t, h, outsideConfig+`
[virtual_server.web]
address = "192.0.2.80:80"
check = { type = "tcp" }
real_server = ["10.0.0.11:80"]
`)
	code, err := d.Wait(patience)
	l.Must(err)
	if code != 3 {
		t.Errorf("exit status %d, want 3: starting again does not help", code)
	}
	lines := strings.Split(strings.TrimSpace(d.Log()), "\n")
	last := lines[len(lines)-1]
	for _, want := range []string{"director: ", "the kernel has no IPVS", "modprobe ip_vs"} {
		if !strings.Contains(last, want) {
			t.Errorf("the last line does not say %q: %s", want, last)
		}
	}
	if n := strings.Count(d.Log(), `msg="child started"`); n != 1 {
		t.Errorf("%d children were started, want the checkers once and VRRP never:\n%s", n, d.Log())
	}
	if got := addresses.Events(); len(got) != 0 {
		t.Errorf("virtual addresses moved: %v", got)
	}
	if left := h.Processes(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}

	// Without a virtual server there is no need for IPVS.
	d = startDirector(t, h, outsideConfig)
	d.WaitInstance("outside", "MASTER", patience)
	if p := d.Role("checkers"); p.PID != 0 {
		t.Errorf("checkers run for nothing: %+v", p)
	}
	d.Stop()
}
