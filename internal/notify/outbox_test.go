package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
)

// fakeMail is a mail server's stand-in on a fake clock.
type fakeMail struct {
	mailer
	start time.Time
	took  time.Duration // of each delivery
	err   error
	lines []string
}

func (f *fakeMail) deliver(ctx context.Context, nt *note) error {
	f.lines = append(f.lines, fmt.Sprintf("%v %s %s %v", time.Since(f.start), nt.event.Subject, nt.event.To, nt.skipped))
	select {
	case <-time.After(f.took):
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// withFake returns a notifier whose mail goes to f.
func withFake(f *fakeMail) (*Notifier, *bytes.Buffer) {
	f.start = time.Now()
	f.settings.Events = []string{"instance", "service", "server", "reload"}
	out := new(bytes.Buffer)
	n := New(nil, slog.New(slog.NewTextHandler(out, nil)))
	h := held{generation: 1, config: &config.Config{}, channels: []channel{f, nil, nil, nil},
		instances: map[string]*config.Instance{"db": {Name: "db", Mail: true}, "web": {Name: "web", Mail: true}},
		services:  map[string]*config.VirtualServer{"farm": {Name: "farm", Mail: true}, "lab": {Name: "lab"}}}
	n.apply(h)
	return n, out
}

func now(kind, subject, from, to string) control.Event {
	return control.Event{Time: time.Now(), Generation: 1, Kind: kind, Subject: subject, From: from, To: to}
}

// TestBackoff follows one mail to a dead server until it is given up.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMail{err: errors.New("connection refused")}
		n, out := withFake(f)
		n.Handle(now("instance", "db", "BACKUP", "MASTER"))
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		want := []string{"0s", "5s", "15s", "35s", "1m15s", "2m15s", "3m15s", "4m15s", "5m15s", "6m15s", "7m15s", "8m15s", "9m15s",
			"10m15s", "11m15s", "12m15s", "13m15s", "14m15s", "15m15s"}
		var got []string
		for _, l := range f.lines {
			got = append(got, strings.Fields(l)[0])
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if strings.Count(out.String(), "\n") != 2 || !strings.Contains(out.String(), "it is tried again") || !strings.Contains(out.String(), "notification dropped") {
			t.Errorf("log:\n%s", out)
		}
		if st := n.Status()[0]; st.Failed != 19 || st.Dropped != 1 || st.Queued != 0 || st.LastError != "connection refused" {
			t.Errorf("%+v", st)
		}
		f.err = nil
		n.Handle(now("instance", "db", "MASTER", "BACKUP"))
		synctest.Wait()
		if !strings.Contains(out.String(), "delivered again") {
			t.Errorf("log:\n%s", out)
		}
		n.Close(time.Second)
	})
}

// TestFinalFailureDropsOne goes on with the next mail at once.
func TestFinalFailureDropsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMail{err: &finalError{errors.New("550 no")}}
		n, _ := withFake(f)
		n.Handle(now("instance", "db", "BACKUP", "MASTER"))
		n.Handle(now("instance", "web", "BACKUP", "MASTER"))
		synctest.Wait()
		if d := cmp.Diff([]string{"0s db MASTER []", "0s web MASTER []"}, f.lines); d != "" {
			t.Error(d)
		}
		if err := n.Close(time.Minute); err != nil {
			t.Error(err)
		}
	})
}

// TestMailKeepsEveryChange has a slow server and few changes: each gets its mail.
// Only a long queue is folded, subject by subject.
func TestMailKeepsEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMail{took: 10 * time.Second}
		n, _ := withFake(f)
		n.Handle(now("instance", "db", "INIT", "BACKUP"))
		n.Handle(now("instance", "db", "BACKUP", "MASTER"))
		n.Handle(now("instance", "web", "INIT", "BACKUP"))
		n.Handle(now("instance", "db", "MASTER", "BACKUP"))
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{"0s db BACKUP []", "10s db MASTER []", "20s web BACKUP []", "30s db BACKUP []"}
		if d := cmp.Diff(want, f.lines); d != "" {
			t.Error(d)
		}
		f.lines, f.start = nil, time.Now()
		for i := range 100 {
			n.Handle(now("instance", "web", "", []string{"MASTER", "FAULT"}[i%2]))
			if i == 0 {
				synctest.Wait() // the first one is under way
			}
		}
		synctest.Wait()
		if st := n.Status()[0]; st.Queued != 33 || st.Coalesced != 67 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if last := f.lines[len(f.lines)-1]; len(f.lines) != 33 || !strings.Contains(last, "web FAULT [") {
			t.Errorf("%d mails, the last %s", len(f.lines), last)
		}
		n.Close(time.Second)
	})
}

// TestWhatIsTold is about kinds, switches and what was told before.
func TestWhatIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMail{}
		n, _ := withFake(f)
		for _, e := range []control.Event{
			now("server", "farm/10.0.0.1:80", "unknown", "up"),
			now("server", "farm/10.0.0.1:80", "unknown", "up"), // its process was started anew
			now("server", "lab/10.0.0.1:80", "unknown", "up"),
			now("server", "gone/10.0.0.1:80", "unknown", "up"),
			now("reload", "/etc/d.toml", "requested", "in force"),
			now("reload", "/etc/d.toml", "requested", "in force"), // each one counts
			now("process", "vrrp", "running", "dead"),
			now("script", "chk", "up", "down"),
		} {
			n.Handle(e)
		}
		n.Close(time.Second)
		want := []string{"0s farm/10.0.0.1:80 up []", "0s /etc/d.toml in force []", "0s /etc/d.toml in force []"}
		if d := cmp.Diff(want, f.lines); d != "" {
			t.Error(d)
		}
	})
}

// TestOverflow bounds what waits.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMail{took: time.Hour}
		n, out := withFake(f)
		for i := range maxWaiting + 11 {
			n.Handle(now("server", fmt.Sprintf("farm/%d", i), "up", "down"))
			if i == 0 {
				synctest.Wait()
			}
		}
		if st := n.Status()[0]; st.Dropped != 10 || st.Queued != maxWaiting+1 {
			t.Errorf("%+v", st)
		}
		if strings.Count(out.String(), "too many notifications wait") != 1 {
			t.Errorf("log:\n%s", out)
		}
		n.Close(time.Second)
	})
}

// TestStopTriesWaitingMailOnce interrupts a back-off.
func TestStopTriesWaitingMailOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeMail{err: errors.New("busy")}
		n, _ := withFake(f)
		n.Handle(now("instance", "db", "BACKUP", "MASTER"))
		time.Sleep(40 * time.Second) // the next try would be at 75s
		synctest.Wait()
		f.err = nil
		n.Handle(now("instance", "db", "MASTER", "STOP"))
		if err := n.Close(10 * time.Second); err != nil {
			t.Error(err)
		}
		if got := f.lines[len(f.lines)-2:]; got[0] != "40s db MASTER []" || got[1] != "40s db STOP []" {
			t.Errorf("%q", got)
		}
	})
}
