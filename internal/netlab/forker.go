package netlab

import (
	"os/exec"
	"runtime"
)

// A forker starts processes from one thread that lives until close. The parent-death signal of a process follows the thread
// that forked it, not the process: started from an ordinary goroutine, a child would be killed whenever the Go runtime ends
// that thread.
type forker struct {
	jobs chan func()
}

func newForker() *forker {
	f := &forker{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for job := range f.jobs {
			job()
		}
	}()
	return f
}

// do runs fn on the forker's thread.
func (f *forker) do(fn func() error) error {
	done := make(chan error, 1)
	f.jobs <- func() { done <- fn() }
	return <-done
}

// start starts cmd. It may be waited for on any goroutine.
func (f *forker) start(cmd *exec.Cmd) error { return f.do(cmd.Start) }

// close ends the thread; processes that are still running and carry a parent-death signal get it now.
func (f *forker) close() { close(f.jobs) }
