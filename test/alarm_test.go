package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
)

// alarms are the raised alarms by code, and by instance and code.
func alarms(s control.Status) map[string]control.Alarm {
	m := make(map[string]control.Alarm)
	if s.VRRP != nil {
		for _, a := range s.VRRP.Alarms {
			m[a.Instance+" "+a.Code], m[a.Code] = a, a
		}
	}
	return m
}

// WaitAlarm waits until an alarm is raised; code may have an instance before it.
func (d *director) WaitAlarm(code string, within time.Duration) control.Alarm {
	d.t.Helper()
	s := d.waitFor(within, code+" is raised", func(s control.Status) error {
		if m := alarms(s); m[code].Code == "" {
			return fmt.Errorf("raised are %v", m)
		}
		return nil
	})
	return alarms(s)[code]
}

// WaitNoAlarm waits until an alarm is over.
func (d *director) WaitNoAlarm(code string, within time.Duration) {
	d.t.Helper()
	d.waitFor(within, code+" is over", func(s control.Status) error {
		if a := alarms(s)[code]; a.Code != "" {
			return fmt.Errorf("it is %+v", a)
		}
		return nil
	})
}

// post takes mail and webhooks on a host of the lab.
type post struct {
	inbox mailbox
	mu    sync.Mutex      // of what follows
	hooks []control.Event // of webhooks
	from  []string        // router_id of each
}

func newPost(p *pair, h *netlab.Host) *post {
	box := &post{}
	web, err := h.Listen("tcp", ":8080")
	p.Must(err)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			RouterID string `json:"router_id"`
			control.Event
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			return
		}
		box.mu.Lock()
		box.hooks, box.from = append(box.hooks, body.Event), append(box.from, body.RouterID)
		box.mu.Unlock()
	})}
	go func() { _ = server.Serve(web) }()
	p.t.Cleanup(func() { _ = server.Close() })

	smtp, err := h.Listen("tcp", ":25")
	p.Must(err)
	p.t.Cleanup(func() { _ = smtp.Close() })
	go box.inbox.serve(smtp)
	return box
}

// told says which channels have told an alarm of a host and instance.
func (b *post) told(host, instance, code, to string) (mail, hook bool) {
	_, mail = b.inbox.find(fmt.Sprintf("\r\nSubject: [%s] ALARM %s: %s %s", host, instance, code, to)) // how a line of it starts
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range b.hooks {
		hook = hook || b.from[i] == host && e.Kind == "alarm" && e.Subject == instance && e.Code == code && e.To == to && e.Alarm != nil
	}
	return mail, hook
}

// WaitTold waits until mail and webhook have told an alarm.
func (b *post) WaitTold(p *pair, host, instance, code, to string) {
	p.t.Helper()
	p.Eventually(patience, fmt.Sprintf("%s tells that %s of %s is %s", host, code, instance, to), func() error {
		if mail, hook := b.told(host, instance, code, to); !mail || !hook {
			return fmt.Errorf("by mail: %v, by webhook: %v", mail, hook)
		}
		return nil
	})
}

// channels is the configuration of mail and webhook to the client.
func channels(router string) string {
	return fmt.Sprintf("[global]\nrouter_id = %q\n[notify.mail]\nto = \"ops@example.com\"\nserver = \"192.0.2.50\"\nhelo = \"lab\"\nevents = [\"alarm\"]\n"+
		"[notify.webhook]\nurl = \"http://192.0.2.50:8080/\"\nevents = [\"alarm\"]\n", router)
}

// What differs between the two hosts is named in the status of both and told by
// mail and webhook: four instances, each with another mistake.
func TestDifferingConfigurationsAreNamed(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	box := newPost(p, p.client)
	password := func(s string) string {
		return fmt.Sprintf(`authentication = { type = "PASS", password = %q }`, s)
	}
	a := startDirector(t, p.a, channels("a")+
		vrrp("password", 51, 150, "192.0.2.101/24", "version = 2", password("s3cret"))+
		vrrp("vrid", 52, 150, "192.0.2.102/24", fast)+
		vrrp("interval", 53, 150, "192.0.2.103/24", fast)+
		vrrp("version", 54, 150, "192.0.2.104/24", "version = 3"))
	b := startDirector(t, p.b, channels("b")+
		vrrp("password", 51, 100, "192.0.2.101/24", "version = 2", password("0ther"))+
		vrrp("vrid", 62, 100, "192.0.2.102/24", fast)+
		vrrp("interval", 53, 100, "192.0.2.103/24", `advert_interval = "200ms"`)+
		vrrp("version", 54, 100, "192.0.2.104/24", "version = 2"))
	// The interval of version 3 keeps nobody from being a BACKUP, and a MASTER does
	// not hear its backups.
	for _, tc := range []struct{ instance, code, ofA, ofB string }{
		{"password", "peer_authentication", "another password", "another password"},
		{"vrid", "foreign_vrid", "advertises VRID 62", "advertises VRID 52"},
		{"interval", "peer_interval", "", "every 300ms, this router every 200ms"},
		{"version", "peer_version", "version 2", "version 3"},
	} {
		for _, d := range []struct {
			*director
			name, peer, says string
		}{{a, "a", "192.0.2.2", tc.ofA}, {b, "b", "192.0.2.1", tc.ofB}} {
			if d.says == "" {
				continue
			}
			alarm := d.WaitAlarm(tc.instance+" "+tc.code, patience)
			if !strings.Contains(alarm.Reason, d.peer) || !strings.Contains(alarm.Reason, d.says) {
				t.Errorf("%s says: %s", d.name, alarm.Reason)
			}
			box.WaitTold(p, d.name, tc.instance, tc.code, "raised")
			if text, err := d.CLI("status"); err != nil || !strings.Contains(strings.Join(strings.Fields(text), " "), alarm.Reason) || strings.Contains(text, "s3cret") {
				t.Errorf("status of %s: %v\n%s", d.name, err, text)
			}
		}
	}
}

// B does not hear A, because a firewall drops its packets: two masters. Both see it,
// A by B's adverts and B by A's announcements, and tell it by script, mail and
// webhook; when the firewall is open again the alarms end and A has announced.
func TestTwoMastersAreTold(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	box := newPost(p, p.client)
	p.Run(p.b, "nft", "add table ip lab; add chain ip lab in { type filter hook input priority 0; }; add rule ip lab in ip protocol 112 drop")
	record := p.a.Path("alarms")
	script, err := p.a.WriteFile("alarm.sh", "#!/bin/sh\necho \"$DIRECTOR_SUBJECT $DIRECTOR_ALARM $DIRECTOR_TO $DIRECTOR_PEER\" >>"+record+"\n")
	p.Must(err)
	conf := func(router string, prio int) string {
		return channels(router) + vrrp("VI_1", 51, prio, "192.0.2.100/24", fast)
	}
	a := startDirector(t, p.a, conf("a", 150)+fmt.Sprintf("[vrrp_instance.VI_1.notify]\nalarm = %q\n", script))
	b := startDirector(t, p.b, conf("b", 100))
	two := a.WaitAlarm("two_masters", patience)
	if ev := two.Newest(); ev.Peer != "192.0.2.2" || ev.Says != "priority 100" || ev.Here != "priority 150" {
		t.Errorf("A says %+v", ev)
	}
	mac, err := p.a.MAC("eth0")
	p.Must(err)
	if ev := b.WaitAlarm("foreign_mac", patience).Newest(); ev.MAC != mac.String() || ev.Address != vip.String() {
		t.Errorf("B says %+v, A has %v", ev, mac)
	}
	box.WaitTold(p, "a", "VI_1", "two_masters", "raised")
	box.WaitTold(p, "b", "VI_1", "foreign_mac", "raised")

	p.cap.Reset()
	p.Run(p.b, "nft", "delete table ip lab")
	b.WaitInstance("VI_1", "BACKUP", patience)
	p.onlyOn(p.a, vip, patience)
	a.WaitNoAlarm("two_masters", patience)
	b.WaitNoAlarm("foreign_mac", patience)
	box.WaitTold(p, "a", "VI_1", "two_masters", "clear")
	box.WaitTold(p, "b", "VI_1", "foreign_mac", "clear")
	if !slices.ContainsFunc(p.cap.ARPs(), func(f netlab.ARP) bool {
		return f.Gratuitous() && f.Sender == vip && f.SenderMAC == mac.String()
	}) {
		t.Errorf("A did not announce: %v", p.cap.ARPs())
	}
	p.Eventually(patience, "the script has run for both", func() error {
		got, err := os.ReadFile(record)
		if want := "VI_1 two_masters raised 192.0.2.2\nVI_1 two_masters clear 192.0.2.2\n"; string(got) != want {
			return fmt.Errorf("it wrote %q, %v, want %q", got, err, want)
		}
		return nil
	})
}
