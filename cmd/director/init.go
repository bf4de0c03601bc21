package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// lastOrphans is how long the first process waits, after the daemon's end, for what it
// left behind: children whose parent was killed hand their addresses over.
const lastOrphans = 15 * time.Second

// asInit is the life of the first process of a container, or of another PID namespace.
// The kernel gives it every process whose parent has died, such as what scripts leave
// behind; waiting for those beside one's own children would take them from os/exec. So
// the daemon is a child, and this process passes signals on and collects the dead.
func asInit() error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	program, err := os.Executable()
	if err != nil {
		return &failure{exitFailure, err}
	}
	daemon, err := syscall.ForkExec(program, os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return &failure{exitFailure, fmt.Errorf("start the daemon: %w", err)}
	}
	go func() {
		for s := range signals {
			_ = syscall.Kill(daemon, s.(syscall.Signal)) // fails only when it is dead already
		}
	}()
	status := exitFailure
	for ended := false; ; {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil && status == exitOK: // nobody is left
			return nil
		case err != nil:
			return &failure{status: status}
		case pid == daemon && !ended:
			ended = true
			if status = ws.ExitStatus(); ws.Signaled() {
				status = 128 + int(ws.Signal()) // as a shell tells it
			}
			time.AfterFunc(lastOrphans, func() { os.Exit(status) })
		}
	}
}
