package webd

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"director/internal/control"
)

// The states of which each has a series.
var (
	serviceStates = []string{"up", "down", "sorry", "unknown"}
	healthStates  = []string{"up", "down", "unknown"}
)

// services makes what is collected for each virtual server of one that collects for all.
func services(f func(*control.Service, emit)) func(*view, emit) {
	return func(v *view, emit emit) {
		if v.status.Checkers == nil {
			return
		}
		for i := range v.status.Checkers.Services {
			f(&v.status.Checkers.Services[i], emit)
		}
	}
}

// ofCheckers calls f when the checker process has told its state.
func ofCheckers(f func(*control.Checkers, emit)) func(*view, emit) {
	return func(v *view, emit emit) {
		if v.status.Checkers != nil {
			f(v.status.Checkers, emit)
		}
	}
}

// serviceFamilies are about virtual servers and their pools.
func serviceFamilies() []family {
	id := []string{"service"}
	simple := func(name string, kind kind, help string, value func(*control.Service) float64) family {
		return family{
			name: "director_virtual_server_" + name, kind: kind, labels: id, per: "virtual server", help: help,
			collect: services(func(s *control.Service, emit emit) { emit(value(s), s.Name) }),
		}
	}
	return []family{{
		name: "director_virtual_server_info", kind: gauge, labels: []string{"service", "address", "scheduler", "forwarding"}, per: "virtual server",
		help:    "What a virtual server is; always 1.",
		collect: services(func(s *control.Service, emit emit) { emit(1, s.Name, s.Address, s.Scheduler, s.Forwarding) }),
	}, {
		name: "director_virtual_server_state", kind: gauge, labels: []string{"service", "state"}, per: "virtual server, times 4 states",
		help:    "1 for the state of a virtual server: up, down, sorry (the sorry server answers) or unknown.",
		collect: services(func(s *control.Service, emit emit) { states(emit, s.State, serviceStates, s.Name) }),
	},
		simple("state_timestamp_seconds", gauge, "Since when the virtual server is in its state.", func(s *control.Service) float64 { return moment(s.Since) }),
		simple("installed", gauge, "Whether the kernel has the virtual server.", func(s *control.Service) float64 { return truth(s.Installed) }),
		simple("standby", gauge, "Whether the virtual server is kept out of the kernel's table because its VRRP instance is not MASTER.", func(s *control.Service) float64 { return truth(s.Standby) }),
		simple("panic_guard", gauge, "Whether the panic guard keeps servers in service that are down.", func(s *control.Service) float64 { return truth(s.PanicGuard != nil && s.PanicGuard.Blocking) }),
		{
			name: "director_virtual_server_certificate_expiry_timestamp_seconds", kind: gauge, labels: id, per: "virtual server whose checks speak TLS",
			help: "When the first certificate ends of those that its servers, sorry servers included, have shown to their checks.",
			collect: services(func(s *control.Service, emit emit) {
				if first := firstExpiry(s); !first.IsZero() {
					emit(moment(first), s.Name)
				}
			}),
		},
		simple("quorum", gauge, "Weight of healthy servers that the virtual server needs to be up.", func(s *control.Service) float64 { return float64(s.Quorum) }),
		simple("up_weight", gauge, "Total weight of its healthy servers.", func(s *control.Service) float64 { return float64(s.UpWeight) }),
		{
			name: "director_virtual_server_servers", kind: gauge, labels: []string{"service", "health"}, per: "virtual server, times 3 states of health",
			help: "Real servers of the pool by their health; the sum is the size of the pool as configured.",
			collect: services(func(s *control.Service, emit emit) {
				count := make(map[string]int, len(healthStates))
				for _, h := range healthStates {
					count[h] = 0
				}
				for i := range s.Servers {
					count[s.Servers[i].Health]++
				}
				for h, n := range count {
					emit(float64(n), s.Name, h)
				}
			}),
		},
		simple("servers_in_service", gauge, "Real servers of the pool that get new connections: in the kernel's table with a weight above 0.", func(s *control.Service) float64 {
			n := 0
			for i := range s.Servers {
				n += int(truth(s.Servers[i].Installed && s.Servers[i].KernelWeight > 0))
			}
			return float64(n)
		}),
		simple("servers_unchecked", gauge, "Real servers, sorry servers included, whose checks this host cannot make, so that they keep the state they had: the alarm no_verdict.", func(s *control.Service) float64 {
			n := 0
			for _, list := range [][]control.Server{s.Servers, s.SorryServers} {
				for i := range list {
					n += int(truth(!list[i].Unchecked.IsZero()))
				}
			}
			return float64(n)
		}),
	}
}

// trafficFamilies are the kernel's counters of virtual or real servers.
func trafficFamilies(subsystem, object string, labels []string, per string, each func(*view, func(control.Counters, control.Rates, conns, ...string))) []family {
	var list []family
	add := func(name string, kind kind, help string, value func(control.Counters, control.Rates, conns) float64) {
		list = append(list, family{
			name: "director_" + subsystem + "_" + name, kind: kind, labels: labels, per: per, help: help,
			collect: func(v *view, emit emit) {
				each(v, func(c control.Counters, r control.Rates, n conns, labels ...string) { emit(value(c, r, n), labels...) })
			},
		})
	}
	total := func(name, what string, value func(control.Counters) uint64) {
		add(name, counter, what+" of a "+object+", as the kernel counts (64 bit).", func(c control.Counters, _ control.Rates, _ conns) float64 { return float64(value(c)) })
	}
	rate := func(name, what string, value func(control.Rates) uint64) {
		add(name, gauge, what+" a second of a "+object+", the kernel's average over the last seconds.", func(_ control.Counters, r control.Rates, _ conns) float64 { return float64(value(r)) })
	}
	now := func(name, what string, value func(conns) uint64) {
		add(name, gauge, what+" of a "+object+" now.", func(_ control.Counters, _ control.Rates, n conns) float64 { return float64(value(n)) })
	}
	total("connections_total", "Connections scheduled", func(c control.Counters) uint64 { return c.Connections })
	total("incoming_packets_total", "Packets from clients", func(c control.Counters) uint64 { return c.InPackets })
	total("outgoing_packets_total", "Packets to clients (masquerading only)", func(c control.Counters) uint64 { return c.OutPackets })
	total("incoming_bytes_total", "Bytes from clients", func(c control.Counters) uint64 { return c.InBytes })
	total("outgoing_bytes_total", "Bytes to clients (masquerading only)", func(c control.Counters) uint64 { return c.OutBytes })
	rate("connections_per_second", "Connections scheduled", func(r control.Rates) uint64 { return r.Connections })
	rate("incoming_packets_per_second", "Packets from clients", func(r control.Rates) uint64 { return r.InPackets })
	rate("outgoing_packets_per_second", "Packets to clients", func(r control.Rates) uint64 { return r.OutPackets })
	rate("incoming_bytes_per_second", "Bytes from clients", func(r control.Rates) uint64 { return r.InBytes })
	rate("outgoing_bytes_per_second", "Bytes to clients", func(r control.Rates) uint64 { return r.OutBytes })
	now("active_connections", "Active connections", func(n conns) uint64 { return n.active })
	now("inactive_connections", "Inactive connections", func(n conns) uint64 { return n.inactive })
	now("persistent_connections", "Clients that persistence binds to a server", func(n conns) uint64 { return n.persistent })
	return list
}

// serverFamilies are about single real servers and their checks.
func serverFamilies() []family {
	id := []string{"service", "server"}
	simple := func(name string, kind kind, help string, value func(*control.Server) float64) family {
		return family{
			name: "director_real_server_" + name, kind: kind, labels: id, per: "real server", help: help,
			collect: func(v *view, emit emit) {
				v.servers(func(s *control.Service, r *control.Server) { emit(value(r), s.Name, r.Name) })
			},
		}
	}
	check := append(id[:len(id):len(id)], "check", "target")
	return []family{{
		name: "director_real_server_metrics_omitted", kind: gauge, per: "daemon",
		help:    "Real servers that have no metrics of their own because they are more than web.max_server_series.",
		collect: func(v *view, emit emit) { emit(float64(v.omitted)) },
	},
		simple("up", gauge, "Whether the checks find a real server well.", func(r *control.Server) float64 { return truth(r.Health == "up") }),
		simple("state_timestamp_seconds", gauge, "Since when the real server is up, down or unknown.", func(r *control.Server) float64 { return moment(r.Since) }),
		simple("weight", gauge, "Configured weight.", func(r *control.Server) float64 { return float64(r.Weight) }),
		simple("effective_weight", gauge, "Weight after what the checks advise.", func(r *control.Server) float64 { return float64(r.EffectiveWeight) }),
		simple("kernel_weight", gauge, "Weight in the kernel's table, -1 when it is not there.", func(r *control.Server) float64 { return float64(r.KernelWeight) }),
		{
			name: "director_real_server_order", kind: gauge, labels: append(id[:len(id):len(id)], "order"), per: "real server that an operator has ordered something for",
			help: "What an operator has ordered for a real server: drain, maintain or weight; always 1.",
			collect: func(v *view, emit emit) {
				v.servers(func(s *control.Service, r *control.Server) {
					if r.Override != nil {
						emit(1, s.Name, r.Name, r.Override.Order)
					}
				})
			},
		}, {
			name: "director_check_up", kind: gauge, labels: check, per: "check of a real server",
			help: "Whether a check is up.",
			collect: func(v *view, emit emit) {
				eachCheck(v, func(c *control.CheckStatus, labels []string) { emit(truth(c.State == "up"), labels...) })
			},
		}, {
			name: "director_check_results_total", kind: counter, labels: append(check[:len(check):len(check)], "result"), per: "check of a real server, times 2 results",
			help: "Results of a check: passed, failed.",
			collect: func(v *view, emit emit) {
				eachCheck(v, func(c *control.CheckStatus, labels []string) {
					emit(float64(c.Passed), append(labels[:len(labels):len(labels)], "passed")...)
					emit(float64(c.Failed), append(labels, "failed")...)
				})
			},
		}, {
			name: "director_check_duration_seconds", kind: summary, labels: check, per: "check of a real server, times 2 (_sum, _count)",
			help: "How long the runs of a check took.",
			raw: func(v *view, desc *prometheus.Desc, out chan<- prometheus.Metric) {
				eachCheck(v, func(c *control.CheckStatus, labels []string) {
					out <- prometheus.MustNewConstSummary(desc, c.Passed+c.Failed, c.Spent.Seconds(), nil, labels...)
				})
			},
		}, {
			name: "director_check_last_duration_seconds", kind: gauge, labels: check, per: "check of a real server",
			help: "How long the last run of a check took.",
			collect: func(v *view, emit emit) {
				eachCheck(v, func(c *control.CheckStatus, labels []string) { emit(c.Duration.Seconds(), labels...) })
			},
		}, {
			name: "director_check_certificate_expiry_timestamp_seconds", kind: gauge, labels: check, per: "check of a real server that speaks TLS",
			help: "When the first of the certificates ends that the server has shown to a check.",
			collect: func(v *view, emit emit) {
				eachCheck(v, func(c *control.CheckStatus, labels []string) {
					if !c.Expires.IsZero() {
						emit(moment(c.Expires), labels...)
					}
				})
			},
		}}
}

// firstExpiry returns when the first certificate of a pool's servers ends; zero: none
// has shown one.
func firstExpiry(s *control.Service) (first time.Time) {
	for _, list := range [...][]control.Server{s.Servers, s.SorryServers} {
		for i := range list {
			for j := range list[i].Checks {
				if at := list[i].Checks[j].Expires; !at.IsZero() && (first.IsZero() || at.Before(first)) {
					first = at
				}
			}
		}
	}
	return first
}

// orderedFamily counts the real servers that are not used as the configuration says.
func orderedFamily() family {
	return family{
		name: "director_real_servers_ordered", kind: gauge, labels: []string{"order"}, per: "order (4)",
		help: "Real servers that are not used as configured: by order of an operator (drain, maintain, weight), or leaving, as they are not configured any more.",
		collect: ofCheckers(func(c *control.Checkers, emit emit) {
			orders, gone := c.CountOverrides()
			for _, order := range []string{control.VerbDrain, control.VerbMaintain, control.VerbWeight} {
				emit(float64(orders[order]), order)
			}
			emit(float64(gone), "leaving")
		}),
	}
}

// eachCheck calls f for each check of the real servers that have metrics.
func eachCheck(v *view, f func(c *control.CheckStatus, labels []string)) {
	v.servers(func(s *control.Service, r *control.Server) {
		type key struct{ kind, target string }
		seen := make(map[key]int, len(r.Checks))
		for i := range r.Checks {
			c := &r.Checks[i]
			target := c.Target
			// Two of one kind may have the same target.
			if seen[key{c.Kind, target}]++; seen[key{c.Kind, target}] > 1 {
				target += " #" + strconv.Itoa(seen[key{c.Kind, c.Target}])
			}
			f(c, []string{s.Name, r.Name, c.Kind, target})
		}
	})
}

// ipvsFamilies are about the kernel's table as a whole.
func ipvsFamilies() []family {
	simple := func(name string, kind kind, help string, value func(*control.Checkers) float64) family {
		return family{
			name: "director_ipvs_" + name, kind: kind, per: "daemon", help: help,
			collect: ofCheckers(func(c *control.Checkers, emit emit) { emit(value(c)) }),
		}
	}
	sync := func(name string, kind kind, help string, value func(*control.IPVSSync) float64) family {
		return family{
			name: "director_ipvs_sync_" + name, kind: kind, per: "daemon, with connection sync", help: help,
			collect: ofCheckers(func(c *control.Checkers, emit emit) {
				if c.Sync != nil {
					emit(value(c.Sync))
				}
			}),
		}
	}
	return []family{
		simple("comparisons_total", counter, "Comparisons of the kernel's whole table with the wanted one.", func(c *control.Checkers) float64 { return float64(c.Work.Comparisons) }),
		simple("last_comparison_timestamp_seconds", gauge, "When the kernel's whole table was last compared.", func(c *control.Checkers) float64 { return moment(c.Reconciled) }),
		simple("operations_total", counter, "Changes of the table that the kernel made for director.", func(c *control.Checkers) float64 { return float64(c.Work.Operations) }),
		simple("failed_calls_total", counter, "Calls of the kernel that failed, retries included.", func(c *control.Checkers) float64 { return float64(c.Work.Failed) }),
		simple("kernel_failures", gauge, "Calls of the kernel that fail now and are tried again.", func(c *control.Checkers) float64 { return float64(len(c.Failures)) }),
		{
			name: "director_unwritten_files", kind: gauge, per: "daemon", help: "Records that the checkers cannot write now, which is tried again: a restart would lack what they should hold.",
			collect: ofCheckers(func(c *control.Checkers, emit emit) { emit(float64(len(c.Unwritten))) }),
		},
		simple("repairs_total", counter, "Differences in the table that somebody else had made and that were undone.", func(c *control.Checkers) float64 { return float64(c.Repairs) }),
		{
			name: "director_ipvs_sync_daemon_running", kind: gauge, labels: []string{"role"}, per: "connection sync daemon (at most 2)",
			help: "Whether a connection sync daemon that should run does.",
			collect: ofCheckers(func(c *control.Checkers, emit emit) {
				if c.Sync == nil {
					return
				}
				for _, d := range c.Sync.Daemons {
					emit(truth(d.Running), d.Role)
				}
			}),
		},
		sync("connections_own", gauge, "Connections that this director has itself.", func(s *control.IPVSSync) float64 { return float64(s.Own) }),
		sync("connections_learned", gauge, "Connections that this director knows from others.", func(s *control.IPVSSync) float64 { return float64(s.Learned) }),
		sync("queued_bytes", gauge, "Bytes that wait to be read by the backup daemon.", func(s *control.IPVSSync) float64 { return float64(s.Queued) }),
		sync("dropped_messages_total", counter, "Messages of other directors that were lost at the backup daemon.", func(s *control.IPVSSync) float64 { return float64(s.Dropped) }),
	}
}
