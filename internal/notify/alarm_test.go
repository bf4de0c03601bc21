package notify

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
)

// alarm is an event as the VRRP child sends it.
func alarm(code, to string, seq uint64) control.Event {
	from := "clear"
	if to == "clear" {
		from = "raised"
	}
	e := change(control.KindAlarm, "VI_1", from, to, "10.0.0.2 does not give way", seq)
	e.Code = code
	e.Alarm = &control.Alarm{
		Instance: "VI_1", Interface: "eth0", VRID: 51, Code: code, Level: control.LevelAlarm, Count: 7, Reason: e.Reason,
		Evidence: []control.Evidence{
			{Peer: "10.0.0.9", Says: "priority 1", Last: e.Time.Add(-time.Minute)},
			{Peer: "10.0.0.2", MAC: "02:00:00:00:00:02", Says: "priority 90", Here: "priority 100", Address: "192.0.2.10", VRID: 52, Count: 3, Last: e.Time},
		},
	}
	return e
}

// An alarm goes to scripts, mail, webhook and FIFO, with its evidence; the
// scripts are those of the instance and of its groups. A warning goes to none.
func TestAlarmGoesEverywhere(t *testing.T) {
	s, h := newSMTPServer(t), newHooks(t)
	path := filepath.Join(t.TempDir(), "fifo")
	c := mailTo(s.addr())
	c.Notify.Mail.Events = []string{"alarm"}
	c.Notify.Webhook = hookTo(h.URL).Notify.Webhook
	c.Notify.Webhook.Events = []string{"alarm"}
	c.Notify.FIFO = &config.FIFO{Path: path}
	c.Global.ScriptUser = "nobody"
	for i := range c.Instances {
		c.Instances[i].Notify = config.Notify{Alarm: []string{"/own", c.Instances[i].Name}, All: []string{"/all"}}
	}
	c.Groups = []config.SyncGroup{
		{Name: "g", Members: []string{"VI_1"}, Notify: config.Notify{Alarm: []string{"/group"}, All: []string{"/all"}}},
		{Name: "h", Members: []string{"quiet"}, Notify: config.Notify{Alarm: []string{"/wrong"}}},
	}
	r := &recorder{start: time.Now()}
	n := New(r.run, slog.New(slog.DiscardHandler))
	n.Apply(1, c)
	warning := alarm("equal_priority", "raised", 1)
	warning.Alarm.Level = control.LevelWarning
	n.Handle(warning)
	n.Handle(alarm("two_masters", "raised", 2))
	eventually(t, "all is told", func() bool {
		st := n.Status()
		return len(st) == 4 && !slices.ContainsFunc(st, func(c control.NotifyChannel) bool { return c.Sent == 0 || c.Queued > 0 })
	})
	file, err := os.Open(path) // before Close removes it
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	line := make([]byte, 200)
	size, err := file.Read(line)
	if got := string(line[:size]); err != nil || got != "ALARM \"VI_1\" RAISED two_masters\n" {
		t.Errorf("the FIFO has %q, %v", got, err)
	}
	if err := n.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	var ran []string
	for _, line := range r.lines {
		_, argv, _ := strings.Cut(line, " ")
		ran = append(ran, argv)
	}
	if d := cmp.Diff([]string{"/own VI_1", "/group"}, ran); d != "" {
		t.Error(d)
	}
	for _, want := range []string{"DIRECTOR_ALARM=two_masters", "DIRECTOR_TO=raised", "DIRECTOR_FROM=clear", "DIRECTOR_ALARM_COUNT=7",
		"DIRECTOR_INTERFACE=eth0", "DIRECTOR_VRID=51", "DIRECTOR_PEER=10.0.0.2", "DIRECTOR_PEER_MAC=02:00:00:00:00:02",
		"DIRECTOR_PEER_VRID=52", "DIRECTOR_ADDRESS=192.0.2.10", "DIRECTOR_PEER_SAYS=priority 90",
		"DIRECTOR_CONFIGURED=priority 100", "DIRECTOR_REASON=10.0.0.2 does not give way", "DIRECTOR_SEQ=2"} {
		if !slices.Contains(r.env, want) {
			t.Errorf("the environment lacks %s: %q", want, r.env)
		}
	}
	mails := s.mails()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	if got := mails[0].header.Get("Subject"); got != "[lb-a] ALARM VI_1: two_masters raised (10.0.0.2 does not give way)" {
		t.Errorf("subject %q", got)
	}
	body := decodeQP(t, mails[0])
	for _, want := range []string{"reason code: two_masters", "interface:   eth0", "VRID:        51", "sightings:   7, the first",
		"evidence:    10.0.0.2, hardware address 02:00:00:00:00:02, VRID 52, address 192.0.2.10, says priority 90, here priority 100, 3 times",
		"addresses:   192.0.2.10/24"} {
		if !strings.Contains(body, want) {
			t.Errorf("the mail lacks %q:\n%s", want, body)
		}
	}
	if len(h.bodies) != 1 || !strings.Contains(h.bodies[0], `"alarm":{"instance":"VI_1"`) || !strings.Contains(h.bodies[0], `"says":"priority 90"`) {
		t.Errorf("the webhook has %q", h.bodies)
	}
}

// Two alarms of one instance are two subjects: one does not take the place of the
// other in a queue that is behind.
func TestAlarmsAreToldApart(t *testing.T) {
	a, b := alarm("two_masters", "raised", 1), alarm("foreign_mac", "raised", 2)
	if about(a) == about(b) {
		t.Errorf("both are about %s", about(a))
	}
	if about(a) != about(alarm("two_masters", "clear", 3)) {
		t.Error("the end of an alarm is about something else")
	}
}
