package vrrpd

import (
	"container/heap"
	"time"
)

// timed is something that needs the loop at a certain time.
type timed interface {
	deadline() time.Time // zero = never
	slot() *int          // where the heap keeps the index
}

// timers orders everything that waits by its deadline. An entry's deadline may
// change at any time; fix then puts it in its place.
type timers []entry

// entry holds the deadline beside who waits for it: a router's is made of four times,
// and each advert that is heard compares the routers of a whole branch.
type entry struct {
	timed
	at time.Time
}

func (t timers) Len() int { return len(t) }

func (t timers) Less(i, j int) bool {
	a, b := t[i].at, t[j].at
	switch {
	case a.IsZero():
		return false
	case b.IsZero():
		return true
	}
	return a.Before(b)
}

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	*t[i].slot(), *t[j].slot() = i, j
}

// Push is for container/heap.
func (t *timers) Push(x any) {
	e := x.(timed)
	*e.slot() = len(*t)
	*t = append(*t, entry{e, e.deadline()})
}

// Pop is for container/heap.
func (t *timers) Pop() any {
	last := len(*t) - 1
	e := (*t)[last].timed
	(*t)[last] = entry{}
	*t = (*t)[:last]
	*e.slot() = -1
	return e
}

func (t *timers) add(e timed)    { heap.Push(t, e) }
func (t *timers) remove(e timed) { heap.Remove(t, *e.slot()) }

func (t *timers) fix(e timed) {
	(*t)[*e.slot()].at = e.deadline()
	heap.Fix(t, *e.slot())
}

// first returns the entry that is due next, nil when none has a deadline.
func (t timers) first() timed {
	if len(t) == 0 || t[0].at.IsZero() {
		return nil
	}
	return t[0].timed
}
