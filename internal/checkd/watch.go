package checkd

import (
	"context"
	"sync"
	"time"

	"director/config"
	"director/internal/observe"
)

// fileWatches tell of files that checks look at when they change, so that such a
// check need not wait for its interval.
type fileWatches struct {
	changed chan string // paths
	ctx     context.Context
	running *sync.WaitGroup
	ends    map[string]context.CancelFunc
}

// keep watches the files that are wanted and no others.
func (w *fileWatches) keep(wanted map[string]bool) {
	for path, end := range w.ends {
		if !wanted[path] {
			end()
			delete(w.ends, path)
		}
	}
	for path := range wanted {
		if w.ends[path] != nil {
			continue
		}
		ctx, end := context.WithCancel(w.ctx)
		w.ends[path] = end
		w.running.Go(func() {
			observe.File(ctx, path, func(observe.Reading) {
				select {
				case w.changed <- path:
				case <-ctx.Done():
				}
			})
		})
	}
}

// watchFiles brings the watches in line with the checks in force.
func (d *Daemon) watchFiles() {
	if d.dry {
		return
	}
	wanted := map[string]bool{}
	for key := range d.schedule.tasks {
		if key.Kind == config.CheckFile {
			wanted[key.Path] = true
		}
	}
	d.files.keep(wanted)
}

// fileChanged makes the checks that look at a file look now.
func (d *Daemon) fileChanged(now time.Time, path string) {
	for key, t := range d.schedule.tasks {
		if key.Kind == config.CheckFile && key.Path == path {
			d.schedule.hurry(now, t)
		}
	}
}
