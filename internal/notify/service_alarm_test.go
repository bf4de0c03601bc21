package notify

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
)

// The alarm of a virtual server goes everywhere as well, whatever instance has its
// name, and its mail says nothing of a VRRP router.
func TestServiceAlarm(t *testing.T) {
	s, h := newSMTPServer(t), newHooks(t)
	c := mailTo(s.addr())
	c.Notify.Mail.Events = []string{"alarm"}
	c.Notify.Webhook = hookTo(h.URL).Notify.Webhook
	c.Notify.Webhook.Events = []string{"alarm"}
	c.Instances = []config.Instance{{Name: "farm", Notify: config.Notify{Alarm: []string{"/instance"}}}}
	c.VirtualServers = []config.VirtualServer{{Name: "farm", Mail: true, Pooling: config.Pooling{NotifyAlarm: []string{"/page", "farm"}}}}
	r := &recorder{start: time.Now()}
	n := New(r.run, slog.New(slog.DiscardHandler))
	n.Apply(1, c)
	e := change(control.KindAlarm, "farm", "clear", "raised", "healthy weight 1 of 4", 1)
	e.Code = "panic_guard"
	e.Alarm = &control.Alarm{Service: "farm", Code: e.Code, Level: control.LevelAlarm, Since: e.Time, Count: 1, Reason: e.Reason}
	n.Handle(e)
	if err := n.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(r.lines) != 1 || !strings.HasSuffix(r.lines[0], "/page farm") {
		t.Errorf("ran %q", r.lines)
	}
	env := strings.Join(r.env, "\n")
	for _, want := range []string{"DIRECTOR_SUBJECT=farm", "DIRECTOR_TO=raised", "DIRECTOR_ALARM=panic_guard", "DIRECTOR_REASON=healthy weight 1 of 4", "DIRECTOR_VRID=\n"} {
		if !strings.Contains(env+"\n", want) {
			t.Errorf("the environment lacks %q:\n%s", want, env)
		}
	}
	mails := s.mails()
	if len(mails) != 1 || mails[0].header.Get("Subject") != "[lb-a] ALARM farm: panic_guard raised (healthy weight 1 of 4)" {
		t.Fatalf("mails %+v", mails)
	}
	if body := decodeQP(t, mails[0]); strings.Contains(body, "VRID") || strings.Contains(body, "sightings") || !strings.Contains(body, "raised:") {
		t.Errorf("the mail says\n%s", body)
	}
	if len(h.bodies) != 1 || !strings.Contains(h.bodies[0], `"service":"farm"`) {
		t.Errorf("the webhook has %q", h.bodies)
	}
}
