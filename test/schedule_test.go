package test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"director/internal/control"
)

// threads returns how the kernel runs each thread of a process.
func threads(t *testing.T, pid int) []*unix.SchedAttr {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	var attrs []*unix.SchedAttr
	for _, e := range list {
		tid, _ := strconv.Atoi(e.Name())
		a, err := unix.SchedGetAttr(tid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		attrs = append(attrs, a)
	}
	return attrs
}

// Every thread of the VRRP child runs with the real-time priority that is configured, on the CPUs that are, and with locked
// memory, from the start, after a kill and after a reload; scripts do not, and a child that is told so gives all of it back.
func TestScheduling(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := func(process string) string {
		script := "[vrrp_script.how]\nscript = [\"/bin/sh\", \"-c\", \"chrt -p $$; grep Cpus_allowed_list /proc/$$/status\"]\nuser = \"root\"\ninterval = \"200ms\"\ntimeout = \"3s\"\n"
		return "[vrrp_process]\n" + process + "\n" + script + vrrp("VI_1", 51, 150, "192.0.2.100/24", fast, "track_script = [\"how\"]")
	}
	// The first of the machine's CPUs. With one there is nothing to tell of it.
	var cpus unix.CPUSet
	p.Must(unix.SchedGetaffinity(0, &cpus))
	cpu := 0
	for !cpus.IsSet(cpu) {
		cpu++
	}
	onlyCPU, others := fmt.Sprintf("CPU %d, ", cpu), cpus.Count() > 1
	if !others {
		onlyCPU = ""
	}
	d := startDirector(t, p.a, conf(fmt.Sprintf("rt_priority = 7\nrt_time_limit = \"700ms\"\ncpu_affinity = \"%d\"", cpu)))
	d.WaitInstance("VI_1", "MASTER", patience)

	realTime := func(when string) {
		t.Helper()
		d.waitFor(patience, "memory is locked", func(control.Status) error {
			if s := d.Role("vrrp").Scheduling; !strings.HasSuffix(s, "memory locked") {
				return errors.New(s)
			}
			return nil
		})
		proc := d.Role("vrrp")
		if want := "real-time priority 7, " + onlyCPU + "memory locked"; proc.Scheduling != want || proc.Unfit != "" {
			t.Errorf("%s status says %q (%q), want %q", when, proc.Scheduling, proc.Unfit, want)
		}
		for i, a := range threads(t, proc.PID) {
			if a.Policy != unix.SCHED_RR || a.Priority != 7 {
				t.Errorf("%s thread %d has policy %d and priority %d", when, i, a.Policy, a.Priority)
			}
		}
		var limit unix.Rlimit
		if err := unix.Prlimit(proc.PID, unix.RLIMIT_RTTIME, nil, &limit); err != nil || limit.Cur != 700_000 {
			t.Errorf("%s the limit of computing is %d us, %v", when, limit.Cur, err)
		}
	}
	realTime("at the start")
	for _, proc := range []int{d.Pid(), d.PID("vrrp")} {
		if got := threads(t, proc)[0].Policy; (got == unix.SCHED_RR) != (proc != d.Pid()) {
			t.Errorf("process %d has policy %d", proc, got)
		}
	}
	var output string
	d.waitFor(patience, "the script has run", func(s control.Status) error {
		output = s.VRRP.Scripts[0].Output
		if !strings.Contains(output, "Cpus_allowed_list") {
			return fmt.Errorf("output %q", output)
		}
		return nil
	})
	if !strings.Contains(output, "SCHED_OTHER") || others && strings.HasSuffix(strings.TrimSpace(output), fmt.Sprintf("\t%d", cpu)) {
		t.Errorf("a script runs as the child does: %q", output)
	}

	pid := d.Kill("vrrp")
	d.WaitRespawn("vrrp", pid, patience)
	d.WaitInstance("VI_1", "MASTER", patience)
	realTime("after the kill")

	if out, err := d.CLI("status"); err != nil || !strings.Contains(out, "runs with real-time priority 7, "+onlyCPU+"memory locked") {
		t.Errorf("status: %v\n%s", err, out)
	}
	if err := d.Reload(conf("nice = -3\nlock_memory = false")); err != nil {
		t.Fatal(err)
	}
	proc := d.Role("vrrp")
	if proc.Scheduling != "nice -3" || proc.Unfit != "" {
		t.Errorf("after the reload status says %q (%q)", proc.Scheduling, proc.Unfit)
	}
	for i, a := range threads(t, proc.PID) {
		if a.Policy != unix.SCHED_NORMAL || a.Nice != -3 {
			t.Errorf("after the reload thread %d has policy %d and nice %d", i, a.Policy, a.Nice)
		}
	}
	d.waitFor(patience, "lateness is measured", func(s control.Status) error {
		if l := s.VRRP.Lateness; l.Count == 0 || l.Within(0.99) <= 0 {
			return fmt.Errorf("lateness: %+v", l)
		}
		return nil
	})

	// The kernel's word that it has computed for too long ends it, and says where it was.
	pid = d.SignalRole("vrrp", syscall.SIGXCPU)
	d.WaitRespawn("vrrp", pid, patience)
	d.WaitInstance("VI_1", "MASTER", patience)
	d.waitLog(0, 1, "rt_time_limit")
	d.waitLog(0, 1, "vrrpd.(*Daemon).loop") // where the child was
}

// Without the right to it the daemon works all the same, and says what it did not get.
func TestSchedulingRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	d := &director{t: t, host: p.a, configPath: p.a.Path("director.toml"), runtimeDir: p.a.Path("run")}
	d.WriteConfig("[vrrp_process]\nrt_priority = 50\n" + vrrp("VI_1", 51, 150, "192.0.2.100/24", fast))
	var err error
	argv := append([]string{"setpriv", "--bounding-set=-sys_nice,-ipc_lock,-sys_resource"}, d.argv("run", "-c", d.ConfigPath())...)
	if d.Process, err = p.a.Start("director", argv...); err != nil {
		t.Fatal(err)
	}
	d.WaitReady()
	d.WaitInstance("VI_1", "MASTER", patience)
	proc := d.Role("vrrp")
	for _, want := range []string{"real-time priority 50: operation not permitted", "nice -20: operation not permitted"} {
		if !strings.Contains(proc.Unfit, want) {
			t.Errorf("status says %q, not %q", proc.Unfit, want)
		}
	}
	if proc.Scheduling != "normal priority" {
		t.Errorf("status says %q", proc.Scheduling)
	}
	p.Eventually(patience, "the log tells all", func() error {
		for _, want := range []string{"child does not run as configured", "cannot lock memory", "CAP_IPC_LOCK is missing"} {
			if !strings.Contains(d.Log(), want) {
				return fmt.Errorf("not %q", want)
			}
		}
		return nil
	})
	d.waitFor(patience, "status tells of memory", func(control.Status) error {
		if s := d.Role("vrrp").Unfit; !strings.Contains(s, "its memory is not locked") {
			return errors.New(s)
		}
		return nil
	})
}
