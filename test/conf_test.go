package test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"director/internal/netlab"
)

// The daemon runs from a keepalived.conf that includes another file: the address moves with a track script, notify scripts get keepalived's
// arguments, a reload reads both files anew, and a mistake in the included one changes nothing.
func TestRunFromKeepalivedConf(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	script, broken := exampleScript(p)
	record := p.a.Path("record")
	notify, err := p.a.WriteFile("notify", fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s\n", record))
	p.Must(err)
	conf := func(h *netlab.Host, prio int, check string, more ...string) string {
		return fmt.Sprintf(`! one file for both hosts
$PRIORITY=%d
include %s
global_defs {
    router_id lab
    script_user root
    enable_script_security
    vrrp_version 3
}
vrrp_script alive {
    script "%s"
    interval 0.2
    timeout 3
    weight -60
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority $PRIORITY
    advert_int 0.3
    virtual_ipaddress {
        ${VIP}/24
        ${MORE}
    }
    track_script {
        alive
    }
    %s
}
`, prio, h.Path("vip.inc"), check, strings.Join(more, "\n    "))
	}
	include := func(h *netlab.Host, text string) {
		t.Helper()
		_, err := h.WriteFile("vip.inc", text)
		p.Must(err)
	}
	for _, h := range []*netlab.Host{p.a, p.b} {
		include(h, "$VIP=192.0.2.100\n$MORE=\n")
	}
	aConf := conf(p.a, 150, script, fmt.Sprintf("notify_master %q", notify+" promote"), fmt.Sprintf("notify_backup %q", notify+" 'step down'"), "notify "+notify)
	a := startWithConf(t, p.a, aConf)
	b := startWithConf(t, p.b, conf(p.b, 100, "/bin/true"))
	p.onlyOn(p.a, vip, patience)
	b.WaitInstance("VI_1", "BACKUP", patience)

	p.Must(os.WriteFile(broken, nil, 0o644))
	p.onlyOn(p.b, vip, patience)
	if i := a.WaitInstance("VI_1", "BACKUP", patience); i.Priority != 90 {
		t.Errorf("A has priority %d: %+v", i.Priority, i.Terms)
	}
	p.Must(os.Remove(broken))
	p.onlyOn(p.a, vip, patience)
	a.WaitInstance("VI_1", "MASTER", patience)

	before := a.Instance("VI_1").Transitions
	include(p.a, "$VIP=192.0.2.100\n$MORE=192.0.2.101/24\n")
	p.Must(a.Reload(aConf))
	p.Within(patience, "the address of the included file is there", func() bool { return p.a.HasAddr(netip.MustParseAddr("192.0.2.101")) })
	include(p.a, "$VIP=192.0.2.100\n$MORE=\nvrrp_instance VI_2 {\n    prioritty 3\n}\n")
	if err := a.Reload(aConf); err == nil || !strings.Contains(err.Error(), filepath.Base(p.a.Path("vip.inc"))+":4:") || !strings.Contains(err.Error(), "did you mean priority?") {
		t.Errorf("a mistake in the included file is answered with: %v", err)
	}
	p.Holds(lull, "A keeps both addresses", func() bool {
		return p.a.HasAddr(vip) && p.a.HasAddr(netip.MustParseAddr("192.0.2.101")) && !p.b.HasAddr(vip)
	})
	if i := a.Instance("VI_1"); i.Transitions != before {
		t.Errorf("the reloads changed the state: %d transitions, were %d", i.Transitions, before)
	}
	a.Stop()
	p.onlyOn(p.b, vip, patience)
	want := strings.Join([]string{
		"step down", "INSTANCE VI_1 BACKUP 150", "promote", "INSTANCE VI_1 MASTER 150",
		"step down", "INSTANCE VI_1 BACKUP 90", "promote", "INSTANCE VI_1 MASTER 150", "INSTANCE VI_1 STOP 150",
	}, "\n")
	got, err := os.ReadFile(record)
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("the scripts wrote\n%s\nwant\n%s\n%v", got, want, err)
	}
}
