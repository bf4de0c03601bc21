package checkd

import (
	"path/filepath"
	"strings"
	"time"

	"director/internal/control"
)

// This file is about writing the records of this process: what its successor must know.
// A record that cannot be written, such as on a full disk, takes nothing from the service.

// keep writes a record that is stale, unless it failed too recently.
func (d *Daemon) keep(now time.Time, dir, name string, stale *bool, write func() error) {
	path := filepath.Join(dir, name)
	switch {
	case d.dry:
		return
	case !*stale: // it may have been written in another way
	case d.unwritten.wait(now, path):
		return
	default:
		if err := write(); err != nil {
			d.notWritten(now, path, err)
			return
		}
		*stale = false
	}
	d.written(now, path)
}

// notWritten notes that a record could not be written.
func (d *Daemon) notWritten(now time.Time, path string, err error) {
	_, before := d.unwritten[path]
	reason := strings.TrimPrefix(err.Error(), "checkd: write "+path+": ")
	d.unwritten.add(now, path, reason)
	if !before {
		d.fileEvent(now, path, "written", "failed", reason+"; it is tried again, and what it should hold would be forgotten at a restart")
	}
}

// written notes that a record is as it should be.
func (d *Daemon) written(now time.Time, path string) {
	if _, before := d.unwritten[path]; before {
		delete(d.unwritten, path)
		d.fileEvent(now, path, "failed", "written", "it could be written again")
	}
}

func (d *Daemon) fileEvent(now time.Time, path, from, to, reason string) {
	d.events = append(d.events, control.Event{Time: now, Generation: d.generation, Kind: "file", Subject: path, From: from, To: to, Reason: reason})
	d.news = true
}

// keepAll writes the records that are stale.
func (d *Daemon) keepAll(now time.Time) {
	d.keepRecord(now)
	d.keepWhole(now)
	d.keepMaintenance(now)
	d.keepAlarms(now)
}

// retryRecords tries those again that could not be written and are due.
func (d *Daemon) retryRecords(now time.Time) {
	if at, any := d.unwritten.next(); any && !now.Before(at) {
		d.keepAll(now)
	}
}
