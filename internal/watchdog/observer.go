package watchdog

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"syscall"
	"time"

	"director/internal/control"
	"director/internal/script"
)

const (
	// observerGap is the least time between two states that an observer is told.
	observerGap = 250 * time.Millisecond
	// observerGather has what happens at the same time told at once.
	observerGather = 20 * time.Millisecond
	// observerShare is how long nothing is told for each byte of the last state: what
	// thousands of servers take to gather, encode and decode is then a small part of
	// the time. With 40,000 servers that is a second of CPU every 8 s.
	observerShare = time.Microsecond
	// observerLeave is what an observer gets to end by itself.
	observerLeave = 500 * time.Millisecond
)

// observer is what the parent knows of a process that only shows what director does.
// Nothing of the rest waits for it, and nothing that happens to it is anybody else's
// failure.
type observer struct {
	p        *parent
	kind     observerKind
	settings *Settings // nil: not configured
	terms    terms     // of the settings
	sockets  map[string]*os.File
	run      *observerProcess // nil while there is none

	try      uint64 // the newest attempt to start one; the outcome of older ones is void
	backoff  backoff
	retry    *time.Timer // armed while an attempt is delayed
	retryAt  time.Time
	restarts int
	problem  string // why there is none, or why the last one ended

	asking bool        // the state is being gathered or written
	again  bool        // something happened since
	asked  time.Time   // when it was gathered last
	size   int         // of it, in bytes
	timer  *time.Timer // armed for the next
}

// observerProcess is one run of it.
type observerProcess struct {
	feed    *feeder
	proc    *os.Process // nil until the fork is done
	spawned time.Time
	reads   bool // it has taken a state
	asked   bool // to end
	hung    bool
	over    chan struct{} // closed when it has exited
}

func newObserver(p *parent, kind observerKind) *observer {
	return &observer{p: p, kind: kind, sockets: make(map[string]*os.File)}
}

// apply takes a configuration that has come into force.
func (o *observer) apply() {
	c := o.p.force.config
	settings := o.kind.settings(c)
	if settings != nil {
		settings.LogLevel, settings.LogFormat = c.Global.LogLevel, c.Global.LogFormat
	}
	if reflect.DeepEqual(settings, o.settings) {
		if o.run != nil {
			o.tellConfig()
		}
		return
	}
	o.settings, o.problem = settings, ""
	if settings != nil {
		o.terms = o.kind.terms(settings)
	}
	o.backoff.reset()
	o.cancel()
	if o.run == nil {
		o.begin()
		return
	}
	o.end(o.run) // the next begins when it is gone
}

// tellConfig tells the configuration in force to an observer that needs it.
func (o *observer) tellConfig() {
	if o.kind.configured {
		o.run.feed.config(o.p.force.config)
	}
}

// cancel gives up an attempt that is delayed or under way.
func (o *observer) cancel() {
	o.try++
	for _, t := range []*time.Timer{o.retry, o.timer} {
		if t != nil {
			t.Stop()
		}
	}
	o.retry, o.timer = nil, nil
}

// begin prepares a process: what may take its time, elsewhere.
func (o *observer) begin() {
	o.retry = nil
	var wanted []string
	if o.settings != nil {
		wanted = o.terms.sockets
	}
	for name, f := range o.sockets {
		if !slices.Contains(wanted, name) {
			o.kind.close(name, f)
			delete(o.sockets, name)
		}
	}
	if o.settings == nil || o.p.phase == stopping {
		return
	}
	var missing []string
	for _, name := range wanted {
		if o.sockets[name] == nil {
			missing = append(missing, name)
		}
	}
	o.try++
	try, settings := o.try, *o.settings
	go func() {
		opened, become, err := o.kind.prepare(&settings, missing)
		o.p.post(func() { o.prepared(try, opened, become, err) })
	}()
}

// prepare opens the sockets that are missing and finds out what the process is to
// become.
func (k *observerKind) prepare(s *Settings, missing []string) (map[string]*os.File, confinement, error) {
	t := k.terms(s)
	become := confinement{files: t.files + len(t.sockets) + 64}
	var err error
	if become.uid, become.gid, err = script.UserNumbers(t.user); err == nil && become.uid == 0 && os.Geteuid() == 0 {
		err = fmt.Errorf("%s.user must not be root", k.role)
	}
	if err == nil && k.check != nil {
		err = k.check(s)
	}
	if err != nil {
		return nil, become, err
	}
	opened := make(map[string]*os.File, len(missing))
	for _, name := range missing {
		f, err := k.open(s, name)
		if err != nil {
			k.closeAll(opened)
			return nil, become, err
		}
		opened[name] = f
	}
	return opened, become, nil
}

func (k *observerKind) closeAll(sockets map[string]*os.File) {
	for name, f := range sockets {
		k.close(name, f)
	}
}

func (o *observer) prepared(try uint64, opened map[string]*os.File, become confinement, err error) {
	if try != o.try || o.p.phase == stopping {
		o.kind.closeAll(opened)
		return
	}
	if err != nil {
		if text := err.Error(); text != o.problem {
			o.problem = text
			o.p.log.Warn("the "+o.kind.name()+" cannot be started; the rest is not concerned", "process", string(o.kind.role), "reason", text)
		}
		o.later(0)
		return
	}
	for name, f := range opened {
		o.sockets[name] = f
	}
	o.spawn(become)
}

// later starts another process after a while; the last one lived for so long.
func (o *observer) later(lived time.Duration) {
	d := o.delay(lived)
	o.retryAt = time.Now().Add(d)
	o.try++
	try := o.try
	o.retry = o.p.after(d, func() {
		if try == o.try && o.p.phase != stopping {
			o.begin()
		}
	})
}

// delay is the time to the next attempt after a process that lived for so long.
func (o *observer) delay(lived time.Duration) time.Duration {
	return min(max(o.backoff.died(lived), time.Second), o.terms.patience)
}

func (o *observer) spawn(become confinement) {
	p := o.p
	theirs, ours, err := os.Pipe()
	if err != nil {
		o.problem = err.Error()
		o.later(0)
		return
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		null = nil
	}
	files := []*os.File{null, p.o.Stdout, p.o.Stderr, theirs}
	var once []*os.File
	for _, name := range o.terms.sockets {
		files = append(files, o.sockets[name])
		if !o.kind.keep {
			once = append(once, o.sockets[name])
			delete(o.sockets, name)
		}
	}
	run := &observerProcess{spawned: time.Now(), over: make(chan struct{})}
	o.run, o.asking, o.again, o.size = run, false, false, 0
	run.feed = newFeeder(ours, o.settings, p.o.feedPatience,
		func(size int) { p.post(func() { o.told(run, size) }) },
		func(err error) { p.post(func() { o.deaf(run, err) }) })
	o.tellConfig()
	if p.logOrders[o.kind.role] != nil {
		p.tellLevel(o.kind.role)
	}
	if o.kind.events {
		run.feed.event(p.events.after(0, 0)...)
	}
	p.spawner.requests <- spawnRequest{
		path: p.o.Executable, title: o.kind.role.Title(), files: files,
		env: append(childEnvironment(os.Environ(), p.o.ChildEnv), become.String()),
		reply: func(proc *os.Process, err error) {
			theirs.Close()
			null.Close()
			for _, f := range once {
				f.Close()
			}
			if err != nil {
				close(run.over)
				p.post(func() { o.exited(run, err.Error(), 0) })
				return
			}
			p.post(func() { o.forked(run, proc) })
			go func() {
				exit, status := "lost", 0
				if state, err := proc.Wait(); err == nil {
					exit, status = state.String(), state.ExitCode()
				}
				close(run.over)
				p.post(func() { o.exited(run, exit, status) })
			}()
		},
	}
}

func (o *observer) forked(run *observerProcess, proc *os.Process) {
	run.proc = proc
	o.p.log.Info("child started", "process", string(o.kind.role), "pid", proc.Pid, "generation", o.p.force.number)
	if run.hung {
		_ = proc.Kill()
	}
	if o.run == run {
		o.refresh()
	}
}

// deaf takes note that the process takes nothing any more.
func (o *observer) deaf(run *observerProcess, err error) {
	if o.run != run || !errors.Is(err, os.ErrDeadlineExceeded) {
		return // it is dead, which its exit tells
	}
	run.hung = true
	o.p.log.Error("child hangs and is ended", "process", string(o.kind.role), "silent", o.p.o.feedPatience)
	if run.proc == nil {
		return // it ends as soon as it is known
	}
	_ = run.proc.Signal(syscall.SIGQUIT)
	o.p.after(dumpTime, func() { _ = run.proc.Kill() }) // fails only when it is dead already
}

// end has a process end, by itself if it can.
func (o *observer) end(run *observerProcess) {
	run.asked = true
	run.feed.close()
	o.p.after(observerLeave, func() {
		if run.proc != nil {
			_ = run.proc.Kill()
		}
	})
}

func (o *observer) exited(run *observerProcess, exit string, status int) {
	run.feed.close()
	if o.run != run {
		return
	}
	o.run = nil
	o.cancel()
	if run.asked {
		o.p.log.Info("child stopped", "process", string(o.kind.role))
		o.begin()
		return
	}
	from, to := "running", "dead"
	if !run.reads {
		from = "starting"
	}
	switch d := Departure(status); {
	case run.hung:
		exit = "hung: " + exit
	case d.known():
		// It did what it should; the other side has to come back.
		to, exit = "disconnected", d.Error()
	case !run.reads:
		exit += ": the log has its reason"
	}
	o.problem = exit
	if to == "dead" {
		o.restarts++
	}
	o.event(from, to, exit)
	o.later(time.Since(run.spawned))
}

// event tells of the life of the process.
func (o *observer) event(from, to, reason string) {
	o.p.event(control.Event{Kind: "process", Subject: string(o.kind.role), From: from, To: to, Reason: reason, Generation: o.p.force.number})
}

// hears passes an event on, and soon the state that it led to.
func (o *observer) hears(e control.Event) {
	if o.run == nil {
		return
	}
	if o.kind.events {
		o.run.feed.event(e)
	}
	if o.asking {
		o.again = true
		return
	}
	o.in(max(observerGather, time.Until(o.asked.Add(o.pause(observerGap)))))
}

// pause is the time from one state to the next, which is at least least.
func (o *observer) pause(least time.Duration) time.Duration {
	return max(least, time.Duration(o.size)*observerShare)
}

// in has the state told in a while.
func (o *observer) in(d time.Duration) {
	if o.timer != nil {
		o.timer.Stop()
	}
	run := o.run
	o.timer = o.p.after(d, func() {
		if o.run == run {
			o.refresh()
		}
	})
}

// refresh gathers the state and has it told. The next is gathered when this one was
// taken: a slow reader gets fewer.
func (o *observer) refresh() {
	if o.run == nil || o.asking {
		return
	}
	o.asking, o.again, o.asked = true, false, time.Now()
	o.p.statusWithin(o.p.o.inquiryTimeout+o.pause(0)/10, o.run.feed.status)
}

// told takes note that a state was taken.
func (o *observer) told(run *observerProcess, size int) {
	if o.run != run {
		return
	}
	o.asking, o.size = false, size
	if !run.reads {
		run.reads, o.problem = true, ""
		o.event("starting", "running", "")
	}
	least := o.terms.interval
	if o.again {
		least = observerGap
	}
	o.in(max(0, time.Until(o.asked.Add(o.pause(least)))))
}

// close ends the process when the daemon is at its end and the loop is over.
func (o *observer) close() {
	o.kind.closeAll(o.sockets)
	run := o.run
	if run == nil {
		return
	}
	run.feed.close()
	select {
	case <-run.over:
		return
	case <-time.After(observerLeave):
	}
	if run.proc != nil {
		_ = run.proc.Kill()
		<-run.over
	}
}

// state is the process in status.
func (o *observer) state() control.Process {
	s := control.Process{Role: string(o.kind.role), Restarts: o.restarts, LastExit: o.problem, State: "starting"}
	switch run := o.run; {
	case run == nil && o.retry != nil:
		s.State = fmt.Sprintf("respawn in %v", max(0, time.Until(o.retryAt).Round(time.Second)))
	case run == nil:
	case run.hung:
		s.State = "hung"
	case run.reads:
		s.State = "running"
	}
	if run := o.run; run != nil && run.proc != nil {
		s.PID, s.StartedAt = run.proc.Pid, run.spawned
	}
	if o.kind.keep {
		s.Listen = o.terms.sockets
	} else if s.State == "running" {
		s.Connected = o.terms.sockets
	}
	return s
}
