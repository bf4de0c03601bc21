package link

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
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

// Address is a virtual address on an interface.
type Address struct {
	Prefix netip.Prefix
	Device string
	// Label is the label of an IPv4 address, such as eth0:1; at most 15 bytes.
	// Empty: the name of the device.
	Label string
}

// key identifies an address on the host: the kernel allows one local address and
// mask once per interface.
type key struct {
	prefix netip.Prefix
	device string
}

func (a Address) key() key { return key{a.Prefix, a.Device} }

// Job is work for one instance.
type Job struct {
	ID        uint64 // the caller's, returned with each result
	Instance  string
	Op        Op
	Addresses []Address // not to be changed after Submit
	// Count is how many packets an Announce sends for each address:
	// first one for each, then the next round. Less than 1 counts as 1.
	Count int
}

// Result is what became of one address of a Job. A job gives one for each of
// its addresses, in their order; a job without addresses gives a single one
// with a zero Address.
type Result struct {
	Job      uint64
	Instance string
	Op       Op
	Address  Address
	// Err is nil when the address is as the job wants it (or was announced).
	Err error
	// Already says that it was so before: an address that somebody else added
	// is adopted, one that is missing needs no removal.
	Already bool
	// Last marks the last result of the job.
	Last bool
}

// Errors of results that are not the kernel's.
var (
	// ErrSuperseded: a later job said otherwise about the address before this one
	// came to it, so the kernel was not asked.
	ErrSuperseded = errors.New("superseded by a later job")
	// ErrNotInstalled: the address is not announced because it could not be added.
	ErrNotInstalled = errors.New("address is not installed")
)

// Worker changes addresses and announces them, in a goroutine of its own. The
// jobs of one instance are done in order; between instances it takes turns
// after each address or packet, so that a large instance does not hold up a
// small one.
//
// A failure is a result, never fatal; the caller retries as it sees fit.
//
// Before it removes an address with a mask shorter than the address, the worker
// sets promote_secondaries on the interface and leaves it set: without it the
// kernel removes, with the first address of a subnet, all others of that
// subnet, virtual or not.
type Worker struct {
	kernel *addresses
	emit   func(Result)

	mu     sync.Mutex
	queues map[string]*queue
	turns  []*queue // queues with work, in the order in which they are served
	// removals are the Remove tasks that have still to come to an address.
	removals map[key][]*task
	closed   bool
	wake     chan struct{} // something was submitted
	stop     chan struct{}
	done     chan struct{}
}

// queue holds the jobs of one instance that are not done yet.
type queue struct {
	tasks []*task
	// failed are the addresses whose newest Add failed. Only the worker's
	// goroutine looks at them.
	failed map[key]bool
}

// task is a Job and how far it has come.
type task struct {
	Job
	next       int              // index of the next address
	round      int              // of an Announce
	superseded map[Address]bool // addresses that a later job decides about
}

// strike leaves it to a later job to decide about an address.
func (t *task) strike(a Address) {
	if t.superseded == nil {
		t.superseded = make(map[Address]bool)
	}
	t.superseded[t.struck(a)] = true
}

// struck is an address as superseded knows it. An address gets another label
// only by being removed, so a Remove gives way to an Add with the same label;
// for the others the label does not matter.
func (t *task) struck(a Address) Address {
	if t.Op != Remove {
		a.Label = ""
	}
	return a
}

// NewWorker starts a worker. It reports each result to emit from its own
// goroutine; emit must not block and may call Submit.
func NewWorker(emit func(Result)) (*Worker, error) {
	kernel, err := openAddresses()
	if err != nil {
		return nil, err
	}
	w := &Worker{
		kernel:   kernel,
		emit:     emit,
		queues:   make(map[string]*queue),
		removals: make(map[key][]*task),
		wake:     make(chan struct{}, 1),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	go w.run()
	return w, nil
}

// Submit takes a job. It never blocks. Work of the same instance that waits in
// the queue and that the job contradicts (an Add of an address that is now to be removed, its
// announcement, a Remove of one now to be added) is not done any more and ends as
// ErrSuperseded. So does a Remove by another instance, from which the address
// passes to this one: it stays where it is.
func (w *Worker) Submit(j Job) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	q := w.queues[j.Instance]
	if q == nil {
		q = &queue{failed: make(map[key]bool)}
		w.queues[j.Instance] = q
	}
	q.supersede(j)
	t := &task{Job: j}
	q.tasks = append(q.tasks, t)
	for _, a := range j.Addresses {
		switch j.Op {
		case Add:
			for _, r := range w.removals[a.key()] {
				r.strike(a)
			}
		case Remove:
			w.removals[a.key()] = append(w.removals[a.key()], t)
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
		for _, a := range j.Addresses {
			t.strike(a)
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
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
		}
		for w.step() {
		}
		w.kernel.forget()
	}
}

// step does one piece of work, an address or a packet, of the instance whose turn it
// is, and reports whether there may be more.
func (w *Worker) step() bool {
	w.mu.Lock()
	if w.closed || len(w.turns) == 0 {
		w.mu.Unlock()
		return false
	}
	q := w.turns[0]
	t := q.tasks[0]
	superseded := false
	if len(t.Addresses) > 0 {
		a := t.Addresses[t.next]
		superseded = t.superseded[t.struck(a)]
		if t.Op == Remove {
			w.reached(t, a.key())
		}
	}
	w.mu.Unlock()

	r := Result{Job: t.ID, Instance: t.Instance, Op: t.Op, Last: true}
	report := true
	if len(t.Addresses) > 0 {
		r.Address = t.Addresses[t.next]
		if superseded {
			r.Err = ErrSuperseded
		} else {
			r.Already, r.Err = w.do(q, t.Op, r.Address)
		}
		r.Last, report = t.advance()
	}
	// The turn passes on before the result is told: emit may call Submit.
	w.mu.Lock()
	if r.Last {
		q.tasks = q.tasks[1:]
	}
	w.turns = w.turns[1:]
	if len(q.tasks) > 0 {
		w.turns = append(w.turns, q)
	} else if len(q.failed) == 0 {
		delete(w.queues, t.Instance)
	}
	w.mu.Unlock()
	if report {
		w.emit(r)
	}
	return true
}

// reached takes a Remove task off the list of those that have still to come to
// an address.
func (w *Worker) reached(t *task, k key) {
	waiting := slices.DeleteFunc(w.removals[k], func(r *task) bool { return r == t })
	if len(waiting) == 0 {
		delete(w.removals, k)
		return
	}
	w.removals[k] = waiting
}

// advance moves on to the next address, and says whether that was the last step
// and whether the step just done decided about its address.
func (t *task) advance() (last, decided bool) {
	decided = t.Op != Announce || t.round+1 >= t.Count
	t.next++
	if t.next < len(t.Addresses) {
		return false, decided
	}
	t.next = 0
	t.round++
	return decided, decided
}

// do asks the kernel.
func (w *Worker) do(q *queue, op Op, a Address) (already bool, err error) {
	switch op {
	case Add:
		already, err = w.kernel.add(a)
		if err != nil {
			q.failed[a.key()] = true
		} else {
			delete(q.failed, a.key())
		}
		return already, err
	case Remove:
		delete(q.failed, a.key())
		return w.kernel.remove(a)
	case Announce:
		if q.failed[a.key()] {
			return false, ErrNotInstalled
		}
		return false, w.kernel.announce(a)
	}
	return false, fmt.Errorf("unknown operation %v", op)
}
