package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"director/internal/control"
)

// testFarmReload changes the configuration under load and with a long transfer: every change that does not concern the
// transfer's own server leaves it alone, and so does every mistake.
func testFarmReload(t *testing.T) {
	f := newFarm(t, 1, 3)
	web := f.webServers(f.servers...)
	conf := plainFarm + pairConfig(100, "300ms")
	d := startDirector(t, f.directors[0], conf)
	d.waitMaster()
	d.WaitServers()
	addresses := watchAddresses(t, d.host, outsideVIP, insideVIP)
	load := f.client.LoadHTTP(t.Context(), farmURL, 40*time.Millisecond, 20*time.Second)
	defer load.Stop()
	transfer, err := f.client.LongTransfer(t.Context(), farmURL+"stream")
	f.Must(err)
	defer transfer.Stop()
	f.Must(load.AwaitOK(patience, 10))
	// The server that the transfer comes from stays in every configuration; another is taken out and put back.
	holder := ""
	f.Eventually(patience, "the server of the transfer is known", func() error {
		for _, r := range d.Service("web").Servers {
			if c := kernelCounts(t, d.host)["192.0.2.80:80 "+r.Address]; c.Active > 0 && r.Active > 0 {
				holder = r.Name
				return nil
			}
		}
		return fmt.Errorf("no active connection")
	})
	victim, other := "s1", "s2"
	if holder == victim {
		victim, other = "s3", "s2"
	}
	if holder == other {
		other = "s3"
	}
	number := func(name string) string { return name[1:] }
	line := func(name string) string {
		return fmt.Sprintf("  { name = %q, address = \"10.0.0.1%s:80\" },\n", name, number(name))
	}
	entry := func(name string) string {
		return fmt.Sprintf("-a -t 192.0.2.80:80 -r 10.0.0.1%s:80 -m -w 1", number(name))
	}
	edit := func(text, old, new string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in\n%s", old, text)
		}
		return strings.Replace(text, old, new, 1)
	}
	generation := d.Status().Generation
	since := d.Instance("outside").Since
	unharmed := func(t *testing.T) {
		t.Helper()
		before := transfer.Bytes()
		f.Must(load.AwaitOK(patience, 20))
		if s := load.Stats(); s.Failed != 0 {
			t.Errorf("requests were lost: %v", s)
		}
		f.Within(patience, "the transfer goes on", func() bool { return transfer.Bytes() > before || transfer.Err() != nil })
		if err := transfer.Err(); err != nil {
			t.Errorf("the long transfer from %s broke: %v", holder, err)
		}
		if got := addresses.Events(); len(got) != 0 {
			t.Errorf("virtual addresses moved: %v", got)
		}
		if i := d.Instance("outside"); i.State != "MASTER" || !i.Since.Equal(since) {
			t.Errorf("outside is %s since %v, was MASTER since %v", i.State, i.Since, since)
		}
	}
	// reload puts a configuration in force and returns the status.
	reload := func(t *testing.T, text string) control.Status {
		t.Helper()
		if err := d.Reload(text); err != nil {
			t.Fatal(err)
		}
		generation++
		s := d.Status()
		if s.Generation != generation || s.LastReload == nil || !s.LastReload.OK {
			t.Errorf("generation %d, last reload %+v, want generation %d", s.Generation, s.LastReload, generation)
		}
		return s
	}
	passed := func(s control.Status, name string) uint64 {
		v, err := findService(s, "web")
		f.Must(err)
		r, err := serverOf(v, name)
		f.Must(err)
		return r.Checks[0].Passed
	}

	t.Run("nothing changed", func(t *testing.T) {
		before := d.Status()
		s := reload(t, conf)
		if got, want := passed(s, holder), passed(before, holder); got < want {
			t.Errorf("the count of checks began anew: %d, was %d", got, want)
		}
		d.waitLog(0, 1, "changed=0 removed=0 kernel_changes=0")
		wantTable(t, d.host, plainTable)
		unharmed(t)
	})
	t.Run("a weight", func(t *testing.T) {
		heavy := edit(conf, line(other), strings.Replace(line(other), " }", ", weight = 3 }", 1))
		reload(t, edit(heavy, `"rr"`, `"wrr"`))
		wantTable(t, d.host, edit(edit(plainTable, entry(other), strings.TrimSuffix(entry(other), "1")+"3"), "-s rr", "-s wrr"))
		unharmed(t)
		reload(t, conf)
		wantTable(t, d.host, plainTable)
	})
	t.Run("a server removed and added", func(t *testing.T) {
		reload(t, edit(conf, line(victim), ""))
		wantTable(t, d.host, edit(plainTable, entry(victim), ""))
		unharmed(t)
		// The new one is asked before it is trusted.
		web[int(victim[1]-'1')].SetHealthy(false)
		reload(t, conf)
		d.WaitServer("web", victim, "down")
		wantTable(t, d.host, edit(plainTable, entry(victim), ""))
		web[int(victim[1]-'1')].SetHealthy(true)
		d.WaitServers()
		wantTable(t, d.host, plainTable)
		unharmed(t)
	})
	t.Run("a virtual server added and removed", func(t *testing.T) {
		more := conf + `
[virtual_server.more]
address = "192.0.2.80:8080"
scheduler = "rr"
check = { type = "tcp", interval = "500ms" }
real_server = ["10.0.0.11:80", "10.0.0.12:80"]
`
		reload(t, more)
		d.WaitServers()
		wantTable(t, d.host, plainTable+`
			-A -t 192.0.2.80:8080 -s rr
			-a -t 192.0.2.80:8080 -r 10.0.0.11:80 -m -w 1
			-a -t 192.0.2.80:8080 -r 10.0.0.12:80 -m -w 1`)
		if got := f.ask(2, "http://"+outsideVIP+":8080/"); got["s1"] != 1 || got["s2"] != 1 {
			t.Errorf("answers %v, want one of s1 and one of s2", got)
		}
		unharmed(t)
		reload(t, conf)
		wantTable(t, d.host, plainTable)
		unharmed(t)
	})
	t.Run("a broken file", func(t *testing.T) {
		before := d.Status()
		broken := edit(edit(conf, `scheduler = "rr"`, `scheduler = "fair"`), "priority = 100", "priorty = 100")
		err := d.Reload(broken)
		if err == nil {
			t.Fatal("it was accepted")
		}
		t.Logf("refused:\n%v", err)
		for _, mistake := range []string{`scheduler = "fair"`, "priorty = 100"} {
			head, _, _ := strings.Cut(broken, mistake)
			if place := fmt.Sprintf("%s:%d: ", d.ConfigPath(), strings.Count(head, "\n")+1); !strings.Contains(err.Error(), place) {
				t.Errorf("the refusal does not name %s", place)
			}
		}
		for _, hint := range []string{`"fair"`, "priority"} {
			if !strings.Contains(err.Error(), hint) {
				t.Errorf("the refusal does not say %s", hint)
			}
		}
		s := d.Status()
		if s.Generation != before.Generation || s.LastReload == nil || s.LastReload.OK || len(s.LastReload.Errors) != 2 {
			t.Errorf("generation %d, was %d; last reload %+v", s.Generation, before.Generation, s.LastReload)
		}
		wantTable(t, d.host, plainTable)
		// The command says the same, and its status says no.
		if out, err := d.CLI("reload"); err == nil || !strings.Contains(out, "director.toml:") {
			t.Errorf("director reload: %v\n%s", err, out)
		}
		if out, err := d.CLI("check", "-c", d.ConfigPath()); err == nil || !strings.Contains(out, "director.toml:") {
			t.Errorf("director check: %v\n%s", err, out)
		}
		unharmed(t)
		if err := d.Reload(conf); err != nil {
			t.Fatal(err)
		}
		if s = d.Status(); !s.LastReload.OK || s.Generation <= before.Generation {
			t.Errorf("generation %d, last reload %+v", s.Generation, s.LastReload)
		}
		wantTable(t, d.host, plainTable)
	})
	t.Run("the addresses", func(t *testing.T) {
		// A second address comes and goes; the first one does not notice.
		two := edit(conf, `["192.0.2.80/24"]`, `["192.0.2.80/24", "192.0.2.81/24"]`)
		if err := d.Reload(two); err != nil {
			t.Fatal(err)
		}
		second := netip.MustParseAddr("192.0.2.81")
		f.Within(patience, "the second address is there", func() bool { return d.host.HasAddr(second) })
		unharmed(t)
		if err := d.Reload(conf); err != nil {
			t.Fatal(err)
		}
		f.Within(patience, "the second address is gone", func() bool { return !d.host.HasAddr(second) })
		unharmed(t)
	})
	t.Logf("in all: %v; transfer of %d bytes from %s, longest stall %v", load.Stats(), transfer.Bytes(), holder, transfer.LongestStall().Round(time.Millisecond))
	if c := d.Status().Checkers; c.Repairs != 0 {
		t.Errorf("%d repairs, want none", c.Repairs)
	}

	// The command returns when all is over.
	transfer.Stop()
	load.Stop()
	if out, err := d.CLI("stop"); err != nil {
		t.Errorf("director stop: %v\n%s", err, out)
	}
	wantTable(t, d.host, "")
	if code, err := d.Wait(patience); err != nil || code != 0 {
		t.Errorf("director ended with %d after director stop, want 0: %v", code, err)
	}
}
