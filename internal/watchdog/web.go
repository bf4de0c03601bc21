package watchdog

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"syscall"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/script"
)

const (
	// webGap is the least time between two states that the web process is told.
	webGap = 250 * time.Millisecond
	// webGather has what happens at the same time told at once.
	webGather = 20 * time.Millisecond
	// webShare is how long nothing is told for each byte of the last state: what
	// thousands of servers take to gather, encode and decode is then a small part of
	// the time. With 40,000 servers that is 0.6 s of CPU every 7 s.
	webShare = time.Microsecond
	// webLeave is what the web process gets to end by itself.
	webLeave = 500 * time.Millisecond
)

// web is what the parent knows of the web process. Nothing of the rest waits for it,
// and nothing that happens to it is anybody else's failure.
type web struct {
	settings *WebSettings // nil: not configured
	files    map[string]*os.File
	run      *webProcess // nil while there is none

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

// webProcess is one run of it.
type webProcess struct {
	feed    *feeder
	proc    *os.Process // nil until the fork is done
	spawned time.Time
	reads   bool // it has taken a state
	asked   bool // to end
	hung    bool
	over    chan struct{} // closed when it has exited
}

// applyWeb takes a configuration that has come into force.
func (p *parent) applyWeb() {
	w, c := &p.web, p.force.config
	var settings *WebSettings
	if c.Web != nil {
		settings = &WebSettings{Web: *c.Web, LogLevel: c.Global.LogLevel, LogFormat: c.Global.LogFormat}
	}
	if reflect.DeepEqual(settings, w.settings) {
		return
	}
	w.settings, w.problem = settings, ""
	w.backoff.reset()
	w.cancel()
	if w.run == nil {
		p.beginWeb()
		return
	}
	p.endWeb(w.run) // the next begins when it is gone
}

// cancel gives up an attempt that is delayed or under way.
func (w *web) cancel() {
	w.try++
	for _, t := range []*time.Timer{w.retry, w.timer} {
		if t != nil {
			t.Stop()
		}
	}
	w.retry, w.timer = nil, nil
}

// beginWeb prepares a web process: what may take its time, elsewhere.
func (p *parent) beginWeb() {
	w := &p.web
	w.retry = nil
	var listen []string
	if w.settings != nil {
		listen = w.settings.Web.Listen
	}
	for address, f := range w.files {
		if !slices.Contains(listen, address) {
			closeListener(address, f)
			delete(w.files, address)
		}
	}
	if w.settings == nil || p.phase == stopping {
		return
	}
	var missing []string
	for _, address := range listen {
		if w.files[address] == nil {
			missing = append(missing, address)
		}
	}
	w.try++
	try, settings := w.try, *w.settings
	go func() {
		opened, become, err := prepareWeb(settings.Web, missing, p.o.CheckWeb)
		p.post(func() { p.webPrepared(try, opened, become, err) })
	}()
}

// prepareWeb opens the listening sockets and finds out what the process is to become.
func prepareWeb(c config.Web, missing []string, check func(config.Web) error) (map[string]*os.File, confinement, error) {
	become := confinement{files: c.MaxConnections + len(c.Listen) + 64}
	var err error
	if become.uid, become.gid, err = script.UserNumbers(c.User); err == nil && become.uid == 0 && os.Geteuid() == 0 {
		err = errors.New("web.user must not be root")
	}
	if err == nil && check != nil {
		err = check(c)
	}
	if err != nil {
		return nil, become, err
	}
	opened := make(map[string]*os.File, len(missing))
	for _, address := range missing {
		f, err := listen(address)
		if err != nil {
			for address, f := range opened {
				closeListener(address, f)
			}
			return nil, become, err
		}
		opened[address] = f
	}
	return opened, become, nil
}

func (p *parent) webPrepared(try uint64, opened map[string]*os.File, become confinement, err error) {
	w := &p.web
	if try != w.try || p.phase == stopping {
		for address, f := range opened {
			closeListener(address, f)
		}
		return
	}
	if err != nil {
		if text := err.Error(); text != w.problem {
			w.problem = text
			p.log.Warn("the web process cannot be started; the rest is not concerned", "process", string(RoleWeb), "reason", text)
		}
		p.webLater(0)
		return
	}
	for address, f := range opened {
		w.files[address] = f
	}
	p.spawnWeb(become)
}

// webLater starts another web process after a while; the last one lived for so long.
func (p *parent) webLater(lived time.Duration) {
	w := &p.web
	d := max(w.backoff.died(lived), time.Second)
	w.retryAt = time.Now().Add(d)
	w.try++
	try := w.try
	w.retry = p.after(d, func() {
		if try == w.try && p.phase != stopping {
			p.beginWeb()
		}
	})
}

func (p *parent) spawnWeb(become confinement) {
	w := &p.web
	theirs, ours, err := os.Pipe()
	if err != nil {
		w.problem = err.Error()
		p.webLater(0)
		return
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		null = nil
	}
	files := []*os.File{null, p.o.Stdout, p.o.Stderr, theirs}
	for _, address := range w.settings.Web.Listen {
		files = append(files, w.files[address])
	}
	run := &webProcess{spawned: time.Now(), over: make(chan struct{})}
	w.run, w.asking, w.again, w.size = run, false, false, 0
	run.feed = newFeeder(ours, w.settings, p.o.feedPatience,
		func(size int) { p.post(func() { p.webTold(run, size) }) },
		func(err error) { p.post(func() { p.webDeaf(run, err) }) })
	run.feed.event(p.events.after(0, 0)...)
	if p.logOrders[RoleWeb] != nil {
		p.tellLevel(RoleWeb)
	}
	p.spawner.requests <- spawnRequest{
		path: p.o.Executable, title: RoleWeb.Title(), files: files,
		env: append(childEnvironment(os.Environ(), p.o.ChildEnv), become.String()),
		reply: func(proc *os.Process, err error) {
			theirs.Close()
			null.Close()
			if err != nil {
				close(run.over)
				p.post(func() { p.webExited(run, err.Error()) })
				return
			}
			p.post(func() { p.webForked(run, proc) })
			go func() {
				exit := "lost"
				if state, err := proc.Wait(); err == nil {
					exit = state.String()
				}
				close(run.over)
				p.post(func() { p.webExited(run, exit) })
			}()
		},
	}
}

func (p *parent) webForked(run *webProcess, proc *os.Process) {
	run.proc = proc
	p.log.Info("child started", "process", string(RoleWeb), "pid", proc.Pid, "generation", p.force.number)
	if run.hung {
		_ = proc.Kill()
	}
	if p.web.run == run {
		p.refreshWeb()
	}
}

// webDeaf takes note that the process takes nothing any more.
func (p *parent) webDeaf(run *webProcess, err error) {
	if p.web.run != run || !errors.Is(err, os.ErrDeadlineExceeded) {
		return // it is dead, which its exit tells
	}
	run.hung = true
	p.log.Error("child hangs and is ended", "process", string(RoleWeb), "silent", p.o.feedPatience)
	if run.proc == nil {
		return // it ends as soon as it is known
	}
	_ = run.proc.Signal(syscall.SIGQUIT)
	p.after(dumpTime, func() { _ = run.proc.Kill() }) // fails only when it is dead already
}

// endWeb has a process end, by itself if it can.
func (p *parent) endWeb(run *webProcess) {
	run.asked = true
	run.feed.close()
	p.after(webLeave, func() {
		if run.proc != nil {
			_ = run.proc.Kill()
		}
	})
}

func (p *parent) webExited(run *webProcess, exit string) {
	w := &p.web
	run.feed.close()
	if w.run != run {
		return
	}
	w.run = nil
	w.cancel()
	if run.asked {
		p.log.Info("child stopped", "process", string(RoleWeb))
		p.beginWeb()
		return
	}
	from := "running"
	if !run.reads {
		from = "starting"
		exit += ": the log has its reason"
	}
	if run.hung {
		exit = "hung: " + exit
	}
	w.problem = exit
	w.restarts++
	p.webEvent(from, "dead", exit)
	p.webLater(time.Since(run.spawned))
}

// webEvent tells of the life of the web process.
func (p *parent) webEvent(from, to, reason string) {
	p.event(control.Event{Kind: "process", Subject: string(RoleWeb), From: from, To: to, Reason: reason, Generation: p.force.number})
}

// webHears passes an event on, and soon the state that it led to.
func (p *parent) webHears(e control.Event) {
	w := &p.web
	if w.run == nil {
		return
	}
	w.run.feed.event(e)
	if w.asking {
		w.again = true
		return
	}
	p.webIn(max(webGather, time.Until(w.asked.Add(w.pause(webGap)))))
}

// pause is the time from one state to the next, which is at least least.
func (w *web) pause(least time.Duration) time.Duration {
	return max(least, time.Duration(w.size)*webShare)
}

// webIn has the state told in a while.
func (p *parent) webIn(d time.Duration) {
	w := &p.web
	if w.timer != nil {
		w.timer.Stop()
	}
	run := w.run
	w.timer = p.after(d, func() {
		if w.run == run {
			p.refreshWeb()
		}
	})
}

// refreshWeb gathers the state and has it told. The next is gathered when this one
// was taken: a slow reader gets fewer.
func (p *parent) refreshWeb() {
	w := &p.web
	if w.run == nil || w.asking {
		return
	}
	run := w.run
	w.asking, w.again, w.asked = true, false, time.Now()
	p.statusWithin(inquiryTimeout+w.pause(0)/10, run.feed.status)
}

// webTold takes note that a state was taken.
func (p *parent) webTold(run *webProcess, size int) {
	w := &p.web
	if w.run != run {
		return
	}
	w.asking, w.size = false, size
	if !run.reads {
		run.reads, w.problem = true, ""
		p.webEvent("starting", "running", "")
	}
	least := w.settings.Web.UpdateInterval.D()
	if w.again {
		least = webGap
	}
	p.webIn(max(0, time.Until(w.asked.Add(w.pause(least)))))
}

// closeWeb ends the web process when the daemon is at its end and the loop is over.
func (p *parent) closeWeb() {
	w := &p.web
	for address, f := range w.files {
		closeListener(address, f)
	}
	run := w.run
	if run == nil {
		return
	}
	run.feed.close()
	select {
	case <-run.over:
		return
	case <-time.After(webLeave):
	}
	if run.proc != nil {
		_ = run.proc.Kill()
		<-run.over
	}
}

// webState is the web process in status.
func (p *parent) webState() control.Process {
	w := &p.web
	s := control.Process{Role: string(RoleWeb), Restarts: w.restarts, LastExit: w.problem, State: "starting"}
	switch run := w.run; {
	case run == nil && w.retry != nil:
		s.State = fmt.Sprintf("respawn in %v", max(0, time.Until(w.retryAt).Round(time.Second)))
	case run == nil:
	case run.hung:
		s.State = "hung"
	case run.reads:
		s.State = "running"
	}
	if run := w.run; run != nil && run.proc != nil {
		s.PID, s.StartedAt = run.proc.Pid, run.spawned
	}
	s.Listen = w.settings.Web.Listen
	return s
}
