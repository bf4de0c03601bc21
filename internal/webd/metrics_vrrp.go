package webd

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"director/internal/control"
)

// The states of which each has a series.
var (
	instanceStates = []string{"INIT", "BACKUP", "MASTER", "FAULT"}
	bfdStates      = []string{"AdminDown", "Down", "Init", "Up"}
	verdicts       = []string{"up", "down", "unknown"}
)

// instances makes what is collected for each instance of one that collects for all.
func instances(f func(*control.Instance, emit)) func(*view, emit) {
	return func(v *view, emit emit) {
		if v.status.VRRP == nil {
			return
		}
		for i := range v.status.VRRP.Instances {
			f(&v.status.VRRP.Instances[i], emit)
		}
	}
}

// ofVRRP calls f when the VRRP process has told its state.
func ofVRRP(f func(*control.VRRP, emit)) func(*view, emit) {
	return func(v *view, emit emit) {
		if v.status.VRRP != nil {
			f(v.status.VRRP, emit)
		}
	}
}

// vrrpFamilies are about virtual routers.
func vrrpFamilies() []family {
	id := []string{"vrrp_instance", "family"}
	with := func(more ...string) []string { return append(id[:len(id):len(id)], more...) }
	const per = "instance and address family"
	simple := func(name string, kind kind, help string, value func(*control.Instance) float64) family {
		return family{
			name: "director_vrrp_" + name, kind: kind, labels: id, per: per, help: help,
			collect: instances(func(i *control.Instance, emit emit) { emit(value(i), i.Name, i.Family) }),
		}
	}
	return []family{{
		name: "director_vrrp_instance_info", kind: gauge, labels: with("interface", "virtual_router_id", "version", "group"), per: per,
		help: "What a virtual router is; always 1.",
		collect: instances(func(i *control.Instance, emit emit) {
			emit(1, i.Name, i.Family, i.Interface, strconv.Itoa(int(i.VRID)), strconv.Itoa(int(i.Version)), i.Group)
		}),
	}, {
		name: "director_vrrp_instance_state", kind: gauge, labels: with("state"), per: per + ", times 4 states",
		help:    "1 for the state that a virtual router is in: INIT, BACKUP, MASTER or FAULT.",
		collect: instances(func(i *control.Instance, emit emit) { states(emit, i.State, instanceStates, i.Name, i.Family) }),
	},
		simple("instance_state_timestamp_seconds", gauge, "Since when the virtual router is in its state.", func(i *control.Instance) float64 { return moment(i.Since) }),
		{
			name: "director_vrrp_transitions_total", kind: counter, labels: with("to", "reason"), per: per + ", times the kinds of transition that happened (at most 4 states and 30 reasons)",
			help: "Changes of state by the state they led to and the reason_code.",
			collect: instances(func(i *control.Instance, emit emit) {
				for _, m := range i.Moves {
					emit(float64(m.Count), i.Name, i.Family, m.To, m.Code)
				}
			}),
		},
		simple("priority", gauge, "Effective priority: what adverts carry.", func(i *control.Instance) float64 { return float64(i.Priority) }),
		simple("base_priority", gauge, "Configured priority, without what tracking adds to it.", func(i *control.Instance) float64 { return float64(i.BasePriority) }),
		simple("master_priority", gauge, "Priority of the master that is heard, 0 when there is none.", func(i *control.Instance) float64 { return float64(i.MasterPriority) }),
		simple("advert_interval_seconds", gauge, "Interval of adverts in force.", func(i *control.Instance) float64 { return i.AdvertInterval.Seconds() }),
		simple("adverts_sent_total", counter, "Adverts sent, each counted once to however many peers.", func(i *control.Instance) float64 { return float64(i.AdvertsSent) }),
		simple("adverts_received_total", counter, "Adverts received and accepted.", func(i *control.Instance) float64 { return float64(i.AdvertsHeard) }),
		{
			name: "director_vrrp_packets_discarded_total", kind: counter, labels: with("reason"), per: per + ", times the reasons that occurred (at most 25)",
			help:    "Received VRRP packets that were discarded, by reason.",
			collect: instances(func(i *control.Instance, emit emit) { reasons(emit, i.Discards, i.Name, i.Family) }),
		},
		simple("takeover_held_back", gauge, "Whether a promotion gate keeps the virtual router from taking over.", func(i *control.Instance) float64 { return truth(i.HeldBack != "") }),
		simple("addresses", gauge, "Configured virtual addresses.", func(i *control.Instance) float64 { return float64(len(i.Addresses)) }),
		simple("addresses_installed", gauge, "Virtual addresses that the kernel has.", func(i *control.Instance) float64 {
			n := 0
			for _, a := range i.Addresses {
				n += int(truth(a.Installed))
			}
			return float64(n)
		}),
		{
			name: "director_vrrp_path_up", kind: gauge, labels: with("path"), per: per + ", times its heartbeat paths (at most 9)",
			help: "Whether adverts pass over a path of an instance with heartbeat paths.",
			collect: instances(func(i *control.Instance, emit emit) {
				for _, p := range i.Paths {
					emit(truth(p.State == control.PathUp), i.Name, i.Family, p.Name)
				}
			}),
		}, {
			name: "director_vrrp_peer_packets_received_total", kind: counter, labels: with("peer"), per: per + ", times its unicast peers",
			help: "VRRP packets from a unicast peer, those that were discarded included.",
			collect: instances(func(i *control.Instance, emit emit) {
				for _, p := range i.Peers {
					emit(float64(p.Heard), i.Name, i.Family, p.Address.String())
				}
			}),
		}, {
			name: "director_vrrp_group_state", kind: gauge, labels: []string{"group", "state"}, per: "sync group, times 4 states",
			help: "1 for the state that the members of a sync group share.",
			collect: ofVRRP(func(s *control.VRRP, emit emit) {
				for _, g := range s.Groups {
					states(emit, g.State, instanceStates, g.Name)
				}
			}),
		}, {
			name: "director_vrrp_group_transitions_total", kind: counter, labels: []string{"group"}, per: "sync group",
			help: "Changes of state of a sync group.",
			collect: ofVRRP(func(s *control.VRRP, emit emit) {
				for _, g := range s.Groups {
					emit(float64(g.Transitions), g.Name)
				}
			}),
		}, {
			name: "director_vrrp_timer_lateness_seconds", kind: histogram, per: "daemon, times 17 buckets",
			help: "How late the VRRP process woke up for its timers.",
			raw:  lateness,
		}, {
			name: "director_vrrp_timer_lateness_max_seconds", kind: gauge, per: "daemon",
			help:    "How late the VRRP process woke up at most since it started.",
			collect: ofVRRP(func(s *control.VRRP, emit emit) { emit(s.Lateness.Max.Seconds()) }),
		}, {
			name: "director_vrrp_repairs_total", kind: counter, per: "daemon",
			help:    "Virtual addresses that were put back after somebody else had removed them.",
			collect: ofVRRP(func(s *control.VRRP, emit emit) { emit(float64(s.Repairs)) }),
		}, {
			name: "director_vrrp_kernel_failures", kind: gauge, per: "daemon",
			help:    "Calls of the kernel by the VRRP process that fail now and are tried again.",
			collect: ofVRRP(func(s *control.VRRP, emit emit) { emit(float64(len(s.Failures))) }),
		}}
}

// lateness is control.Lateness as a histogram.
func lateness(v *view, desc *prometheus.Desc, out chan<- prometheus.Metric) {
	if v.status.VRRP == nil {
		return
	}
	l := v.status.VRRP.Lateness
	buckets := make(map[float64]uint64, len(l.Buckets))
	var sum uint64
	for _, b := range l.Buckets {
		sum += b.Count
		buckets[b.AtMost.Seconds()] = sum
	}
	out <- prometheus.MustNewConstHistogram(desc, l.Count, l.Sum.Seconds(), buckets)
}

// trackerFamilies are about what virtual routers track, alarms and BFD.
func trackerFamilies() []family {
	bfd := func(name string, kind kind, help string, value func(*control.BFD) float64) family {
		return family{
			name: "director_bfd_" + name, kind: kind, labels: []string{"session"}, per: "BFD session", help: help,
			collect: ofVRRP(func(s *control.VRRP, emit emit) {
				for i := range s.BFD {
					emit(value(&s.BFD[i]), s.BFD[i].Name)
				}
			}),
		}
	}
	return []family{{
		name: "director_vrrp_tracker_state", kind: gauge, labels: []string{"type", "name", "state"}, per: "tracked script, interface, file, process, target or BFD session, times 3 states",
		help: "1 for the state of something that is tracked: up, down or unknown.",
		collect: ofVRRP(func(s *control.VRRP, emit emit) {
			for _, t := range s.Scripts {
				states(emit, t.State, verdicts, "script", t.Name)
			}
			for _, t := range s.Trackers {
				states(emit, t.State, verdicts, t.Kind, t.Name)
			}
		}),
	}, {
		name: "director_vrrp_script_duration_seconds", kind: gauge, labels: []string{"name"}, per: "track script",
		help: "How long the last run of a track script took.",
		collect: ofVRRP(func(s *control.VRRP, emit emit) {
			for _, t := range s.Scripts {
				emit(t.Duration.Seconds(), t.Name)
			}
		}),
	}, {
		name: "director_alarm", kind: gauge, labels: []string{"vrrp_instance", "family", "code", "level"}, per: "alarm that is raised now (at most 20 for an instance and address family)",
		help: "Alarms raised now, between the routers of a link: how many of an instance with this code.",
		collect: ofVRRP(func(s *control.VRRP, emit emit) {
			count := make(map[[4]string]int)
			for _, a := range s.Alarms {
				count[[4]string{a.Instance, a.Family, a.Code, a.Level}]++
			}
			for labels, n := range count {
				emit(float64(n), labels[:]...)
			}
		}),
	}, {
		name: "director_alarms", kind: gauge, labels: []string{"level"}, per: "level (2)",
		help: "Number of alarms raised now.",
		collect: ofVRRP(func(s *control.VRRP, emit emit) {
			count := map[string]int{control.LevelAlarm: 0, control.LevelWarning: 0}
			for _, a := range s.Alarms {
				count[a.Level]++
			}
			for level, n := range count {
				emit(float64(n), level)
			}
		}),
	}, {
		name: "director_bfd_session_state", kind: gauge, labels: []string{"session", "state"}, per: "BFD session, times 4 states",
		help: "1 for the state that a BFD session is in.",
		collect: ofVRRP(func(s *control.VRRP, emit emit) {
			for _, b := range s.BFD {
				states(emit, b.State, bfdStates, b.Name)
			}
		}),
	},
		bfd("packets_sent_total", counter, "BFD packets sent.", func(b *control.BFD) float64 { return float64(b.Sent) }),
		bfd("packets_received_total", counter, "BFD packets received and accepted.", func(b *control.BFD) float64 { return float64(b.Received) }),
		bfd("detection_time_seconds", gauge, "Negotiated detection time, 0 while it is not known.", func(b *control.BFD) float64 { return b.DetectTime.Seconds() }),
		{
			name: "director_bfd_packets_discarded_total", kind: counter, labels: []string{"session", "reason"}, per: "BFD session, times the reasons that occurred",
			help: "Received BFD packets that were discarded, by reason; those of no session have an empty one.",
			collect: ofVRRP(func(s *control.VRRP, emit emit) {
				for _, b := range s.BFD {
					reasons(emit, b.Discards, b.Name)
				}
				reasons(emit, s.BFDStrays, "")
			}),
		}}
}
