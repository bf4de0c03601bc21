package vrrpd

import (
	"fmt"
	"strconv"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/observe"
	"director/vrrp"
)

// file is a tracked file: a number, and up while that is 0.
type file struct {
	cfg     config.FileTracker
	known   bool
	value   int
	changed time.Time
	found   string
}

func (f *file) id() trackerKey { return trackerKey{config.KindFile, f.cfg.Name} }

func (f *file) since() time.Time { return f.changed }

func (f *file) number() int { return f.value }

func (f *file) verdict() vrrp.Verdict {
	switch {
	case !f.known:
		return vrrp.Unknown
	case f.value == 0:
		return vrrp.Up
	}
	return vrrp.Down
}

func (f *file) cause() vrrp.Cause {
	return vrrp.Cause{Reason: vrrp.ReasonTracker, Detail: fmt.Sprintf("file %s: %s", f.cfg.Name, f.found)}
}

func (f *file) finding() string { return f.found }

func (f *file) resume(_ time.Time, old control.Tracker) {
	if v, ok := vrrp.ParseVerdict(old.State); ok && v != vrrp.Unknown {
		f.known, f.value, f.changed, f.found = true, old.Number, old.Since, old.Detail
	}
}

// read takes what the file says. While it says nothing that can be understood,
// the last number holds.
func (f *file) read(now time.Time, r observe.Reading) (changed bool) {
	switch {
	case r.Err != nil:
		f.found = fmt.Sprintf("%v, so %d still holds", r.Err, f.value)
	case r.Missing:
		f.found = f.cfg.File + " does not exist"
	default:
		f.found = fmt.Sprintf("%s holds %d", f.cfg.File, r.Number)
	}
	number := r.Number
	if r.Err != nil {
		number = f.value
	}
	if f.known && number == f.value {
		return false
	}
	f.known, f.value, f.changed = true, number, now
	return true
}

// fileSeen is posted when a tracked file was read.
type fileSeen struct {
	path    string
	reading observe.Reading
}

// configureFiles keeps what is known of files that stay.
func (e *engine) configureFiles(init bool, cfgs []config.FileTracker, used map[trackerKey]bool, old map[trackerKey]tracker) {
	var watch []config.FileTracker
	for _, c := range cfgs {
		key := trackerKey{config.KindFile, c.Name}
		if !used[key] {
			continue
		}
		f, ok := old[key].(*file)
		if !ok {
			f = new(file)
		}
		f.cfg = c
		e.trackers[key] = f
		watch = append(watch, c)
	}
	e.observer.files(watch, init)
}

// fileSeen takes the number of a file.
func (e *engine) fileSeen(now time.Time, seen fileSeen) {
	for _, t := range e.trackers {
		f, ok := t.(*file)
		if !ok || f.cfg.File != seen.path {
			continue
		}
		from := said(f)
		e.touched = true
		if f.read(now, seen.reading) {
			e.changed(now, f, from)
		}
	}
}

// numbered is a tracker whose weight is multiplied by a number.
type numbered interface{ number() int }

// said is the state of a tracker as events tell it: the verdict, or the number.
func said(t tracker) string {
	if n, ok := t.(numbered); ok && t.verdict() != vrrp.Unknown {
		return strconv.Itoa(n.number())
	}
	return t.verdict().String()
}
