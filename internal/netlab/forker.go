package netlab

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// A forker starts processes from one thread that lives until close. The parent-death signal of a process follows the thread
// that forked it, not the process: started from an ordinary goroutine, a child would be killed whenever the Go runtime ends
// that thread.
type forker struct {
	jobs chan func()
	quit chan struct{}
	once sync.Once
}

func newForker() *forker {
	f := &forker{jobs: make(chan func()), quit: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for {
			select {
			case job := <-f.jobs:
				job()
			case <-f.quit:
				return
			}
		}
	}()
	return f
}

// do runs fn on the forker's thread.
func (f *forker) do(fn func() error) error {
	done := make(chan error, 1)
	select {
	case f.jobs <- func() { done <- fn() }:
		return <-done
	case <-f.quit:
		return errors.New("the lab is closed")
	}
}

// close ends the thread; processes that are still running and carry a parent-death signal get it now.
func (f *forker) close() { f.once.Do(func() { close(f.quit) }) }

// writeExecutable makes a file that is going to be run. No process may be forked while it is open for writing: a child would
// hold it open for a moment, and the kernel refuses to run a file that somebody can write.
func writeExecutable(path string, from io.Reader) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Chmod(0o755) // whatever the umask: other users run it too
	}
	return errors.Join(err, f.Close())
}
