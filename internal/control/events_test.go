package control

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func history() []Event {
	return []Event{
		{Seq: 1, Time: at(25 * time.Hour), Kind: "process", Subject: "vrrp", From: "starting", To: "running", Reason: "generation 1 is in force after 8ms"},
		{Seq: 2, Time: at(3 * time.Minute), Kind: "instance", Subject: "web", From: "BACKUP", To: "MASTER", Reason: "no advert from 10.0.0.2 (priority 90) for 3.609s"},
		{Seq: 3, Time: at(2 * time.Minute), Kind: "script", Subject: "chk_nginx", From: "up", To: "down", Reason: "exit status 1"},
		{Seq: 4, Time: at(time.Minute), Kind: "address", Subject: "web/192.0.2.1/32", From: "absent", To: "present", Reason: "put back"},
		{Seq: 5, Time: at(time.Minute), Kind: "instance", Subject: "db", From: "INIT", To: "BACKUP", Reason: "started"},
		{Seq: 6, Time: at(50 * time.Second), Kind: "server", Subject: "shop/10.0.0.11:80", From: "up", To: "down", Reason: "tcp: connection refused"},
		{Seq: 7, Time: at(40 * time.Second), Kind: "reload", Subject: "/etc/director/director.toml", From: "requested", To: "refused", Reason: "x"},
		{Seq: 8, Time: at(30 * time.Second), Kind: "alarm", Subject: "web", From: "clear", To: "raised", Reason: "two\x1b[31m\nlines", Code: "two_masters", Alarm: &Alarm{}},
	}
}

func TestRenderEvents(t *testing.T) {
	var out bytes.Buffer
	old := time.Local
	time.Local = time.UTC
	defer func() { time.Local = old }()
	if err := RenderEvents(&out, history(), View{Now: renderNow}); err != nil {
		t.Fatal(err)
	}
	want := `2026-11-20 08:00:00.000  process      vrrp               starting -> running  generation 1 is in force after 8ms
08:57:00.000  instance     web                BACKUP -> MASTER    no advert from 10.0.0.2 (priority 90) for 3.609s
`
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("got\n%s, want it to begin with\n%s", out.String(), want)
	}
	if !strings.HasSuffix(out.String(), "08:59:30.000  alarm        web                clear -> raised     two_masters: two[31m lines\n") {
		t.Errorf("got\n%s", out.String())
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("an event steers the terminal")
	}
}

// The explanation of a thing has its status, what it depends on, and what happened to
// both, and nothing else.
func TestExplain(t *testing.T) {
	s := troubled()
	s.VRRP.Instances = append(s.VRRP.Instances, Instance{Name: "db", State: "BACKUP"})
	s.VRRP.Instances[0].Terms[0].Name = "chk_nginx"
	s.VRRP.Scripts = []Script{{Name: "chk_nginx", State: "down"}, {Name: "chk_other", State: "up"}}
	s.Checkers = &Checkers{Services: []Service{{Name: "shop", Servers: []Server{{Name: "10.0.0.11:80", Address: "10.0.0.11:80"}, {Name: "10.0.0.12:80", Address: "10.0.0.12:80"}}}}}
	for _, tc := range []struct {
		subject    string
		has, lacks []string
		events     []uint64
	}{
		{"web", []string{"web ", "chk_nginx"}, []string{"db ", "chk_other", "shop"}, []uint64{1, 2, 3, 4, 7, 8}},
		{"db", []string{"db "}, []string{"web ", "chk_nginx"}, []uint64{1, 5, 7}},
		{"chk_nginx", []string{"chk_nginx"}, []string{"web "}, []uint64{1, 3, 7}},
		{"shop", []string{"shop", "10.0.0.12"}, []string{"db "}, []uint64{6, 7}},
		{"shop/10.0.0.11:80", []string{"10.0.0.11"}, []string{"10.0.0.12"}, []uint64{6, 7}},
	} {
		var out bytes.Buffer
		if err := Explain(&out, s, tc.subject, history(), View{Now: renderNow}); err != nil {
			t.Errorf("%s: %v", tc.subject, err)
			continue
		}
		status, _, _ := strings.Cut(out.String(), "HISTORY")
		for _, w := range tc.has {
			if !strings.Contains(status, w) {
				t.Errorf("%s: no %q in\n%s", tc.subject, w, status)
			}
		}
		for _, w := range tc.lacks {
			if strings.Contains(status, w) {
				t.Errorf("%s: %q in\n%s", tc.subject, w, status)
			}
		}
		part, _ := s.About(tc.subject)
		var got []uint64
		for _, e := range part.EventsAbout(tc.subject, history()) {
			got = append(got, e.Seq)
		}
		if len(got) != len(tc.events) {
			t.Errorf("%s: events %v, want %v", tc.subject, got, tc.events)
			continue
		}
		for i := range got {
			if got[i] != tc.events[i] {
				t.Errorf("%s: events %v, want %v", tc.subject, got, tc.events)
				break
			}
		}
	}
	if err := Explain(new(bytes.Buffer), s, "nobody", nil, View{}); err == nil || !strings.Contains(err.Error(), `nothing called "nobody"`) {
		t.Errorf("nobody: %v", err)
	}
	if s.VRRP.Instances[0].Name != "web" || len(s.Checkers.Services[0].Servers) != 2 {
		t.Error("the status was changed")
	}
}
