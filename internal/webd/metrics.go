package webd

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"director/internal/control"
)

// kind is the type of a metric.
type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
	summary   kind = "summary"
)

// family is a metric with everything that is known of it, the reference of metrics
// included.
type family struct {
	name string
	kind kind
	help string
	// labels are the names of its labels, and per what there is one series for.
	labels []string
	per    string
	// collect emits the series of a state. raw, for those of more than one number, is
	// in its place.
	collect func(v *view, emit emit)
	raw     func(v *view, desc *prometheus.Desc, out chan<- prometheus.Metric)
}

// emit takes the value of one series.
type emit func(value float64, labels ...string)

// families lists all metrics, in the order of the reference.
func families() []family {
	var list []family
	list = append(list, daemonFamilies()...)
	list = append(list, vrrpFamilies()...)
	list = append(list, trackerFamilies()...)
	list = append(list, serviceFamilies()...)
	list = append(list, orderedFamily())
	list = append(list, trafficFamilies("virtual_server", "virtual server", []string{"service"}, "virtual server", eachService)...)
	list = append(list, serverFamilies()...)
	list = append(list, trafficFamilies("real_server", "real server", []string{"service", "server"}, "real server", eachServer)...)
	list = append(list, ipvsFamilies()...)
	return list
}

// collector is the state as metrics. All series of one scrape are of one state.
type collector struct {
	view     func() *view
	families []family
	descs    []*prometheus.Desc
}

func newCollector(current func() *view) *collector {
	c := &collector{view: current, families: families()}
	for _, f := range c.families {
		c.descs = append(c.descs, prometheus.NewDesc(f.name, f.help, f.labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	v := c.view()
	if v == nil {
		return // nothing is known yet
	}
	for i, f := range c.families {
		desc := c.descs[i]
		if f.raw != nil {
			f.raw(v, desc, out)
			continue
		}
		valueType := prometheus.GaugeValue
		if f.kind == counter {
			valueType = prometheus.CounterValue
		}
		f.collect(v, func(value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(desc, valueType, value, labels...)
		})
	}
}

// truth is a condition as a number.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// moment is a time as Prometheus has it, 0 when it is not known.
func moment(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

// states emits 1 for the state that is and 0 for the others.
func states(emit emit, is string, all []string, labels ...string) {
	known := false
	for _, s := range all {
		known = known || s == is
		emit(truth(s == is), append(labels[:len(labels):len(labels)], s)...)
	}
	if !known {
		emit(1, append(labels[:len(labels):len(labels)], is)...)
	}
}

// reasons emits counts by reason.
func reasons(emit emit, counts map[string]uint64, labels ...string) {
	for reason, n := range counts {
		emit(float64(n), append(labels[:len(labels):len(labels)], reason)...)
	}
}

// eachService calls f for each virtual server.
func eachService(v *view, f func(control.Counters, control.Rates, conns, ...string)) {
	if v.status.Checkers == nil {
		return
	}
	for i := range v.status.Checkers.Services {
		s := &v.status.Checkers.Services[i]
		var n conns
		for j := range s.Servers {
			n.add(&s.Servers[j])
		}
		for j := range s.SorryServers {
			n.add(&s.SorryServers[j])
		}
		f(s.Counters, s.Rates, n, s.Name)
	}
}

// eachServer calls f for each real server, none when they are too many.
func eachServer(v *view, f func(control.Counters, control.Rates, conns, ...string)) {
	v.servers(func(s *control.Service, r *control.Server) {
		var n conns
		n.add(r)
		f(r.Counters, r.Rates, n, s.Name, r.Name)
	})
}

// conns are the connections that the kernel knows.
type conns struct{ active, inactive, persistent uint64 }

func (c *conns) add(s *control.Server) {
	c.active += uint64(s.Active)
	c.inactive += uint64(s.Inactive)
	c.persistent += uint64(s.Persistent)
}
