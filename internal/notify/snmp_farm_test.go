package notify

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
	"director/internal/netlab/labtest"
)

// net-snmp's snmptrapd gets the traps of KEEPALIVED-MIB about virtual and real servers
// and decodes them.
func TestFarmTraps(t *testing.T) {
	t.Parallel()
	address := labtest.FreePort(t).String()
	dir := t.TempDir()
	conf := filepath.Join(dir, "snmptrapd.conf")
	if err := os.WriteFile(conf, []byte("authCommunity log geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out labtest.Buffer
	daemon := exec.Command("snmptrapd", "-f", "-C", "-c", conf, "-Lo", "-On", "-F", "%v\\n", "udp:"+address)
	daemon.Env = []string{"PATH=" + os.Getenv("PATH"), "MIBS=", "SNMP_PERSISTENT_DIR=" + dir}
	daemon.Stdout, daemon.Stderr = &out, &out
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	eventually(t, "snmptrapd is ready", func() bool { return strings.Contains(out.String(), "NET-SNMP version") })

	ap := netip.MustParseAddrPort
	settings := trapSettings(address)
	settings.Events = []string{"service", "server"}
	cfg := &config.Config{Global: config.Global{RouterID: "lb-a"}, Notify: config.Channels{SNMP: settings}, VirtualServers: []config.VirtualServer{
		{Name: "other", Address: ap("192.0.2.9:1"), Protocol: config.UDP},
		{Name: "web", Address: ap("[2001:db8::80]:443"), Protocol: config.TCP, Quorum: 2,
			RealServers:  []config.RealServer{{Name: "a", Address: ap("10.0.0.1:80")}, {Name: "b", Address: ap("10.0.0.2:80")}},
			SorryServers: []config.SorryServer{{Name: "sorry", Address: ap("[2001:db8::99]:8080")}}},
		{Name: "marked", FWMark: 4294967295, Quorum: 1},
		{Name: "many", Group: "sites", Protocol: config.SCTP, Quorum: 1},
	}}
	n, _ := newNotifier(cfg)
	seq := uint64(0)
	tell := func(kind, subject, from, to string, up, total int) {
		seq++
		e := change(kind, subject, from, to, "x", seq)
		e.Pool = &control.Pool{Up: up, Total: total}
		n.Handle(e)
	}
	// The lines that come with the next trap, but for the time and director's own objects.
	seen := 0
	expect := func(what string, want ...string) {
		t.Helper()
		var got []string
		eventually(t, what, func() bool {
			text := out.String()[seen:]
			if !strings.Contains(text, "8072.9999.9999.1.7.0") || !strings.HasSuffix(text, "\n") {
				return false
			}
			seen += len(text)
			for v := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\t' || r == '\n' }) {
				if at, value, ok := strings.Cut(v, " = "); ok && strings.HasPrefix(at, ".1.3.6.1.") && !strings.Contains(at, ".8072.") && at != "."+oidSysUpTime {
					got = append(got, strings.TrimPrefix(at, ".1.3.6.1.")+" "+strings.TrimSpace(value))
				}
			}
			return true
		})
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	const trap, mib = "6.3.1.1.4.1.0 OID: .1.3.6.1.4.1.9586.100.5.3.5.0.", "4.1.9586.100.5."
	column := func(table, column int, row, value string) string {
		return fmt.Sprintf("%s3.%d.1.%d.%s %s", mib, table, column, row, value)
	}
	router := mib + `1.2.0 STRING: "lb-a"`
	front := []string{router, column(3, 5, "2", "INTEGER: 2"), column(3, 6, "2", "Hex-STRING: 20 01 0D B8 00 00 00 00 00 00 00 00 00 00 00 80"), column(3, 7, "2", "Gauge32: 443")}
	service := []string{column(3, 2, "2", "INTEGER: 2"), column(3, 8, "2", "INTEGER: 1")}
	list := func(parts ...[]string) (all []string) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}

	tell("server", "web/b", "up", "down", 1, 2)
	expect("a real server", list([]string{trap + "1", column(4, 3, "2.2", "INTEGER: 1"), column(4, 4, "2.2", "Hex-STRING: 0A 00 00 02"), column(4, 5, "2.2", "Gauge32: 80"), column(4, 6, "2.2", "INTEGER: 2")},
		service, []string{column(3, 21, "2", "Gauge32: 1"), column(3, 20, "2", "Gauge32: 2")}, front)...)
	tell("service", "web", "up", "sorry", 1, 2)
	expect("a quorum that is lost", list([]string{trap + "2"}, service, []string{column(3, 23, "2", "INTEGER: 2"), column(3, 22, "2", "Gauge32: 2"), column(3, 21, "2", "Gauge32: 1"), column(3, 20, "2", "Gauge32: 2")}, front)...)
	tell("server", "web/sorry", "down", "up", 0, 2)
	expect("a sorry server", list([]string{trap + "1", column(4, 3, "2.3", "INTEGER: 2"), column(4, 4, "2.3", "Hex-STRING: 20 01 0D B8 00 00 00 00 00 00 00 00 00 00 00 99"), column(4, 5, "2.3", "Gauge32: 8080"), column(4, 6, "2.3", "INTEGER: 1")},
		service, []string{column(3, 21, "2", "Gauge32: 0"), column(3, 20, "2", "Gauge32: 2")}, front)...)
	tell("service", "web", "sorry", "down", 0, 2)
	expect("no change of the quorum", "6.3.1.1.4.1.0 OID: .1.3.6.1.4.1.8072.9999.9999.0.1", router)
	tell("service", "marked", "unknown", "up", 3, 3)
	expect("a mark", trap+"2", column(3, 2, "3", "INTEGER: 1"), column(3, 8, "3", "INTEGER: 4"), column(3, 23, "3", "INTEGER: 1"), column(3, 22, "3", "Gauge32: 1"),
		column(3, 21, "3", "Gauge32: 3"), column(3, 20, "3", "Gauge32: 3"), router, column(3, 4, "3", "Gauge32: 4294967295"))
	stopped := change("service", "many", "up", "down", "director stops", 99)
	stopped.Code, stopped.Pool = "stopped", &control.Pool{Up: 1, Total: 1}
	n.Handle(stopped)
	expect("a group, and the stop", trap+"2", column(3, 2, "4", "INTEGER: 3"), column(3, 8, "4", "INTEGER: 3"), column(3, 23, "4", "INTEGER: 3"), column(3, 22, "4", "Gauge32: 1"),
		column(3, 21, "4", "Gauge32: 1"), column(3, 20, "4", "Gauge32: 1"), router, column(3, 3, "4", `STRING: "sites"`))
	if err := n.Close(time.Minute); err != nil {
		t.Error(err)
	}
}
