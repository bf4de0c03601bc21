package link

import "time"

// pick chooses the instance whose turn it is, and which of its tasks is worked on.
// An announcement that comes too soon after the last one on its interface waits,
// and whatever else its instance asked for goes ahead of it: a MASTER that gives
// its addresses up does not do so later for having many to announce. turn is
// negative when all have to wait, the first of them for wait.
func (w *Worker) pick(now time.Time) (turn, index int, wait time.Duration) {
	for turn, q := range w.turns {
		left := w.early(q.tasks[0], now)
		if left <= 0 {
			return turn, 0, 0
		}
		for index, t := range q.tasks {
			if t.Op != Announce {
				return turn, index, 0
			}
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return -1, 0, wait
}

// early is how long the next step of a task has to wait.
func (w *Worker) early(t *task, now time.Time) time.Duration {
	if t.Op != Announce || t.Gap <= 0 || len(t.Items) == 0 {
		return 0
	}
	i := t.Items[t.next]
	a, ok := i.(Address)
	if !ok || len(t.superseded) > 0 && t.superseded[t.struck(i)] {
		return 0
	}
	last, ok := w.announced[a.Device]
	if !ok {
		return 0
	}
	return last.Add(t.Gap).Sub(now)
}
