package config

import (
	"slices"
	"strconv"
	"strings"
)

// Process is how the kernel treats one of the child processes.
type Process struct {
	// RTPriority gives the process the real-time policy SCHED_RR at this priority,
	// 1..99: it then runs before everything that has none. 0: it has none.
	RTPriority int `toml:"rt_priority" default:"0" min:"0" max:"99" alias:"vrrp_rt_priority checker_rt_priority max_auto_priority"`
	// RTTimeLimit is how long a real-time process may compute without waiting for
	// anything, before the kernel ends it as one that has gone wild (RLIMIT_RTTIME).
	RTTimeLimit Duration `toml:"rt_time_limit" default:"1s" min:"10ms" max:"60s" alias:"vrrp_rlimit_rttime checker_rlimit_rttime rlimit_rttime"`
	// Nice is the nice value -20..19 of a process without real-time priority; 0
	// leaves it as the daemon was started.
	Nice int `toml:"nice" default:"0" min:"-20" max:"19" alias:"vrrp_priority checker_priority"`
	// CPUAffinity lists the CPUs that the process may run on, such as "0,2-3"; empty:
	// as the daemon was started.
	CPUAffinity string `toml:"cpu_affinity" form:"cpus" default:"=the daemon's own" alias:"vrrp_cpu_affinity checker_cpu_affinity"`
	// LockMemory keeps the memory that the process uses out of the swap space.
	LockMemory bool `toml:"lock_memory" default:"=true for vrrp_process, false for checker_process" alias:"vrrp_no_swap checker_no_swap no_swap"`
}

// CPUs returns the numbers in a list of CPUs such as "0,2-3", in ascending order,
// each once. It returns nil for what is no such list.
func CPUs(list string) []int {
	const most = 1023 // the kernel's CPU_SETSIZE less one
	var cpus []int
	for _, part := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.ParseUint(from, 10, 16)
		last := first
		if err == nil && isRange {
			last, err = strconv.ParseUint(to, 10, 16)
		}
		if err != nil || first > last || last > most {
			return nil
		}
		for c := first; c <= last; c++ {
			cpus = append(cpus, int(c))
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

// processes resolves what depends on which process it is.
func (v *validator) processes() {
	v.process(v.root.child("vrrp_process"), &v.cfg.VRRPProcess, true)
	v.process(v.root.child("checker_process"), &v.cfg.CheckerProcess, false)
}

func (v *validator) process(at place, p *Process, lock bool) {
	if !at.has("lock_memory") {
		p.LockMemory = lock
	}
	if n := at.child("nice"); n.exists() && v.ok(n) && p.Nice != 0 && p.RTPriority > 0 {
		v.errorf(n, "nice = %d has no effect on a process with rt_priority = %d, allowed is one of them", p.Nice, p.RTPriority)
	}
}
