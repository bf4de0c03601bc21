package top

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"director/internal/control"
)

// batchWidth is how wide text is that goes to no terminal.
const batchWidth = 160

// Batch is how the view is printed, again and again.
type Batch struct {
	Count int  // how often; 0: until the context ends
	JSON  bool // one object, for Count 1 with line breaks
}

// Print writes the view without steering a terminal. It reads all real servers.
func Print(ctx context.Context, out io.Writer, source Source, s Settings, b Batch) error {
	m := newModel(s, batchWidth, 1<<30)
	m.bare = !s.Colour
	tick := time.NewTicker(s.Interval)
	defer tick.Stop()
	w := Want{All: true}
	for n := 1; ; n++ {
		m.look(source.Sample(w))
		if wanted := m.want(); !w.covers(wanted) {
			wanted.All, w = true, wanted
			m.look(source.Sample(w))
		}
		if err := m.print(out, b); err != nil || n == b.Count {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *model) print(out io.Writer, b Batch) error {
	if b.JSON {
		enc := json.NewEncoder(out)
		if b.Count == 1 {
			enc.SetIndent("", "  ")
		}
		return enc.Encode(m.document())
	}
	lines := append(m.head(), m.status())
	lines = append(lines, m.headings()...)
	m.cursor = -1 // nothing is marked
	for n := range m.shown {
		lines = append(lines, m.row(n))
	}
	m.cursor = 0
	if b.Count != 1 {
		lines = append(lines, "")
	}
	_, err := io.WriteString(out, strings.Join(lines, "\n")+"\n")
	return err
}

// Document is the view for programs.
type Document struct {
	Time       time.Time                  `json:"time"`
	Version    string                     `json:"version,omitempty"`
	RouterID   string                     `json:"router_id,omitempty"`
	Generation uint64                     `json:"generation,omitempty"`
	Processes  []control.Process          `json:"processes,omitempty"`
	Instances  []control.OverviewInstance `json:"instances,omitempty"`
	// DaemonError and KernelError say why there is nothing, or nothing new, of them.
	DaemonError string    `json:"daemon_error,omitempty"`
	KernelError string    `json:"kernel_error,omitempty"`
	Services    []Service `json:"services"` // as they are sorted and filtered
}

// Service is a virtual server, or a service of the kernel that the daemon does not know.
type Service struct {
	Name      string        `json:"name"`
	Addresses []string      `json:"addresses"`
	State     string        `json:"state,omitempty"` // empty: the daemon does not know it
	Up        int           `json:"servers_up"`
	Total     int           `json:"servers"`
	Rates     control.Rates `json:"rates"` // each a second
	Active    uint64        `json:"active_connections"`
	Inactive  uint64        `json:"inactive_connections"`
	Servers   []Server      `json:"real_servers,omitempty"` // where they are shown
}

// Server is a real server.
type Server struct {
	Name     string        `json:"name"`
	Address  string        `json:"address"`
	Health   string        `json:"health,omitempty"`
	Order    string        `json:"order,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Weight   int32         `json:"weight"`
	In       bool          `json:"installed"`
	Rates    control.Rates `json:"rates"`
	Active   uint64        `json:"active_connections"`
	Inactive uint64        `json:"inactive_connections"`
}

func (m *model) document() Document {
	d := Document{Time: m.sample.At, Services: []Service{}}
	if v := m.sample.View; v != nil {
		d.Version, d.RouterID, d.Generation, d.Processes, d.Instances = v.Version, v.RouterID, v.Generation, v.Processes, v.Instances
	}
	if err := m.sample.Lost; err != nil {
		d.DaemonError = err.Error()
	}
	if err := m.sample.Kernel; err != nil {
		d.KernelError = err.Error()
	}
	for i := range m.rows {
		row := &m.rows[i]
		s := Service{Name: row.name, Addresses: row.addresses, State: row.state, Up: row.up, Total: row.total,
			Rates: row.Rates, Active: row.active, Inactive: row.inactive}
		if m.isOpen(row.name) {
			for _, r := range row.servers {
				s.Servers = append(s.Servers, Server{Name: r.name, Address: r.address, Health: r.health, Order: r.order, Reason: r.reason,
					Weight: r.weight, In: r.installed, Rates: r.Rates, Active: r.active, Inactive: r.inactive})
			}
		}
		d.Services = append(d.Services, s)
	}
	return d
}
