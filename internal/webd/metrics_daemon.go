package webd

import (
	"runtime"

	"director/internal/control"
)

// daemonFamilies are about the daemon itself.
func daemonFamilies() []family {
	perProcess := "process of the daemon (3 to 5)"
	processes := func(f func(control.Process, emit)) func(*view, emit) {
		return func(v *view, emit emit) {
			for _, p := range v.status.Processes {
				f(p, emit)
			}
		}
	}
	return []family{{
		name: "director_build_info", kind: gauge, labels: []string{"version", "goversion"}, per: "daemon",
		help:    "Version of director; always 1.",
		collect: func(v *view, emit emit) { emit(1, v.status.Version, runtime.Version()) },
	}, {
		name: "director_node_info", kind: gauge, labels: []string{"router_id"}, per: "daemon",
		help:    "The router_id of this node; always 1.",
		collect: func(v *view, emit emit) { emit(1, v.status.RouterID) },
	}, {
		name: "director_snapshot_timestamp_seconds", kind: gauge, per: "daemon",
		help:    "When the state was taken that all values of this scrape are of.",
		collect: func(v *view, emit emit) { emit(moment(v.at)) },
	}, {
		name: "director_process_up", kind: gauge, labels: []string{"process"}, per: perProcess,
		help: "Whether a process runs and answers, or is not needed.",
		collect: processes(func(p control.Process, emit emit) {
			emit(truth(asItShould(p) && !p.Stale), p.Role)
		}),
	}, {
		name: "director_process_start_time_seconds", kind: gauge, labels: []string{"process"}, per: perProcess,
		help: "When a process was started, 0 while it does not run.",
		collect: processes(func(p control.Process, emit emit) {
			if p.PID == 0 {
				emit(0, p.Role)
				return
			}
			emit(moment(p.StartedAt), p.Role)
		}),
	}, {
		name: "director_process_restarts_total", kind: counter, labels: []string{"process"}, per: perProcess,
		help:    "Deaths of a process after which it was started again, since the daemon started.",
		collect: processes(func(p control.Process, emit emit) { emit(float64(p.Restarts), p.Role) }),
	}, {
		name: "director_config_generation", kind: gauge, per: "daemon",
		help:    "Number of the configuration in force, counted from 1 at the start of the daemon.",
		collect: func(v *view, emit emit) { emit(float64(v.status.Generation)) },
	}, {
		name: "director_config_loaded_timestamp_seconds", kind: gauge, per: "daemon",
		help:    "When the configuration in force came into force.",
		collect: func(v *view, emit emit) { emit(moment(v.status.LoadedAt)) },
	}, {
		name: "director_config_reloads_total", kind: counter, labels: []string{"result"}, per: "result (2)",
		help: "Reloads of the configuration by their outcome.",
		collect: func(v *view, emit emit) {
			emit(float64(v.status.Reloads.Done), "done")
			emit(float64(v.status.Reloads.Refused), "refused")
		},
	}, {
		name: "director_config_last_reload_successful", kind: gauge, per: "daemon",
		help:    "Whether the last reload was done; 1 before the first.",
		collect: func(v *view, emit emit) { emit(truth(v.status.LastReload == nil || v.status.LastReload.OK)) },
	}, {
		name: "director_config_last_reload_timestamp_seconds", kind: gauge, per: "daemon",
		help: "When the last reload ended, 0 before the first.",
		collect: func(v *view, emit emit) {
			if r := v.status.LastReload; r != nil {
				emit(moment(r.At))
				return
			}
			emit(0)
		},
	}, {
		name: "director_config_last_reload_duration_seconds", kind: gauge, per: "daemon",
		help: "How long the last reload took, 0 before the first.",
		collect: func(v *view, emit emit) {
			if r := v.status.LastReload; r != nil {
				emit(r.Took.Seconds())
				return
			}
			emit(0)
		},
	}, {
		name: "director_notifications_total", kind: counter, labels: []string{"channel", "result"}, per: "channel of notification (at most 5) and result: sent, failed, dropped, coalesced",
		help: "Notifications by what became of them: sent, failed tries, dropped (given up), coalesced (told with a newer one).",
		collect: func(v *view, emit emit) {
			for _, c := range v.status.Notify {
				emit(float64(c.Sent), c.Channel, "sent")
				emit(float64(c.Failed), c.Channel, "failed")
				emit(float64(c.Dropped), c.Channel, "dropped")
				emit(float64(c.Coalesced), c.Channel, "coalesced")
			}
		},
	}, {
		name: "director_notifications_queued", kind: gauge, labels: []string{"channel"}, per: "channel of notification (at most 5)",
		help: "Notifications that wait or are under way.",
		collect: func(v *view, emit emit) {
			for _, c := range v.status.Notify {
				emit(float64(c.Queued), c.Channel)
			}
		},
	}}
}
