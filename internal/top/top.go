package top

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Source takes samples. It is called by one goroutine.
type Source interface {
	// Sample never fails: what cannot be had is told in the sample.
	Sample(Want) Sample
}

// escapeTime is how long a lone ESC waits for the rest of a key's sequence.
const escapeTime = 50 * time.Millisecond

// viewer is the view while it runs.
type viewer struct {
	*model
	screen  *screen
	keys    chan []byte
	asks    chan Want
	samples chan taken
	asked   bool // a sample is being taken
	last    Want // that it is taken for
	rest    []byte
}

// taken is a sample, or the panic of what should have taken it.
type taken struct {
	sample Sample
	panic  any
}

// Run shows the view on a terminal until the user leaves it or the process is asked to
// end. However it ends, the terminal is as it was before.
func Run(in, out *os.File, source Source, settings Settings) error {
	v := &viewer{screen: &screen{in: in, out: out}, keys: make(chan []byte), asks: make(chan Want, 1), samples: make(chan taken, 1)}
	width, height := v.screen.size()
	v.model = newModel(settings, width, height)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(signals)
	if err := v.screen.enter(); err != nil {
		return err
	}
	defer v.screen.restore()
	go v.read()
	go v.take(source)
	defer close(v.asks)
	return v.loop(signals)
}

// read is the goroutine that reads keys. It ends with the terminal, or with the process.
func (v *viewer) read() {
	defer close(v.keys)
	for {
		buf := make([]byte, 256)
		n, err := v.screen.in.Read(buf)
		if n > 0 {
			v.keys <- buf[:n]
		}
		if err != nil {
			return
		}
	}
}

// take is the goroutine that takes samples: a slow daemon must not keep keys waiting. A
// panic is the loop's, which has a terminal to restore first.
func (v *viewer) take(source Source) {
	defer func() {
		if p := recover(); p != nil {
			v.samples <- taken{panic: p}
		}
	}()
	for w := range v.asks {
		v.samples <- taken{sample: source.Sample(w)}
	}
}

// ask has a sample taken, unless one is under way.
func (v *viewer) ask() {
	if v.asked {
		return
	}
	v.asked, v.last = true, v.want()
	v.asks <- v.last
}

func (v *viewer) loop(signals <-chan os.Signal) error {
	tick := time.NewTimer(v.Interval)
	defer tick.Stop()
	escape := time.NewTimer(time.Hour)
	defer escape.Stop()
	v.ask()
	for !v.done {
		if err := v.screen.draw(v.lines()); err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		interval := v.Interval
		select {
		case b, ok := <-v.keys:
			if !ok {
				return nil // the terminal is gone
			}
			v.rest = append(v.rest, b...)
			v.pressAll(signals)
			escape.Reset(escapeTime)
		case <-escape.C:
			if len(v.rest) > 0 {
				if v.rest[0] == '\x1b' {
					v.press(keyEscape)
				}
				v.rest = nil
			}
		case t := <-v.samples:
			if t.panic != nil {
				panic(t.panic)
			}
			v.asked = false
			if !v.paused {
				v.look(t.sample)
			}
		case <-tick.C:
			if !v.paused {
				v.ask()
			}
			tick.Reset(v.Interval)
		case s := <-signals:
			if s != syscall.SIGWINCH && s != syscall.SIGCONT {
				return nil
			}
			v.resize(v.screen.size())
		}
		if v.Interval != interval {
			tick.Reset(v.Interval)
		}
		// What has come onto the screen is asked for at once.
		if v.seen && !v.paused && !v.last.covers(v.want()) {
			v.ask()
		}
	}
	return nil
}

// pressAll obeys the keys that have come.
func (v *viewer) pressAll(signals <-chan os.Signal) {
	for !v.done {
		key, n := nextKey(v.rest)
		if n == 0 {
			return
		}
		v.rest = v.rest[n:]
		switch key {
		case ctrlZ:
			v.suspend(signals)
		case ctrlL:
			v.resize(v.screen.size())
		default:
			v.press(key)
		}
	}
}

// suspend stops the process, as the shell's job control expects, and goes on when it is
// continued.
func (v *viewer) suspend(signals <-chan os.Signal) {
	v.screen.restore()
	if err := unix.Kill(os.Getpid(), unix.SIGSTOP); err == nil {
		for s := range signals {
			if s == syscall.SIGCONT {
				break
			}
			if s != syscall.SIGWINCH {
				v.done = true
				return
			}
		}
	}
	if err := v.screen.enter(); err != nil {
		v.done = true
		return
	}
	v.resize(v.screen.size())
}
