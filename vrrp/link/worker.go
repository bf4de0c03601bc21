package link

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Op is what a Job does.
type Op uint8

// The operations.
const (
	Add      Op = iota + 1 // put addresses on their interfaces
	Remove                 // take them off
	Announce               // tell the link about them by gratuitous ARP or neighbour advertisements
)

func (o Op) String() string {
	switch o {
	case Add:
		return "add"
	case Remove:
		return "remove"
	case Announce:
		return "announce"
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// Job is work for one instance.
type Job struct {
	ID       uint64 // the caller's, returned with each result
	Instance string
	Op       Op
	Items    []Item // in their order; not to be changed after Submit
	// Count is how many gratuitous ARP packets an Announce sends for each address:
	// first one for each, then the next round. Less than 1 counts as 1.
	Count int
	// Gap is the least time between an announcement of this job and the one before
	// it on the same interface, whichever job that is of; 0: none. What else is asked of the
	// worker does not wait for it, that of the same instance included.
	Gap time.Duration
}

// Result is what became of one item of a Job. A job gives one for each of its
// items, in their order; a job without items gives a single one without Item.
type Result struct {
	Job      uint64
	Instance string
	Op       Op
	Item     Item
	// Err is nil when the item is as the job wants it (or was announced).
	Err error
	// Already says that it was so before: an item that somebody else added
	// is adopted, one that is missing needs no removal.
	Already bool
	// Last marks the last result of the job.
	Last bool
}

// Errors of results that are not the kernel's.
var (
	// ErrSuperseded: a later job said otherwise about the item before this one
	// came to it, so the kernel was not asked.
	ErrSuperseded = errors.New("superseded by a later job")
	// ErrNotInstalled: the address is not announced because it could not be added.
	ErrNotInstalled = errors.New("address is not installed")
)

// Worker adds and removes items and announces addresses, in a goroutine of its
// own. The jobs of one instance are done in order; between instances it takes turns
// after each item or packet, so that a large instance does not hold up a
// small one.
//
// A failure is a result, never fatal; the caller retries as it sees fit.
type Worker struct {
	kernel *kernel
	emit   func(Result)

	mu     sync.Mutex
	queues map[string]*queue
	turns  []*queue // queues with work, in the order in which they are served
	// removals are the Remove tasks that have still to come to an item.
	removals  map[Key][]*task
	announced map[string]time.Time // when the newest announcement left, by interface; the goroutine's
	closed    bool
	wake      chan struct{} // something was submitted
	stop      chan struct{}
	done      chan struct{}
}

// queue holds the jobs of one instance that are not done yet.
type queue struct {
	tasks []*task
	// failed are the items whose newest Add failed. Only the worker's
	// goroutine looks at them.
	failed map[Key]bool
}

// task is a Job and how far it has come.
type task struct {
	Job
	next       int             // index of the next item
	round      int             // of an Announce
	superseded map[struck]bool // items that a later job decides about
}

// struck is an item as task.superseded knows it. An item gets another variant
// only by being removed, so a Remove gives way to an Add of the same variant; for
// the others the variant does not matter and is left empty.
type struck struct {
	key     Key
	variant string
}

// strike leaves it to a later job to decide about an item.
func (t *task) strike(i Item) {
	if t.superseded == nil {
		t.superseded = make(map[struck]bool)
	}
	t.superseded[t.struck(i)] = true
}

func (t *task) struck(i Item) struck {
	if t.Op != Remove {
		return struck{key: i.Key()}
	}
	return struck{i.Key(), i.Variant()}
}

// NewWorker starts a worker. It reports each result to emit from its own
// goroutine; emit must not block and may call Submit.
func NewWorker(former Former, emit func(Result)) (*Worker, error) {
	kernel, err := openKernel()
	if err != nil {
		return nil, err
	}
	kernel.former = former
	w := &Worker{
		kernel:    kernel,
		emit:      emit,
		queues:    make(map[string]*queue),
		removals:  make(map[Key][]*task),
		announced: make(map[string]time.Time),
		wake:      make(chan struct{}, 1),
		stop:      make(chan struct{}),
		done:      make(chan struct{}),
	}
	go w.run()
	return w, nil
}

// Submit takes a job. It never blocks. Work of the same instance that waits in
// the queue and that the job contradicts (an Add of an item that is now to be removed, its
// announcement, a Remove of one now to be added) is not done any more and ends as
// ErrSuperseded. So does a Remove by another instance, from which the item
// passes to this one: it stays where it is.
func (w *Worker) Submit(j Job) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	q := w.queues[j.Instance]
	if q == nil {
		q = &queue{failed: make(map[Key]bool)}
		w.queues[j.Instance] = q
	}
	q.supersede(j)
	t := &task{Job: j}
	q.tasks = append(q.tasks, t)
	for _, i := range j.Items {
		switch j.Op {
		case Add:
			for _, r := range w.removals[i.Key()] {
				r.strike(i)
			}
		case Remove:
			w.removals[i.Key()] = append(w.removals[i.Key()], t)
		}
	}
	if len(q.tasks) == 1 {
		w.turns = append(w.turns, q)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// supersede strikes out of the waiting tasks of its own instance what a Remove
// contradicts.
func (q *queue) supersede(j Job) {
	if j.Op != Remove {
		return
	}
	for _, t := range q.tasks {
		if t.Op == Remove {
			continue
		}
		for _, i := range j.Items {
			t.strike(i)
		}
	}
}

// Close stops the worker after the step it is doing. Jobs that are not done end
// without results; jobs submitted later are ignored. It returns when emit will not be
// called any more, so emit must not wait for the caller of Close.
func (w *Worker) Close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.stop)
	}
	w.mu.Unlock()
	<-w.done
}

func (w *Worker) run() {
	defer close(w.done)
	defer w.kernel.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
		case <-timer.C:
		}
		wait, more := w.step()
		for more {
			wait, more = w.step()
		}
		w.kernel.forget()
		if wait > 0 {
			timer.Reset(wait)
		}
	}
}

// step does one piece of work, an item or a packet, of the instance whose turn it
// is, and reports whether there may be more. When all that is left are announcements
// that keep a distance, wait is how long the first of them has to.
func (w *Worker) step() (wait time.Duration, more bool) {
	w.mu.Lock()
	if w.closed || len(w.turns) == 0 {
		w.mu.Unlock()
		return 0, false
	}
	turn, index, wait := w.pick(time.Now())
	if turn < 0 {
		w.mu.Unlock()
		return wait, false
	}
	q := w.turns[turn]
	t := q.tasks[index]
	superseded := false
	if len(t.Items) > 0 {
		i := t.Items[t.next]
		superseded = len(t.superseded) > 0 && t.superseded[t.struck(i)]
		if t.Op == Remove {
			w.reached(t, i.Key())
		}
	}
	w.mu.Unlock()

	r := Result{Job: t.ID, Instance: t.Instance, Op: t.Op, Last: true}
	report := true
	if len(t.Items) > 0 {
		r.Item = t.Items[t.next]
		if superseded {
			r.Err = ErrSuperseded
		} else {
			r.Already, r.Err = w.do(q, t.Op, r.Item)
		}
		r.Last, report = t.advance()
	}
	// The turn passes on before the result is told: emit may call Submit.
	w.mu.Lock()
	if r.Last {
		q.tasks = slices.DeleteFunc(q.tasks, func(o *task) bool { return o == t })
	}
	w.turns = slices.DeleteFunc(w.turns, func(o *queue) bool { return o == q })
	if len(q.tasks) > 0 {
		w.turns = append(w.turns, q)
	} else if len(q.failed) == 0 {
		delete(w.queues, t.Instance)
	}
	w.mu.Unlock()
	if report {
		w.emit(r)
	}
	return 0, true
}

// reached takes a Remove task off the list of those that have still to come to
// an item.
func (w *Worker) reached(t *task, k Key) {
	waiting := slices.DeleteFunc(w.removals[k], func(r *task) bool { return r == t })
	if len(waiting) == 0 {
		delete(w.removals, k)
		return
	}
	w.removals[k] = waiting
}

// advance moves on to the next item, and says whether that was the last step
// and whether the step just done decided about its item.
func (t *task) advance() (last, decided bool) {
	decided = t.Op != Announce || t.round+1 >= t.Count
	t.next++
	if t.next < len(t.Items) {
		return false, decided
	}
	t.next = 0
	t.round++
	return decided, decided
}

// do asks the kernel.
func (w *Worker) do(q *queue, op Op, i Item) (already bool, err error) {
	switch op {
	case Add:
		already, err = i.add(w.kernel)
		if err != nil {
			q.failed[i.Key()] = true
			return false, fmt.Errorf("link: add %s: %w", i, err)
		}
		delete(q.failed, i.Key())
		return already, nil
	case Remove:
		delete(q.failed, i.Key())
		already, err = i.remove(w.kernel)
		if err != nil {
			return false, fmt.Errorf("link: remove %s: %w", i, err)
		}
		return already, nil
	case Announce:
		if q.failed[i.Key()] {
			return false, ErrNotInstalled
		}
		a, ok := i.(Address)
		if !ok {
			return false, fmt.Errorf("link: announce %s: it is no address", i)
		}
		w.announced[a.Device] = time.Now()
		return false, w.kernel.announce(a)
	}
	return false, fmt.Errorf("unknown operation %v", op)
}
