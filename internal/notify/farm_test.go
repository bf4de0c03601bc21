package notify

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gosnmp/gosnmp"
	"golang.org/x/sys/unix"

	"director/config"
	"director/internal/control"
)

// Every change of a virtual server, of its real servers and of what operators order
// for them goes to every channel, with its number, both states and the reason.
func TestFarmChangesGoEverywhere(t *testing.T) {
	ap := netip.MustParseAddrPort
	dir := t.TempDir()
	path, told := filepath.Join(dir, "fifo"), filepath.Join(dir, "told")
	tell := func(what string) []string {
		return []string{"/bin/sh", "-c", fmt.Sprintf(
			`echo "%s $DIRECTOR_SEQ $DIRECTOR_SUBJECT $DIRECTOR_FROM $DIRECTOR_TO $DIRECTOR_REASON_CODE: $DIRECTOR_REASON" >> %s`, what, told)}
	}
	smtp, hook := newSMTPServer(t), newHooks(t)
	address, traps := manager(t, gosnmp.Default)
	kinds := []string{"service", "server", "maintenance"}
	c := mailTo(smtp.addr())
	c.VirtualServers = []config.VirtualServer{
		{Name: "web", Mail: true, Address: ap("192.0.2.10:80"), Protocol: config.TCP, QuorumUp: tell("quorum_up"), QuorumDown: tell("quorum_down"),
			RealServers: []config.RealServer{{Name: "a", Address: ap("10.0.0.1:80"), NotifyUp: tell("notify_up"), NotifyDown: tell("notify_down")}}},
		{Name: "many", Mail: true, Group: "all", Protocol: config.TCP, RealServers: []config.RealServer{{Name: "a", Address: ap("10.0.0.1:80")}},
			Members: []config.GroupMember{{Address: "192.0.2.20-21:80"}}},
	}
	c.Notify.Mail.Events = kinds
	c.Notify.FIFO = &config.FIFO{Path: path}
	c.Notify.Webhook = hookTo(hook.URL).Notify.Webhook
	c.Notify.Webhook.Events = kinds
	c.Notify.SNMP = trapSettings(address)
	c.Notify.SNMP.Events = kinds
	n, _ := newNotifier(c)
	events := []control.Event{
		change("server", "web/a", "unknown", "up", "checks passed", 1),
		change("service", "web", "unknown", "up", "quorum gained: healthy weight 1, 1 needed", 2),
		change("maintenance", "web/a", "ready", "drain", "ordered by root: new kernel", 3),
		change("maintenance", "web/a", "drain", "maintain", "no connection is left", 4),
		change("server", "web/a", "up", "down", "check failed: refused", 5),
		change("service", "web", "up", "sorry", "quorum lost: healthy weight 0, 1 needed", 6),
		change("service", "many", "unknown", "down", "quorum lost", 7),
		change("server", "many/a", "unknown", "up", "checks passed", 8),
	}
	events[2].Author = "root for alice"
	var hooked, mailed, trapped []string
	for i, e := range events {
		n.Handle(e)
		eventually(t, "everybody is told", func() bool {
			for _, s := range n.Status() {
				if s.Queued > 0 || s.Channel != "script" && s.Channel != "fifo" && s.Sent != uint64(i+1) {
					return false
				}
			}
			return true
		})
		trapped = append(trapped, show(next(t, traps)))
	}
	r, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := n.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	lines, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("RS [10.0.0.1]:tcp:80 [192.0.2.10]:tcp:80 UP\nVS [192.0.2.10]:tcp:80 UP\nRS [10.0.0.1]:tcp:80 [192.0.2.10]:tcp:80 DOWN\n"+
		"VS [192.0.2.10]:tcp:80 DOWN\nVS [all]:0 DOWN\nRS [10.0.0.1]:tcp:80 [all]:0 UP\n", string(lines)); d != "" {
		t.Errorf("FIFO: %s", d)
	}
	scripts, err := os.ReadFile(told)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("notify_up 1 web/a unknown up master_down: checks passed\nquorum_up 2 web unknown up master_down: quorum gained: healthy weight 1, 1 needed\n"+
		"notify_down 5 web/a up down master_down: check failed: refused\nquorum_down 6 web up sorry master_down: quorum lost: healthy weight 0, 1 needed\n", string(scripts)); d != "" {
		t.Errorf("scripts: %s", d)
	}
	for _, body := range hook.bodies {
		var e control.Event
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		hooked = append(hooked, fmt.Sprintf("%d %s %s %s>%s %s", e.Seq, e.Kind, e.Subject, e.From, e.To, e.Reason))
	}
	mails := smtp.mails()
	for _, m := range mails {
		mailed = append(mailed, decodeQP(t, m))
	}
	if len(hooked) != len(events) || len(mailed) != len(events) {
		t.Fatalf("%d requests and %d mails of %d events", len(hooked), len(mailed), len(events))
	}
	for i, e := range events {
		if want := fmt.Sprintf("%d %s %s %s>%s %s", e.Seq, e.Kind, e.Subject, e.From, e.To, e.Reason); hooked[i] != want {
			t.Errorf("webhook: %q, want %q", hooked[i], want)
		}
		for _, want := range []string{fmt.Sprintf("sequence:    %d\n", e.Seq), "old state:   " + e.From, "new state:   " + e.To, "reason:      " + e.Reason} {
			if !strings.Contains(strings.ReplaceAll(mailed[i], "\r", ""), want) {
				t.Errorf("mail %d lacks %q:\n%s", i, want, mailed[i])
			}
		}
		const at = "4.1.8072.9999.9999.1."
		if want := fmt.Sprintf("%s1.0 = %d\n%s2.0 = %s\n%s3.0 = %s\n%s4.0 = %s\n%s5.0 = %s\n%s6.0 = %s\n", at, e.Seq, at, e.Kind, at, e.Subject,
			at, e.From, at, e.To, at, e.Reason); !strings.Contains(trapped[i], want) {
			t.Errorf("trap %d:\n%s\nwant\n%s", i, trapped[i], want)
		}
	}
	for i, want := range map[int]string{2: "ordered by:  root for alice", 6: "addresses:   192.0.2.20:80/tcp, 192.0.2.21:80/tcp",
		5: "addresses:   192.0.2.10:80/tcp", 3: "addresses:   192.0.2.10:80/tcp"} {
		if !strings.Contains(mailed[i], want) {
			t.Errorf("mail %d lacks %q:\n%s", i, want, mailed[i])
		}
	}
}
