package demo

import (
	"errors"
	"net/url"
	"slices"
	"time"

	"director/internal/netlab"
)

// tally sums up requests.
type tally struct {
	ok, failed int
	byServer   map[string]int // answered ones, by the page that came back
	slowest    time.Duration  // of those answered
}

// ended is when a request was answered or given up.
func ended(r netlab.Result) time.Time { return r.Start.Add(r.Latency) }

// startedIn returns the requests that were started from one moment until before
// another. The requests are in the order of their start.
func startedIn(all []netlab.Result, from, to time.Time) []netlab.Result {
	at := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(all, t, func(r netlab.Result, t time.Time) int { return r.Start.Compare(t) })
		return i
	}
	i, j := at(from), at(to)
	return all[i:max(i, j)]
}

// endedIn returns the requests that were answered or given up from one moment until
// before another.
func endedIn(all []netlab.Result, from, to time.Time) []netlab.Result {
	var out []netlab.Result
	for _, r := range all {
		if end := ended(r); !end.Before(from) && end.Before(to) {
			out = append(out, r)
		}
	}
	return out
}

// sum sums up requests.
func sum(requests []netlab.Result) tally {
	t := tally{byServer: map[string]int{}}
	for _, r := range requests {
		if r.Err != nil {
			t.failed++
			continue
		}
		t.ok++
		t.byServer[r.Body]++
		t.slowest = max(t.slowest, r.Latency)
	}
	return t
}

// longestGap is the longest time without an answer that ended between two moments,
// whenever it began.
func longestGap(all []netlab.Result, from, to time.Time) time.Duration {
	var answers []time.Time
	for _, r := range all {
		if r.Err == nil {
			answers = append(answers, ended(r))
		}
	}
	slices.SortFunc(answers, time.Time.Compare)
	var longest time.Duration
	for i := 1; i < len(answers); i++ {
		if end := answers[i]; !end.Before(from) && end.Before(to) {
			longest = max(longest, end.Sub(answers[i-1]))
		}
	}
	return longest
}

// outside returns the failed requests that were not under way at any moment
// between lost and regained: those that nothing excuses.
func outside(requests []netlab.Result, lost, regained time.Time) []netlab.Result {
	var out []netlab.Result
	for _, r := range requests {
		if r.Err != nil && (ended(r).Before(lost) || r.Start.After(regained)) {
			out = append(out, r)
		}
	}
	return out
}

// reason tells in few words why a request has failed.
func reason(err error) string {
	var u *url.Error
	if !errors.As(err, &u) {
		return err.Error()
	}
	if u.Timeout() {
		return "no answer within " + ms(requestTimeout)
	}
	return u.Err.Error()
}
