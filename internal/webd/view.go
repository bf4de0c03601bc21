package webd

import (
	"sync"
	"time"

	"director/internal/control"
)

// view is the state at one time. It is never changed: everybody who answers a
// request takes the newest and stays with it.
type view struct {
	status *control.Status
	at     time.Time     // when it came
	number uint64        // counted from 1
	stale  time.Duration // at which age it is too old to be believed
	// omitted is how many real servers have no metrics because they are too many.
	omitted int
	json    func() (packed, error) // of the status, encoded once
	page    func() (packed, error) // what the page shows, likewise
}

// newView makes the view that follows former, which may be nil.
func newView(s *control.Status, former *view, now time.Time, interval time.Duration, maxServers int) *view {
	v := &view{status: s, at: now, number: 1, json: sync.OnceValues(func() (packed, error) { return pack(s) })}
	gap := interval
	if former != nil {
		v.number = former.number + 1
		gap = max(gap, now.Sub(former.at))
	}
	// Large farms come more rarely, and a busy host is slow.
	v.stale = 10*time.Second + 3*min(gap, time.Minute)
	servers := 0
	if s.Checkers != nil {
		for i := range s.Checkers.Services {
			servers += len(s.Checkers.Services[i].Servers)
		}
	}
	if servers > maxServers {
		v.omitted = servers
	}
	return v
}

// servers calls f for each real server, none when they are too many.
func (v *view) servers(f func(*control.Service, *control.Server)) {
	if v.status.Checkers == nil || v.omitted > 0 {
		return
	}
	for i := range v.status.Checkers.Services {
		s := &v.status.Checkers.Services[i]
		for j := range s.Servers {
			f(s, &s.Servers[j])
		}
	}
}
