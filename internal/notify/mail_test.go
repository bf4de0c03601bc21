package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
	"director/internal/script"
)

// mailTo is a configuration like that of a pair that mails three people.
func mailTo(server string) *config.Config {
	return &config.Config{
		Global: config.Global{RouterID: "lb-a"},
		Instances: []config.Instance{
			{Name: "VI_1", Mail: true, Addresses: []config.VirtualAddress{{Prefix: netip.MustParsePrefix("192.0.2.10/24")}},
				Excluded: []config.VirtualAddress{{Prefix: netip.MustParsePrefix("198.51.100.1/32")}}},
			{Name: "quiet"},
		},
		VirtualServers: []config.VirtualServer{
			{Name: "web", Mail: true, Address: netip.MustParseAddrPort("192.0.2.10:80"), Protocol: config.TCP}, {Name: "lab"}},
		Notify: config.Channels{Mail: &config.Mail{
			To: []string{"a@example.com", "b@example.com", "c@example.com"}, Server: server, TLS: config.TLSOpportunistic,
			ConnectTimeout: config.Duration(30 * time.Second), Timeout: config.Duration(time.Minute), Events: []string{"instance", "service"},
		}},
	}
}

func newNotifier(c *config.Config) (*Notifier, *labtest.Buffer) {
	out := new(labtest.Buffer)
	n := New(script.Run, slog.New(slog.NewTextHandler(out, nil)))
	n.Apply(1, c)
	return n, out
}

func change(kind, subject, from, to, reason string, seq uint64) control.Event {
	return control.Event{Seq: seq, Time: time.Now(), Generation: 1, Kind: kind, Subject: subject, From: from, To: to, Reason: reason, Code: "master_down", Priority: 100}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if err := netlab.EventuallyWithin(time.Minute, func() error {
		if !ok() {
			return errors.New(what)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestMail has three people told of every change, by a mail that says all.
func TestMail(t *testing.T) {
	s := newSMTPServer(t)
	n, out := newNotifier(mailTo(s.addr()))
	for _, e := range []control.Event{
		change("instance", "VI_1", "INIT", "BACKUP", "started", 1),
		change("instance", "VI_1", "BACKUP", "MASTER", "no advert from 192.0.2.2 for 3.6s", 2),
		change("instance", "quiet", "INIT", "BACKUP", "started", 3),
		change("service", "lab", "unknown", "up", "", 4),
		change("service", "web", "up", "sorry", "quorum lost:\nweight 0 of 1 \u2192 n\u00f6", 5),
		change("server", "web/10.0.0.1:80", "up", "down", "no answer", 6), // not in the list of events
		change("process", "vrrp", "running", "dead", "killed", 7),
		change("instance", "VI_1", "MASTER", "STOP", "stopped", 8),
	} {
		n.Handle(e)
	}
	if err := n.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	var subjects []string
	got := s.mails()
	for _, m := range got {
		subject, err := new(wordDecoder).DecodeHeader(m.header.Get("Subject"))
		if err != nil {
			t.Error(err)
		}
		subjects = append(subjects, subject)
	}
	if d := cmp.Diff([]string{
		"[lb-a] VRRP instance VI_1: BACKUP (started)",
		"[lb-a] VRRP instance VI_1: MASTER (no advert from 192.0.2.2 for 3.6s)",
		"[lb-a] virtual server web: sorry (quorum lost: weight 0 of 1 \u2192 n\u00f6)",
		"[lb-a] VRRP instance VI_1: STOP (stopped)",
	}, subjects); d != "" {
		t.Fatalf("subjects: %s\n%s", d, out)
	}
	m := got[1]
	if d := cmp.Diff([]string{"a@example.com", "b@example.com", "c@example.com"}, m.to); d != "" || m.from != "director@lb-a" {
		t.Errorf("from %s to %s", m.from, d)
	}
	host, _ := os.Hostname()
	if m.helo != host || m.header.Get("To") == "" || m.header.Get("Date") == "" || m.header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("helo %q, header %v", m.helo, m.header)
	}
	for _, want := range []string{"host:        lb-a", "sequence:    2", "old state:   BACKUP", "new state:   MASTER",
		"reason:      no advert from 192.0.2.2 for 3.6s", "reason code: master_down", "priority:    100",
		"addresses:   192.0.2.10/24, 198.51.100.1/32", "generation:  1", "time:        20"} {
		if !strings.Contains(decodeQP(t, m), want) {
			t.Errorf("body lacks %q:\n%s", want, decodeQP(t, m))
		}
	}
	if body := decodeQP(t, got[2]); !strings.Contains(body, "192.0.2.10:80/tcp") || strings.Contains(body, "priority") {
		t.Errorf("body of a service:\n%s", body)
	}
	if s.most != 1 {
		t.Errorf("%d connections at the same time, want 1", s.most)
	}
	st := n.Status()
	if len(st) != 1 || st[0].Channel != "mail" || st[0].Sent != 4 || st[0].Failed != 0 || st[0].Queued != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestMailSecurity(t *testing.T) {
	secured, pool := authority(t)
	stranger, _ := authority(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		tls      string
		server   *tls.Config
		user     string
		password config.Secret
		file     string
		err      string // empty: delivered
		byTLS    bool
	}{
		{name: "none", tls: config.TLSNone, server: secured},
		{name: "opportunistic, not offered", tls: config.TLSOpportunistic},
		{name: "opportunistic, offered", tls: config.TLSOpportunistic, server: secured, byTLS: true},
		{name: "opportunistic, unknown certificate", tls: config.TLSOpportunistic, server: stranger, byTLS: true},
		{name: "required", tls: config.TLSRequired, server: secured, byTLS: true},
		{name: "required, not offered", tls: config.TLSRequired, err: "does not support STARTTLS"},
		{name: "required, unknown certificate", tls: config.TLSRequired, server: stranger, err: "certificate"},
		{name: "password", tls: config.TLSRequired, server: secured, user: "lb", password: "geheim", byTLS: true},
		{name: "password in a file", tls: config.TLSRequired, server: secured, user: "lb", file: file, byTLS: true},
		{name: "wrong password", tls: config.TLSRequired, server: secured, user: "lb", password: "falsch", err: `535 "5.7.8 authentication failed"`},
		{name: "no file", tls: config.TLSRequired, server: secured, user: "lb", file: file + "x", err: "no such file"},
		{name: "a directory", tls: config.TLSRequired, server: secured, user: "lb", file: filepath.Dir(file), err: "not a regular file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSMTPServer(t)
			s.starttls = tc.server
			if tc.user != "" {
				s.password = "geheim"
			}
			c := mailTo(s.addr())
			m := c.Notify.Mail
			m.TLS, m.User, m.Password, m.PasswordFile = tc.tls, tc.user, tc.password, tc.file
			ch := newMailer(m, "lb-a")
			ch.roots = pool
			err := ch.deliver(context.Background(), &note{event: change("instance", "VI_1", "a", "MASTER", "", 1), held: &held{}})
			got := s.mails()
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || len(got) > 0 {
					t.Errorf("got %v, want %s; %d mails", err, tc.err, len(got))
				}
				if err != nil && (strings.Contains(err.Error(), "falsch") || strings.Contains(err.Error(), "geheim")) {
					t.Errorf("the password is shown: %v", err)
				}
				return
			}
			if err != nil || len(got) != 1 {
				t.Fatalf("%v, %d mails", err, len(got))
			}
			if got[0].tls != tc.byTLS || got[0].user != tc.user {
				t.Errorf("TLS %v, user %q", got[0].tls, got[0].user)
			}
		})
	}
}

// TestImplicitTLS speaks TLS from the first byte.
func TestImplicitTLS(t *testing.T) {
	secured, pool := authority(t)
	s := newSMTPServer(t)
	s.password = "geheim"
	inner, err := tls.Listen("tcp", "127.0.0.1:0", secured)
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	go func() {
		for {
			conn, err := inner.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	c := mailTo(inner.Addr().String())
	m := c.Notify.Mail
	m.TLS, m.User, m.Password = config.TLSRequired, "lb", "geheim"
	ch := newMailer(m, "lb-a")
	ch.roots, ch.implicit = pool, true
	if err := ch.deliver(context.Background(), &note{event: change("instance", "VI_1", "a", "MASTER", "", 1), held: &held{}}); err != nil {
		t.Fatal(err)
	}
	if got := s.mails(); len(got) != 1 || got[0].user != "lb" {
		t.Errorf("%+v", got)
	}
	if ch := newMailer(&config.Mail{Server: "mx:465", TLS: config.TLSOpportunistic}, ""); !ch.implicit || ch.from != "director@localhost" {
		t.Errorf("port 465: %+v", ch)
	}
	if ch := newMailer(&config.Mail{Server: "mx:465", TLS: config.TLSNone}, ""); ch.implicit {
		t.Error("TLS although there is to be none")
	}
}

// TestRefusal has a server that does not want a mail, or not all of it.
func TestRefusal(t *testing.T) {
	for _, tc := range []struct {
		name          string
		command, says string
		final         bool
		err           string
		mails, then   int // delivered by the first try, and by a second one
		to            string
	}{
		{"greeting", "GREETING", "554 go away", false, `554 "go away"`, 0, 1, "a b c"},
		{"sender for good", "MAIL", "550 who are you", true, `sender director@lb-a: 550 "who are you"`, 0, 1, "a b c"},
		{"sender for now", "MAIL", "451 greylisted", false, `451 "greylisted"`, 0, 1, "a b c"},
		{"one recipient for good", "RCPT b@example.com", "550 unknown", true, `recipient b@example.com: 550 "unknown"`, 1, 2, "b"},
		{"one recipient for now", "RCPT b@example.com", "452 full", false, `recipient b@example.com: 452 "full"`, 1, 2, "b"},
		{"content", ".", "554 spam", true, `554 "spam"`, 0, 1, "a b c"},
		{"queue", ".", "452 disk full", false, `452 "disk full"`, 0, 1, "a b c"},
		{"closing", "QUIT", "500 what", false, "", 1, 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSMTPServer(t)
			s.set(func() { s.answer[tc.command] = tc.says })
			ch := newMailer(mailTo(s.addr()).Notify.Mail, "lb-a")
			nt := &note{event: change("instance", "VI_1", "a", "MASTER", "", 1), held: &held{}}
			err := ch.deliver(context.Background(), nt)
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %v, want %q", err, tc.err)
			}
			var final *finalError
			if errors.As(err, &final) != tc.final {
				t.Errorf("final is %v: %v", !tc.final, err)
			}
			if got := len(s.mails()); got != tc.mails {
				t.Errorf("%d mails, want %d", got, tc.mails)
			}
			if err == nil {
				return
			}
			s.set(func() { delete(s.answer, tc.command) })
			if err := ch.deliver(context.Background(), nt); err != nil {
				t.Error(err)
			}
			got := s.mails()
			if len(got) != tc.then {
				t.Fatalf("%d mails in all, want %d", len(got), tc.then)
			}
			to := strings.ReplaceAll(strings.Join(got[len(got)-1].to, " "), "@example.com", "")
			if to != tc.to {
				t.Errorf("the second try went to %s, want %s", to, tc.to)
			}
		})
	}
}

// TestHangingServer stops answering at each step: the time limit ends the
// delivery and its connection.
func TestHangingServer(t *testing.T) {
	for _, at := range []string{"GREETING", "EHLO", "STARTTLS", "MAIL", "RCPT a@example.com", "DATA", "."} {
		t.Run("at "+at, func(t *testing.T) {
			s := newSMTPServer(t)
			secured, _ := authority(t)
			s.set(func() { s.starttls, s.hang = secured, at })
			m := mailTo(s.addr()).Notify.Mail
			m.Timeout = config.Duration(150 * time.Millisecond)
			start := time.Now()
			err := newMailer(m, "lb-a").deliver(context.Background(), &note{event: change("instance", "VI_1", "a", "MASTER", "", 1), held: &held{}})
			if err == nil || !strings.Contains(err.Error(), "not done after 150ms") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			eventually(t, "the connection is closed", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.open == 0 })
		})
	}
}

// TestDeadServer has a mail server that comes back: scripts never wait for it, and
// no mail is lost.
func TestDeadServer(t *testing.T) {
	t.Parallel()
	c := mailTo(labtest.FreePort(t).String())
	marker := filepath.Join(t.TempDir(), "ran")
	c.Instances[0].Notify.All = []string{"/usr/bin/touch", marker}
	n, out := newNotifier(c)
	n.Handle(change("instance", "VI_1", "INIT", "BACKUP", "started", 1))
	eventually(t, "the script ran", func() bool { _, err := os.Stat(marker); return err == nil })
	eventually(t, "the second failure", func() bool { st := n.Status(); return len(st) == 2 && st[1].Failed > 1 })
	n.Handle(change("instance", "VI_1", "BACKUP", "MASTER", "a", 2))
	n.Handle(change("service", "web", "unknown", "up", "b", 3))
	n.Handle(change("instance", "VI_1", "MASTER", "FAULT", "c", 4))
	if st := n.Status()[1]; st.Queued != 3 || st.Coalesced != 1 || !strings.Contains(st.LastError, "connection refused") {
		t.Errorf("status %+v", st)
	}
	// A reload names another server: what waits goes there, at once.
	s := newSMTPServer(t)
	start := time.Now()
	n.Apply(2, mailTo(s.addr()))
	n.Forget(1)
	eventually(t, "three mails", func() bool { return len(s.mails()) == 3 })
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("a reload waited %v for the back-off", took)
	}
	last := s.mails()[2]
	if !strings.Contains(last.header.Get("Subject"), "FAULT") || !strings.Contains(decodeQP(t, last), "told only here, it was MASTER.") {
		t.Errorf("the last mail: %v\n%s", last.header, decodeQP(t, last))
	}
	if err := n.Close(time.Minute); err != nil {
		t.Error(err)
	}
	log := out.String()
	if strings.Count(log, "notification cannot be delivered") != 1 || strings.Count(log, "delivered again") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

// TestStopWithDeadServer gives up at once what a dead server cannot take.
func TestStopWithDeadServer(t *testing.T) {
	n, out := newNotifier(mailTo("127.0.0.1:1"))
	n.Handle(change("instance", "VI_1", "MASTER", "STOP", "stopped", 1))
	n.Handle(change("service", "web", "up", "down", "stopped", 2))
	start := time.Now()
	if err := n.Close(30 * time.Second); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if st := n.Status(); len(st) != 1 || st[0].Dropped != 2 || strings.Count(out.String(), "notification dropped") != 2 {
		t.Errorf("status %+v\n%s", st, out)
	}
}

// TestStopWithHangingServer waits no longer than it may.
func TestStopWithHangingServer(t *testing.T) {
	s := newSMTPServer(t)
	s.set(func() { s.hang = "MAIL" })
	n, out := newNotifier(mailTo(s.addr()))
	n.Handle(change("instance", "VI_1", "MASTER", "STOP", "stopped", 1))
	start := time.Now()
	err := n.Close(200 * time.Millisecond)
	if err == nil || err.Error() != "notify: not finished after 200ms: mail" {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if !strings.Contains(out.String(), `reason="director stops"`) {
		t.Errorf("log:\n%s", out)
	}
}
