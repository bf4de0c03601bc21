package checkd

import (
	"container/heap"
	"context"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"director/checkers"
	"director/checkers/probe"
	"director/config"
	"director/internal/watchdog"
)

// quick is the interval of a probe, start to start, while a server waits
// outside its pool for the first verdict. Longer intervals are for those whose
// state is known.
const quick = 100 * time.Millisecond

const (
	// Probes that are due at about the same time share one wake-up of the process, which
	// costs more than the probe: they start at multiples of a twentieth of the time that
	// they have waited, within these bounds.
	grid, wideGrid = 10 * time.Millisecond, 50 * time.Millisecond
	// lateLimit is how late a probe may start without a word about it, and
	// lateMemory how long probes must be in time to be called so again.
	lateLimit  = time.Second
	lateMemory = 10 * time.Second
	// scriptGrace is how long after its time limit the parent may take to tell how a
	// script ended: it is killed two seconds after it was asked to end.
	scriptGrace = 10 * time.Second
)

// task asks one query again and again, at its interval from start to start and
// never twice at the same time. Its results go to all its users.
type task struct {
	order
	users users

	due     time.Time     // of the next start; meaningless while running
	at      time.Time     // when it starts: due, or soon after it in company
	shift   time.Duration // of it what chance has added
	index   int           // in the heap of waiting tasks, -1 outside
	started time.Time     // of the newest start, as planned
	running bool
	cancel  func()          // of the running probe
	poll    *probe.Exchange // of a simple probe, while there is a poller
	dropped bool            // nobody wants it any more
	again   bool            // to be run again as soon as it has ended

	// phased says that the task has its place in the interval. New servers are
	// probed at once, all at the same time; afterwards they are spread.
	phased bool
	// mute says that the newest result was inconclusive, and that this was logged.
	mute bool
	// misses counts the inconclusive results since the last conclusive one.
	misses int
}

// pending says whether a server waits for the task outside its pool.
func (t *task) pending() bool {
	return slices.ContainsFunc(t.users.list, user.pending)
}

// pace returns the interval that its users want now: the shortest, where they are
// not of one mind.
func (t *task) pace() time.Duration {
	var pace time.Duration
	for i, u := range t.users.list {
		want := t.interval
		switch h := &u.check.Health; {
		case h.Changing():
			want = t.whileChanging
		case h.State == checkers.Down:
			want = t.whileDown
		}
		if i == 0 || want < pace {
			pace = want
		}
	}
	return pace
}

// quickly returns the interval while a server is pending. What cannot be asked is asked
// ever more rarely, down to the usual interval: the obstacle is not in the server.
func (t *task) quickly() time.Duration {
	return min(quick<<min(max(t.misses-1, 0), 16), t.interval)
}

// script names the script of a task to the parent.
func (t *task) script() watchdog.CheckScript {
	u := t.users.list[0]
	return watchdog.CheckScript{Service: u.service.source.Name, Server: u.server.Config.Key, Index: slices.Index(u.server.Checks, u.check)}
}

// phase returns the task's place in its interval, more than 0 and at most the
// interval. It is the same in each run, and differs from task to task.
func (t *task) phase() time.Duration {
	h := fnv.New64a()
	h.Write([]byte(t.id()))
	// The low bits of FNV are the well mixed ones.
	share := float64(h.Sum64()%(1<<32)) / (1 << 32) // 0 <= share < 1
	return 1 + time.Duration(share*float64(t.interval-1))
}

// answer is the result of one run of a task.
type answer struct {
	task   *task
	at     time.Time
	result probe.Result
}

// scheduler starts probes when they are due. All its methods belong to the
// daemon's loop; the probes run in goroutines of their own, at most limit at a
// time, and report on answers.
type scheduler struct {
	ask     func(context.Context, Query, *Plan) probe.Result
	scripts *scriptCalls
	// generation is that of the configuration the tasks are of.
	generation uint64
	ctx        context.Context
	limit      int
	answers    chan answer // has room for every running probe: reporting never blocks
	// poller makes the simple probes and reports on polled, where there is room likewise;
	// nil: all are made by ask.
	poller *probe.Poller
	polled chan []probe.Answer
	// mark returns the mark that leads onto a passage, 0 while it is not open.
	mark func(passage) uint32
	// sessions are the BFD sessions as the parent told of them last.
	sessions map[string]watchdog.Session

	tasks   map[schedule]*task
	waiting waitingTasks
	running int
	probes  sync.WaitGroup

	lastLate time.Time // when a probe was last started too late
}

func newScheduler(ctx context.Context, ask func(context.Context, Query, *Plan) probe.Result, limit int) *scheduler {
	return &scheduler{ask: ask, ctx: ctx, limit: limit, scripts: &scriptCalls{waiting: map[uint64]chan<- *watchdog.ScriptDone{}}, answers: make(chan answer, limit), tasks: map[schedule]*task{}}
}

// attach makes u a user of the task for o, which is made when there is none,
// and returns it.
func (s *scheduler) attach(now time.Time, o order, u user) *task {
	t := s.tasks[o.schedule]
	if t == nil {
		t = &task{order: o, index: -1}
		s.tasks[o.schedule] = t
	}
	t.users.add(u)
	switch {
	case t.running:
		// Its result will serve the new user as well.
	case u.pending():
		s.wait(now, t, now)
	case t.index < 0:
		t.phased = true
		s.wait(now, t, now.Add(t.phase()))
	}
	return t
}

// detach takes the user with a check from its task, which ends when it was the last.
func (s *scheduler) detach(t *task, c *checkers.Check) {
	t.users.remove(c)
	if len(t.users.list) > 0 {
		return
	}
	t.dropped = true
	delete(s.tasks, t.schedule)
	if t.index >= 0 {
		heap.Remove(&s.waiting, t.index)
	}
	if t.cancel != nil {
		t.cancel()
	}
}

// poll makes simple probes with a poller, until ctx ends.
func (s *scheduler) poll(ctx context.Context) error {
	var err error
	s.polled = make(chan []probe.Answer, s.limit)
	if s.poller, err = probe.NewPoller(func(list []probe.Answer) { s.polled <- list }); err == nil {
		s.probes.Go(func() { s.poller.Run(ctx) })
	}
	return err
}

// wait lets t wait until due, or until its present due time where that is earlier.
func (s *scheduler) wait(now time.Time, t *task, due time.Time) {
	switch {
	case t.index < 0:
		t.due, t.at, t.shift = due, company(now, due), 0
		heap.Push(&s.waiting, t)
	case due.Before(t.due):
		t.due, t.at, t.shift = due, company(now, due), 0
		heap.Fix(&s.waiting, t.index)
	}
}

// company returns when a probe that waits from now until due is started.
func company(now, due time.Time) time.Time {
	step := min(max(due.Sub(now)/20, grid), wideGrid).Truncate(grid)
	if off := time.Duration(due.UnixNano()) % step; off > 0 {
		due = due.Add(step - off)
	}
	return due
}

// next returns when the next probes are to be started; false: not before a
// running one has ended.
func (s *scheduler) next() (time.Time, bool) {
	if len(s.waiting) == 0 || s.running >= s.limit {
		return time.Time{}, false
	}
	return s.waiting[0].at, true
}

// start starts the probes that are due.
func (s *scheduler) start(now time.Time) {
	var simple []*probe.Exchange
	for len(s.waiting) > 0 && s.running < s.limit && !s.waiting[0].at.After(now) {
		t := heap.Pop(&s.waiting).(*task)
		// The interval counts from the planned start: what the grid and the process'
		// own delay add once must not add up.
		t.started = t.due.Add(-t.shift)
		if late := now.Sub(t.at); late > 2*grid {
			t.started = now
			if late > lateLimit {
				s.lastLate = now
			}
		}
		t.running = true
		s.running++
		if x := s.simple(t); x != nil {
			simple = append(simple, x)
			continue
		}
		limit, ask, query := t.timeout, s.ask, t.Query
		if t.Kind == config.CheckScript {
			script, generation := t.script(), s.generation
			limit += scriptGrace
			ask = func(ctx context.Context, _ Query, p *Plan) probe.Result {
				return s.scripts.run(ctx, generation, script, p.check)
			}
		}
		if t.Kind == config.CheckBFD {
			told := s.session(t.Path)
			ask = func(context.Context, Query, *Plan) probe.Result { return judgeSession(told) }
		}
		if t.Through.valid() {
			if query.Mark = s.mark(t.Through); query.Mark == 0 {
				ask = func(context.Context, Query, *Plan) probe.Result { return closedPassage(t.Through) }
			}
		}
		ctx, cancel := context.WithTimeout(s.ctx, limit)
		t.cancel = cancel
		s.probes.Go(func() {
			defer cancel()
			s.answers <- answer{t, now, ask(ctx, query, t.plan)}
		})
	}
	if len(simple) > 0 {
		s.poller.Ask(simple)
	}
}

// simple returns the next probe of a task for the poller; nil: it is none for it.
func (s *scheduler) simple(t *task) *probe.Exchange {
	if s.poller == nil {
		return nil
	}
	if t.poll == nil {
		if t.poll = t.plan.exchange(t.Query); t.poll == nil {
			return nil
		}
		t.poll.Owner = t
	}
	t.cancel = func() { s.poller.Cancel(t.poll) }
	return t.poll
}

// late says whether probes had to wait recently because too many were under way.
func (s *scheduler) late(now time.Time) bool {
	return !s.lastLate.IsZero() && now.Sub(s.lastLate) < lateMemory
}

// finish notes that a probe has ended. It must be called once for each answer,
// after the users have had it: what they think of it decides about the next run.
func (s *scheduler) finish(now time.Time, t *task) {
	s.running--
	t.running, t.cancel = false, nil
	if t.dropped {
		return
	}
	next := t.started.Add(t.pace())
	shift := time.Duration(0)
	if t.jitter > 0 {
		shift = rand.N(t.jitter)
	}
	switch {
	case t.again:
		t.again, next, shift = false, now, 0
	case t.pending():
		next, shift = t.started.Add(t.quickly()), 0
	case !t.phased:
		t.phased = true
		next = t.started.Add(t.phase())
	}
	if next.Before(now) {
		next = now
	}
	s.wait(now, t, next.Add(shift))
	t.shift = shift
}

// hurry runs a task now, once more when it is running.
func (s *scheduler) hurry(now time.Time, t *task) {
	if t.running {
		t.again = true
		return
	}
	s.wait(now, t, now)
}

// waitingTasks is a heap of tasks, the earliest to start first.
type waitingTasks []*task

func (w waitingTasks) Len() int           { return len(w) }
func (w waitingTasks) Less(i, j int) bool { return w[i].at.Before(w[j].at) }
func (w waitingTasks) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push is for package heap.
func (w *waitingTasks) Push(x any) {
	t := x.(*task)
	t.index = len(*w)
	*w = append(*w, t)
}

// Pop is for package heap.
func (w *waitingTasks) Pop() any {
	last := len(*w) - 1
	t := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	t.index = -1
	return t
}
