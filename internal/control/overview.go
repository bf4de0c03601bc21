package control

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// OpOverview answers Overview; takes an OverviewQuery.
const OpOverview Op = "overview"

// OverviewQuery says of which virtual servers an overview lists the real servers.
type OverviewQuery struct {
	Services []string `json:"services,omitempty"` // their names
}

// Overview is a status in short, as the parent knows it: no other process is asked for
// it, so that it costs little however often it is wanted and however large the farm is.
// It may lag behind by about a second.
type Overview struct {
	Version    string    `json:"version"`
	RouterID   string    `json:"router_id"`
	ConfigPath string    `json:"config_path"`
	Generation uint64    `json:"generation"`
	StartedAt  time.Time `json:"started_at"` // of the parent
	// IPVSNamespace is the network namespace whose IPVS the daemon programs, as
	// `ip netns` names it; empty: the one that its processes are in.
	IPVSNamespace string             `json:"ipvs_namespace,omitempty"`
	Processes     []Process          `json:"processes"`
	Instances     []OverviewInstance `json:"instances,omitempty"`
	Groups        []string           `json:"groups,omitempty"`   // sync groups
	Trackers      []string           `json:"trackers,omitempty"` // and track scripts and BFD sessions
	Services      []OverviewService  `json:"services,omitempty"`
}

// OverviewInstance is a virtual router in short.
type OverviewInstance struct {
	Name     string    `json:"name"`
	Family   string    `json:"family"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Priority int       `json:"priority"`
	Address  string    `json:"address"` // the first, and how many follow
	Master   string    `json:"master,omitempty"`
}

// OverviewService is a virtual server in short.
type OverviewService struct {
	Name      string    `json:"name"`
	Addresses []string  `json:"addresses"` // of the kernel's services that it stands for
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Up        int       `json:"servers_up"`
	Total     int       `json:"servers"`
	// Servers are nil unless they were asked for; sorry servers and those that leave
	// the configuration come last.
	Servers []OverviewServer `json:"real_servers,omitempty"`
}

// OverviewServer is a real server in short.
type OverviewServer struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Health  string `json:"health"`
	Order   string `json:"order,omitempty"`  // what an operator has ordered
	Reason  string `json:"reason,omitempty"` // why it is not up
}

// Overview returns s in short.
func (s *Status) Overview(q OverviewQuery) *Overview {
	o := &Overview{Version: s.Version, RouterID: s.RouterID, ConfigPath: s.ConfigPath, Generation: s.Generation, Processes: s.Processes}
	for _, p := range s.Processes {
		if p.Role == "parent" {
			o.StartedAt = p.StartedAt
		}
	}
	if v := s.VRRP; v != nil {
		for _, i := range v.Instances {
			o.Instances = append(o.Instances, OverviewInstance{
				Name: i.Name, Family: i.Family, State: i.State, Since: i.Since, Priority: i.Priority,
				Address: firstAddress(i.Addresses), Master: i.Master,
			})
		}
		for _, g := range v.Groups {
			o.Groups = append(o.Groups, g.Name)
		}
		for _, t := range v.Trackers {
			o.Trackers = append(o.Trackers, t.Name)
		}
		for _, c := range v.Scripts {
			o.Trackers = append(o.Trackers, c.Name)
		}
		for _, b := range v.BFD {
			o.Trackers = append(o.Trackers, b.Name)
		}
	}
	if c := s.Checkers; c != nil {
		o.Services = make([]OverviewService, len(c.Services))
		for i := range c.Services {
			v := &c.Services[i]
			o.Services[i] = v.overview(slices.Contains(q.Services, v.Name))
		}
	}
	return o
}

func (v *Service) overview(servers bool) OverviewService {
	o := OverviewService{Name: v.Name, Addresses: []string{v.Address}, State: v.State, Since: v.Since, Total: len(v.Servers)}
	if len(v.Members) > 0 {
		o.Addresses = o.Addresses[:0]
		for _, m := range v.Members {
			o.Addresses = append(o.Addresses, m.Address)
		}
	}
	if v.Standby {
		o.State = "standby"
	}
	for i := range v.Servers {
		if v.Servers[i].Health == "up" {
			o.Up++
		}
	}
	if !servers {
		return o
	}
	add := func(r *Server, health string) {
		short := OverviewServer{Name: r.Name, Address: r.Address, Health: health}
		if r.Override != nil {
			short.Order = r.Override.Order
		}
		if r.Health != "up" {
			short.Reason = r.Reason
		}
		o.Servers = append(o.Servers, short)
	}
	for i := range v.Servers {
		add(&v.Servers[i], v.Servers[i].Health)
	}
	for i := range v.SorryServers {
		add(&v.SorryServers[i], v.SorryServers[i].Health)
	}
	for _, l := range v.Leaving {
		o.Servers = append(o.Servers, OverviewServer{Name: l.Name, Address: l.Address, Health: "leaving"})
	}
	return o
}

// Overview returns the daemon's state in short.
func (c *Client) Overview(ctx context.Context, q OverviewQuery) (*Overview, error) {
	args, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	res, err := c.call(ctx, Request{Op: OpOverview, Args: args})
	if err == nil && res.Overview == nil {
		err = errors.New("director answered without an overview")
	}
	return res.Overview, err
}
