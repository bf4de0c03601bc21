package test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"director/internal/control"
)

// poolsFarm has a service whose servers come back slowly, with two sorry servers, and one of which half stays in service.
// Both follow the VRRP instance.
const poolsFarm = `
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "wrr"
ramp_up = "10s"
active_with = "outside"
check = { type = "http", path = "/health", interval = "200ms", timeout = "3s", rise = 1, fall = 2 }
sorry_server = [
  { name = "s3", address = "10.0.0.13:80", inhibit = true, check = { type = "http", path = "/health", interval = "200ms", timeout = "3s", rise = 1, fall = 2 } },
  "10.0.0.14:80",
]
real_server = [
  { name = "s1", address = "10.0.0.11:80", weight = 100 },
  { name = "s2", address = "10.0.0.12:80", weight = 100 },
]

[virtual_server.guarded]
address = "192.0.2.80:81"
scheduler = "wrr"
active_with = "outside"
panic_threshold = "50%"
check = { type = "http", path = "/health", interval = "200ms", timeout = "3s", rise = 1, fall = 2 }
real_server = [
  { name = "s1", address = "10.0.0.11:80" },
  { name = "s2", address = "10.0.0.12:80" },
  { name = "s3", address = "10.0.0.13:80" },
  { name = "s4", address = "10.0.0.14:80" },
]
`

// poolsTable is the kernel's table with these lines about the servers of each service, such as "11 w100".
func poolsTable(web, guarded string) string {
	text := ""
	for _, s := range [][2]string{{"192.0.2.80:80", web}, {"192.0.2.80:81", guarded}} {
		text += fmt.Sprintf("-A -t %s -s wrr\n", s[0])
		for _, server := range strings.Split(s[1], ", ") {
			host, weight, _ := strings.Cut(server, " w")
			text += fmt.Sprintf("-a -t %s -r 10.0.0.%s:80 -m -w %s\n", s[0], host, weight)
		}
	}
	return text
}

// testPools sees in the kernel's table what pools do: a service that follows an instance, a weight that rises, sorry
// servers by preference, and the panic guard, also through the death of the checker child.
func testPools(t *testing.T) {
	f := newFarm(t, 1, 4)
	web := f.webServers(f.servers...)
	d := startDirector(t, f.directors[0], pairConfig(100, "500ms")+poolsFarm)
	d.waitMaster()
	const all = "11 w1, 12 w1, 13 w1, 14 w1"
	waitTable(t, d.host, poolsTable("11 w100, 12 w100, 13 w0", all))
	d.WaitServers()

	// s2 comes back: from a tenth to the whole, never down, and the others are left alone.
	web[1].SetHealthy(false)
	waitTable(t, d.host, poolsTable("11 w100, 13 w0", "11 w1, 13 w1, 14 w1"))
	entries := watchTable(t, d.host)
	began := time.Now()
	web[1].SetHealthy(true)
	waitTable(t, d.host, poolsTable("11 w100, 12 w100, 13 w0", all))
	took := time.Since(began)
	entries.Stop()
	changes, _ := entries.Changes()
	var weights []int
	for _, text := range changes {
		m := regexp.MustCompile(`-t 192\.0\.2\.80:80 -r 10\.0\.0\.12:80 -m -w (\d+)`).FindStringSubmatch(text)
		if m == nil {
			continue // the other service was changed before
		}
		n, _ := strconv.Atoi(m[1])
		if len(weights) == 0 || n != weights[len(weights)-1] {
			weights = append(weights, n)
		}
	}
	t.Logf("s2 had the weights %v in %v", weights, took.Round(time.Millisecond))
	for i, n := range weights {
		if i > 0 && n <= weights[i-1] {
			t.Errorf("the weight fell: %v", weights)
			break
		}
	}
	// On a busy machine the watch may miss a step.
	if len(weights) < 5 || weights[0] > 30 || took < 10*time.Second {
		t.Errorf("weights %v in %v, want 10 to 100 in steps in 10s", weights, took)
	}

	// The panic guard: two may fail, the third stays, and the sorry server comes in the other service.
	web[0].SetHealthy(false)
	waitTable(t, d.host, poolsTable("12 w100, 13 w0", "12 w1, 13 w1, 14 w1"))
	web[1].SetHealthy(false)
	waitTable(t, d.host, poolsTable("13 w1", "13 w1, 14 w1"))
	d.WaitService("web", "sorry")
	web[2].SetHealthy(false)
	kept := poolsTable("13 w0, 14 w1", "13 w1, 14 w1")
	waitTable(t, d.host, kept)
	if s := d.WaitServer("guarded", "s3", "down"); !s.Kept || !s.Installed {
		t.Errorf("s3 %+v", s)
	}
	alarm := func(to string) control.Event {
		t.Helper()
		var found control.Event
		f.Eventually(patience, "the alarm is "+to, func() error {
			out, err := d.CLI("events", "--json", "--kind", "alarm")
			if err != nil {
				return err
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &found); err != nil || found.To != to {
				return fmt.Errorf("the events are %s (%v)", out, err)
			}
			return nil
		})
		return found
	}
	if e := alarm("raised"); e.Subject != "guarded" || e.Code != "panic_guard" || !strings.Contains(e.Reason, "healthy weight 1 of 4") {
		t.Errorf("event %+v", e)
	}
	text, err := d.CLI("status")
	f.Must(err)
	for _, want := range []string{"panic guard: weight 2 of 4 (50%) stays in service", "the panic guard keeps it in service", "in the kernel's table while the instance outside is MASTER"} {
		if !strings.Contains(text, want) {
			t.Errorf("the status does not say %q:\n%s", want, text)
		}
	}

	// A new process of either kind changes nothing, and raises no second alarm.
	entries = watchTable(t, d.host)
	asked := web[2].HealthChecks()
	d.WaitRespawn("checkers", d.Kill("checkers"), patience)
	f.Within(patience, "the dead server is asked again", func() bool { return web[2].HealthChecks() > asked+4 })
	if changes, looks := entries.Changes(); len(changes) > 0 || looks == 0 {
		t.Errorf("the table changed: %s", strings.Join(changes, "\n"))
	}
	d.WaitRespawn("vrrp", d.Kill("vrrp"), patience)
	if i := d.WaitInstance("outside", "MASTER", patience); i.Code != "resumed" {
		t.Logf("on this busy machine the VRRP child was back too late to go on: %s", i.Reason)
	} else if changes, _ := entries.Changes(); len(changes) > 0 {
		t.Errorf("the table changed with the new VRRP child: %s", strings.Join(changes, "\n"))
	}
	entries.Stop()
	waitTable(t, d.host, kept)
	if n := strings.Count(d.Log(), "alarm=panic_guard"); n != 1 {
		t.Errorf("%d lines about the alarm:\n%s", n, linesWith(d.Log(), "panic_guard"))
	}

	// All back: the preferred sorry server first.
	web[2].SetHealthy(true)
	waitTable(t, d.host, poolsTable("13 w1", "13 w1, 14 w1"))
	alarm("clear")
	web[0].SetHealthy(true)
	web[1].SetHealthy(true)
	waitTable(t, d.host, poolsTable("11 w100, 12 w100, 13 w0", all))

	// Without the role the services leave the table, and come back with it.
	f.Must(d.host.LinkDown("eth0"))
	d.WaitInstance("outside", "FAULT", patience)
	waitTable(t, d.host, "")
	if s := d.Service("web"); !s.Standby || s.State != "up" {
		t.Errorf("on standby: %+v", s)
	}
	addresses := watchAddresses(t, d.host, outsideVIP)
	entries = watchTable(t, d.host)
	f.Must(d.host.LinkUp("eth0"))
	waitTable(t, d.host, poolsTable("11 w100, 12 w100, 13 w0", all))
	entries.Stop()
	if moves := addresses.Events(); len(moves) == 0 || !moves[len(moves)-1].Added {
		t.Errorf("the address: %v", moves)
	} else {
		behind := entries.LastChange().Sub(moves[len(moves)-1].Time)
		t.Logf("the table was complete %v after the virtual address", behind.Round(time.Millisecond))
		if behind > time.Second+slack+stood(moves[len(moves)-1].Time) {
			t.Errorf("the table was complete %v after the virtual address", behind)
		}
	}
	d.Stop()
	wantTable(t, d.host, "")
}
