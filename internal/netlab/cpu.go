package netlab

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// onOneCPU makes the calling thread, and with it the processes that it starts from now on, stay on one processor. User Mode
// Linux has one processor of its own, and each of its system calls goes back and forth between two processes of the host: on
// one processor that is a plain switch, on two it is a wake-up of the other one, several times slower and, on a busy
// machine, at the mercy of whatever runs there.
//
// Kernels that run at the same time get different processors as long as there are enough: who has one listens on a socket
// of its number, which goes with the process. release gives it back.
func onOneCPU() (release func()) {
	var allowed, one unix.CPUSet
	if unix.SchedGetaffinity(0, &allowed) != nil || allowed.Count() < 2 {
		return func() {}
	}
	var cpus []int
	for cpu := range len(allowed) * 64 {
		if allowed.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	cpu, release := cpus[os.Getpid()%len(cpus)], func() {} // when all are taken
	for i := range cpus {
		c := cpus[len(cpus)-1-i] // the first ones have the most interrupts
		if l, err := net.Listen("unix", fmt.Sprintf("@netlab-cpu-%d", c)); err == nil {
			cpu, release = c, func() { l.Close() }
			break
		}
	}
	one.Set(cpu)
	_ = unix.SchedSetaffinity(0, &one) // slower without
	return release
}
