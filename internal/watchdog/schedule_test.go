package watchdog

import (
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/config"
)

// What a configuration is silent about stays as the daemon was started; all of it
// comes back when the configuration falls silent.
func TestReschedule(t *testing.T) {
	own, err := schedulingOf(0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	pid := cmd.Process.Pid
	cpu := ""
	for n := range 1024 {
		if own.cpus.IsSet(n) {
			cpu = strconv.Itoa(n)
		}
	}
	only := "" // what is told of a process that has one CPU, unless this one has no other either
	if own.cpus.Count() > 1 {
		only = ", CPU " + cpu
	}
	for _, step := range []struct {
		settings config.Process
		want     string
	}{
		{config.Process{RTPriority: 3, RTTimeLimit: config.Duration(time.Second)}, "real-time priority 3"},
		{config.Process{RTPriority: 99, RTTimeLimit: config.Duration(time.Second), CPUAffinity: cpu}, "real-time priority 99" + only},
		{config.Process{Nice: -11}, "nice -11"},
		{config.Process{Nice: 19, CPUAffinity: cpu}, "nice 19" + only},
		{config.Process{}, own.String()},
	} {
		if err := reschedule(pid, own, step.settings); err != nil {
			t.Fatalf("%+v: %v", step.settings, err)
		}
		if got := treatment(pid, own); got != step.want {
			t.Errorf("%+v: %s, want %s", step.settings, got, step.want)
		}
	}
	if err := reschedule(pid, own, config.Process{CPUAffinity: "1023"}); err == nil {
		t.Error("a CPU that does not exist was accepted")
	}
	var zero unix.CPUSet
	if err := reschedule(pid, scheduling{cpus: zero}, config.Process{Nice: 5}); err != nil || treatment(pid, own) != own.String() {
		t.Errorf("without knowledge of the own scheduling: %v, %s", err, treatment(pid, own))
	}
	if err := reschedule(1<<22, own, config.Process{Nice: 5}); err == nil {
		t.Error("no error for a process that does not exist")
	}
}
