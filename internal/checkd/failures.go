package checkd

import (
	"cmp"
	"slices"
	"time"

	"director/internal/control"
)

// Back-off of what fails. The second attempt follows at once, of a call of the kernel over
// a table that was read anew: most often somebody else was only faster. Then the
// delay doubles from first to last.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// failure is something that fails and is tried again.
type failure struct {
	control.Failure
	op    bool            // an operation on the table, which may cease to be wanted
	again func(time.Time) // tries again; nil: comparing the table does
	retry time.Time       // when
	delay time.Duration   // doubles
}

// failures is what fails now, by what that is.
type failures map[string]*failure

// add notes an attempt that failed, sets the time of the next, and says whether it
// failed for another reason than the one before.
func (l failures) add(now time.Time, what, reason string) (f *failure, news bool) {
	f = l[what]
	if f == nil {
		f = &failure{Failure: control.Failure{What: what, Since: now}, retry: now}
		l[what] = f
	} else {
		f.delay = min(max(2*f.delay, firstRetry), lastRetry)
		f.retry = now.Add(f.delay)
	}
	f.Count++
	news = reason != f.Error
	f.Error = reason
	return f, news
}

// wait says that what failed is not due to be tried again yet.
func (l failures) wait(now time.Time, what string) bool {
	f := l[what]
	return f != nil && now.Before(f.retry)
}

// next returns when the first is due to be tried again; false: nothing fails.
func (l failures) next() (at time.Time, any bool) {
	for _, f := range l {
		if !any || f.retry.Before(at) {
			at, any = f.retry, true
		}
	}
	return at, any
}

// status lists what fails, the oldest first.
func (l failures) status() []control.Failure {
	var list []control.Failure
	for _, f := range l {
		list = append(list, f.Failure)
	}
	slices.SortFunc(list, func(a, b control.Failure) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.What, b.What))
	})
	return list
}
