package test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/internal/netlab"
)

const webTable = "[web]\nlisten = [\"127.0.0.1:80\"]\nupdate_interval = \"250ms\"\n"

// observerPID waits until an observer process other than the former one runs, and returns its number.
func (d *director) observerPID(role string, former int) int {
	d.t.Helper()
	return d.WaitRespawn(role, former, patience).PID
}

// hasNoRights looks at a process from outside: it may do nothing, is called by its role, and has of the daemon the reading end
// of a pipe and nothing else.
func (d *director) hasNoRights(role string, pid int) {
	t := d.t
	t.Helper()
	proc := func(name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
	text, err := os.ReadFile(proc("status"))
	if err != nil {
		t.Fatal(err)
	}
	status := make(map[string]string)
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.Join(strings.Fields(value), " ")
	}
	for key, want := range map[string]string{
		"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapBnd": "0000000000000000", "CapAmb": "0000000000000000",
		"NoNewPrivs": "1", "Uid": "65534 65534 65534 65534", "Gid": "65534 65534 65534 65534", "Groups": "",
	} {
		if status[key] != want {
			t.Errorf("%s of the %s process is %q, want %q", key, role, status[key], want)
		}
	}
	if argv, err := os.ReadFile(proc("cmdline")); err != nil || strings.Trim(string(argv), "\x00") != "director: "+role {
		t.Errorf("it is called %q", argv)
	}
	fds, err := os.ReadDir(proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	var channels []string
	for _, fd := range fds {
		link, _ := os.Readlink(proc("fd/" + fd.Name()))
		if strings.Contains(link, "director.sock") || strings.Contains(link, d.RuntimeDir()) {
			t.Errorf("it has %s open", link)
		}
		if fd.Name() != "0" && fd.Name() != "1" && fd.Name() != "2" && strings.HasPrefix(link, "pipe:") {
			info, err := os.ReadFile(proc("fdinfo/" + fd.Name()))
			if err != nil {
				t.Fatal(err)
			}
			channels = append(channels, fd.Name())
			flags := regexp.MustCompile(`flags:\s+(\d+)`).FindStringSubmatch(string(info))
			if n, err := strconv.ParseUint(flags[1], 8, 32); err != nil || n&unix.O_ACCMODE != unix.O_RDONLY {
				t.Errorf("it can write to descriptor %s: flags %s", fd.Name(), flags[1])
			}
		}
	}
	if !slices.Equal(channels, []string{"3"}) {
		t.Errorf("its pipes are descriptors %v, want 3 alone", channels)
	}
}

// metric returns the value of a series, or what is wrong.
func metric(h *netlab.Host, series string) (float64, error) {
	code, body, err := h.Get("http://127.0.0.1/metrics", 5*time.Second)
	if err != nil || code != http.StatusOK {
		return 0, fmt.Errorf("status %d: %w", code, err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(body)
	if m == nil {
		return 0, fmt.Errorf("no %s", series)
	}
	return strconv.ParseFloat(m[1], 64)
}

// TestWebHasNoRights: the fourth process may do nothing, has only what it needs open, and its death is nobody's concern.
func TestWebHasNoRights(t *testing.T) {
	p := newPair(t)
	a := startDirector(t, p.a, webTable+vrrp("VI_1", 51, 150, "192.0.2.100/24", fast))
	a.WaitInstance("VI_1", "MASTER", patience)
	pid := a.observerPID("web", 0)
	a.hasNoRights("web", pid)

	p.Eventually(patience, "metrics of the instance", func() error {
		n, err := metric(p.a, `director_vrrp_instance_state{family="ipv4",state="MASTER",vrrp_instance="VI_1"}`)
		if err == nil && n != 1 {
			err = fmt.Errorf("MASTER is %v", n)
		}
		return err
	})
	if code, body, err := p.a.Get("http://127.0.0.1/healthz/master/VI_1", 5*time.Second); err != nil || code != 200 {
		t.Errorf("healthz: %d %s %v", code, body, err)
	}

	// A change of state is there within a second.
	p.Must(p.a.LinkDown("eth0"))
	var shown time.Time
	p.Eventually(patience, "the change on the page", func() error {
		_, body, err := p.a.Get("http://127.0.0.1/api/page", 5*time.Second)
		if err == nil && !strings.Contains(body, `"state":"FAULT"`) {
			err = errors.New(body)
		}
		shown = time.Now()
		return err
	})
	for _, i := range a.Status().VRRP.Instances {
		t.Logf("a change of state was shown after %v", shown.Sub(i.Since).Round(time.Millisecond))
		if late := shown.Sub(i.Since); late > 5*time.Second+stood(i.Since) { // a second, and what a busy machine takes
			t.Errorf("the change was shown %v after it happened", late)
		}
	}
	if code, body, err := p.a.Get("http://127.0.0.1/healthz/master/VI_1", 5*time.Second); err != nil || code != 503 {
		t.Errorf("healthz of a FAULT: %d %s %v", code, body, err)
	}
	p.Must(p.a.LinkUp("eth0"))
	a.WaitInstance("VI_1", "MASTER", patience)

	before := a.Status()
	p.Must(unix.Kill(pid, unix.SIGKILL))
	again := a.observerPID("web", pid)
	if again == pid {
		t.Error("it was not started again")
	}
	after := a.Status()
	if after.VRRP.Instances[0].Transitions != before.VRRP.Instances[0].Transitions || after.Processes[1].PID != before.Processes[1].PID {
		t.Errorf("its death concerned others: %+v, before %+v", after.Processes, before.Processes)
	}
	p.Must(a.Process.Stop(patience))
	p.Within(patience, "the web process is gone with the daemon", func() bool { return unix.Kill(again, 0) == unix.ESRCH })
}
