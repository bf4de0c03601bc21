package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"director/internal/control"
	"director/internal/netlab"
)

// testDrain takes the server of a long transfer out of service: by an order and by a reload, and kills the processes of
// director while it drains. The transfer ends when the client ends it, and the server leaves then.
func testDrain(t *testing.T) {
	f := newFarm(t, 1, 3)
	f.webServers(f.servers...)
	conf := plainFarm + pairConfig(100, "300ms")
	d := startDirector(t, f.directors[0], conf)
	d.waitMaster()
	d.WaitServers()

	// begin begins a transfer and tells which server it comes from, and its line in ipvsadm's table.
	begin := func() (transfer *netlab.Transfer, holder, line string) {
		t.Helper()
		transfer, err := f.client.LongTransfer(t.Context(), farmURL+"stream")
		f.Must(err)
		f.Eventually(patience, "the server of the transfer is known", func() error {
			for _, r := range d.Service("web").Servers {
				if r.Active > 0 {
					holder = r.Name
					return nil
				}
			}
			return errors.New("no active connection")
		})
		return transfer, holder, fmt.Sprintf("-a -t 192.0.2.80:80 -r 10.0.0.1%s:80 -m -w 1", holder[1:])
	}
	unharmed := func(transfer *netlab.Transfer) {
		t.Helper()
		before := transfer.Bytes()
		f.Within(patience, "the transfer goes on", func() bool { return transfer.Bytes() > before || transfer.Err() != nil })
		if err := transfer.Err(); err != nil {
			t.Errorf("the long transfer broke: %v", err)
		}
	}
	override := func(holder string) control.Override {
		t.Helper()
		r, err := serverOf(d.Service("web"), holder)
		f.Must(err)
		if r.Override == nil {
			t.Fatalf("nothing is ordered for %s", holder)
		}
		return *r.Override
	}

	transfer, holder, line := begin()
	defer transfer.Stop()
	if out, err := d.CLI("drain", "web", "all"); err == nil || !strings.Contains(out, "would lose the last serving server") {
		t.Errorf("all servers were drained: %v, %s", err, out)
	}
	out, err := d.CLI("drain", "web", holder, "--reason", "new kernel", "--deadline", "10m")
	f.Must(err)
	if !strings.Contains(out, "new kernel; 1 connection left; out of service in") {
		t.Errorf("the answer does not tell of the connection:\n%s", out)
	}
	drained := strings.Replace(plainTable, line, strings.TrimSuffix(line, "1")+"0", 1)
	wantTable(t, d.host, drained)
	if got := f.ask(6, farmURL); got[holder] != 0 || len(got) != 2 {
		t.Errorf("%s drains, and answers were from %v", holder, got)
	}
	unharmed(transfer)

	d.WaitRespawn("checkers", d.Kill("checkers"), patience)
	wantTable(t, d.host, drained)
	unharmed(transfer)
	d.Kill("parent")
	f.Eventually(patience, "no process is left", func() error {
		if left := d.host.Processes(); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
	wantTable(t, d.host, drained)
	d = d.Again()
	d.waitMaster()
	wantTable(t, d.host, drained)
	unharmed(transfer)
	if o := override(holder); o.Order != control.VerbDrain || o.Reason != "new kernel" || o.Author != "root" || o.By.IsZero() {
		t.Errorf("after all that, in force is %+v", o)
	}

	waited := make(chan error, 1)
	go func() {
		_, err := d.CLI("drain", "web", holder, "--deadline", "10m", "--wait")
		waited <- err
	}()
	f.Eventually(patience, "the drain is ordered anew", func() error {
		if o := override(holder); o.Reason != "" {
			return fmt.Errorf("%+v", o)
		}
		return nil
	})
	transfer.Stop()
	if err := <-waited; err != nil {
		t.Errorf("director drain --wait: %v", err)
	}
	waitTable(t, d.host, strings.Replace(plainTable, line, "", 1))
	if o := override(holder); o.Order != control.VerbMaintain || o.After != control.AfterDrained {
		t.Errorf("after the drain, in force is %+v", o)
	}
	if _, err := d.CLI("ready", "--everywhere", "10.0.0.1"+holder[1:], "--wait"); err != nil {
		t.Error(err)
	}
	wantTable(t, d.host, plainTable)

	// The deadline cuts off what is left, and the command says so.
	transfer, holder, line = begin()
	defer transfer.Stop()
	_, err = d.CLI("drain", "web", holder, "--deadline", "1s", "--wait")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 5 {
		t.Errorf("director drain --wait over its deadline: %v, want exit status 5", err)
	}
	waitTable(t, d.host, strings.Replace(plainTable, line, "", 1))
	transfer.Stop()
	if _, err := d.CLI("ready", "web", "all", "--wait"); err != nil {
		t.Error(err)
	}

	// By a reload: the server is not in the file any more.
	gentle := strings.Replace(conf, `scheduler = "rr"`, "scheduler = \"rr\"\ndrain_on_remove = \"10m\"", 1)
	transfer, holder, line = begin()
	defer transfer.Stop()
	entry := fmt.Sprintf("  { name = %q, address = \"10.0.0.1%s:80\" },\n", holder, holder[1:])
	f.Must(d.Reload(strings.Replace(gentle, entry, "", 1)))
	drained = strings.Replace(plainTable, line, strings.TrimSuffix(line, "1")+"0", 1)
	wantTable(t, d.host, drained)
	d.WaitRespawn("checkers", d.Kill("checkers"), patience)
	wantTable(t, d.host, drained)
	unharmed(transfer)
	if l := d.Service("web").Leaving; len(l) != 1 || l[0].Name != holder || l[0].Active != 1 {
		t.Errorf("leaving: %+v", l)
	}
	transfer.Stop()
	waitTable(t, d.host, strings.Replace(plainTable, line, "", 1))

	// UDP has no end: what the kernel remembers of it is waited for, and is never active. Nobody has to answer for that.
	f.Must(d.Reload(conf + `
[virtual_server.udp]
address = "192.0.2.80:5000"
protocol = "udp"
scheduler = "rr"
real_server = ["10.0.0.11:5000", "10.0.0.12:5000"]
`))
	for range 2 {
		_, err := f.client.Run("bash", "-c", "echo hello > /dev/udp/192.0.2.80/5000")
		f.Must(err)
	}
	out, err = d.CLI("drain", "udp", "10.0.0.11", "--deadline", "10m", "--json")
	f.Must(err)
	var r control.OrderResult
	f.Must(json.Unmarshal([]byte(out), &r))
	if s := r.Servers[0]; s.Active != 0 || s.Inactive != 1 || s.Override.Left != 1 {
		t.Errorf("a conversation of UDP: %+v", s)
	}

	out, err = d.CLI("events", "--kind", "maintenance")
	f.Must(err)
	for _, want := range []string{
		"ready -> drain", "ordered by root: new kernel; out of service when no connection is left, after 10m0s at the latest",
		"drain -> maintain", "no connection is left", "the deadline is over with 1 connection left", "maintain -> ready", "listed -> leaving", "leaving -> gone",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the events do not tell %q:\n%s", want, out)
		}
	}
	d.Stop()
}
