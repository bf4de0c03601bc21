package ipvsctl

import (
	"director/internal/control"
	"director/ipvs"
)

// Document is a listing for programs.
type Document struct {
	Version  string    `json:"version"`
	Size     int       `json:"connection_table_size"`
	Services []Service `json:"services"`
}

// Service is a virtual service: Protocol and Address, or FWMark and Family.
type Service struct {
	Protocol           string           `json:"protocol,omitempty"`
	Address            string           `json:"address,omitempty"`
	FWMark             uint32           `json:"fwmark,omitempty"`
	Family             string           `json:"family"`
	Scheduler          string           `json:"scheduler"`
	SchedulerFlags     []string         `json:"scheduler_flags,omitempty"`
	OnePacket          bool             `json:"one_packet,omitempty"`
	PersistenceTimeout uint32           `json:"persistence_timeout,omitempty"` // seconds
	PersistenceMask    string           `json:"persistence_mask,omitempty"`
	PersistenceEngine  string           `json:"persistence_engine,omitempty"`
	Counters           control.Counters `json:"counters"`
	Rates              control.Rates    `json:"rates"`
	Servers            []Server         `json:"real_servers"`
}

// Server is a real server of a service.
type Server struct {
	Address        string           `json:"address"`
	Forwarding     string           `json:"forwarding"`
	Weight         int32            `json:"weight"`
	UpperThreshold uint32           `json:"upper_threshold,omitempty"`
	LowerThreshold uint32           `json:"lower_threshold,omitempty"`
	Tunnel         *Tunnel          `json:"tunnel,omitempty"`
	Active         uint32           `json:"active_connections"`
	Inactive       uint32           `json:"inactive_connections"`
	Persistent     uint32           `json:"persistent_connections"`
	Counters       control.Counters `json:"counters"`
	Rates          control.Rates    `json:"rates"`
}

// Tunnel is how packets are wrapped.
type Tunnel struct {
	Type     string `json:"type"`
	Port     uint16 `json:"port,omitempty"`
	Checksum string `json:"checksum,omitempty"` // checksum, remote-checksum
}

// Connection is one of the kernel's connections.
type Connection struct {
	Protocol   string `json:"protocol"`
	State      string `json:"state"`
	Expires    int64  `json:"expires"` // seconds
	Client     string `json:"client"`
	Virtual    string `json:"virtual"`
	Server     string `json:"real_server"`
	Engine     string `json:"persistence_engine,omitempty"`
	EngineData string `json:"persistence_data,omitempty"`
}

// StateCount is how many connections have a state.
type StateCount struct {
	Protocol    string `json:"protocol"`
	State       string `json:"state"`
	Connections uint64 `json:"connections"`
}

// Document returns the whole listing.
func (t Table) Document() Document {
	doc := Document{Version: t.Version, Size: t.Size, Services: []Service{}}
	for _, k := range t.Table.Keys() {
		e, stats := t.Table[k], t.Stats[k]
		if stats == nil {
			stats = &ipvs.ServiceStats{}
		}
		s := Service{
			FWMark: k.FWMark, Family: k.IPFamily().String(),
			Scheduler: e.Service.Scheduler, SchedulerFlags: e.Service.FlagNames(), OnePacket: e.Service.Flags&ipvs.FlagOnePacket != 0,
			PersistenceTimeout: e.Service.PersistenceTimeout, PersistenceEngine: e.Service.PersistenceEngine,
			Servers: []Server{},
		}
		if k.FWMark == 0 {
			s.Protocol, s.Address = k.Protocol.String(), k.Addr.String()
		}
		if m := e.Service.PersistenceMask; m.IsValid() {
			s.PersistenceMask = m.String()
		}
		s.Counters, s.Rates = counters(stats.Counters)
		for _, d := range e.Keys() {
			s.Servers = append(s.Servers, server(d, e.Dests[d], stats.Dests[d]))
		}
		doc.Services = append(doc.Services, s)
	}
	return doc
}

func server(key ipvs.DestKey, d ipvs.Destination, st ipvs.DestStats) Server {
	s := Server{
		Address: key.String(), Forwarding: d.Forwarding.String(), Weight: d.Weight,
		UpperThreshold: d.UpperThreshold, LowerThreshold: d.LowerThreshold,
		Active: st.Active, Inactive: st.Inactive, Persistent: st.Persistent,
	}
	s.Counters, s.Rates = counters(st.Counters)
	if d.Forwarding == ipvs.Tunnel {
		s.Tunnel = &Tunnel{Type: d.TunnelType.String(), Port: d.TunnelPort}
		switch {
		case d.TunnelFlags&ipvs.TunnelChecksum != 0:
			s.Tunnel.Checksum = "checksum"
		case d.TunnelFlags&ipvs.TunnelRemoteChecksum != 0:
			s.Tunnel.Checksum = "remote-checksum"
		}
	}
	return s
}

func counters(c ipvs.Counters) (control.Counters, control.Rates) {
	return control.Counters{
			Connections: c.Connections, InPackets: c.InPackets, OutPackets: c.OutPackets, InBytes: c.InBytes, OutBytes: c.OutBytes,
		}, control.Rates{
			Connections: c.ConnectionRate, InPackets: c.InPacketRate, OutPackets: c.OutPacketRate, InBytes: c.InByteRate, OutBytes: c.OutByteRate,
		}
}

// Of puts a connection into JSON's terms.
func Of(c ipvs.Connection) Connection {
	return Connection{
		Protocol: c.Protocol, State: c.State, Expires: int64(c.Expires.Seconds()),
		Client: c.Client.String(), Virtual: c.Virtual.String(), Server: c.Server.String(), Engine: c.Engine, EngineData: c.EngineData,
	}
}

// List returns the counts in order.
func (n Counts) List() []StateCount {
	list := []StateCount{}
	for _, k := range n.keys() {
		list = append(list, StateCount{k[0], k[1], n[k]})
	}
	return list
}

// Daemon is a connection-sync daemon of the kernel.
type Daemon struct {
	Role      string `json:"role"`
	Interface string `json:"interface"`
	ID        uint8  `json:"id"`
	MaxLen    uint16 `json:"maxlen"`
	Group     string `json:"group"`
	Port      uint16 `json:"port"`
	TTL       uint8  `json:"ttl"`
}

// DaemonList returns sync daemons in JSON's terms.
func DaemonList(list []ipvs.SyncDaemon) []Daemon {
	out := []Daemon{}
	for _, d := range list {
		d = d.Canonical()
		out = append(out, Daemon{d.Role.String(), d.Interface, d.ID, d.MaxLen, d.Group.String(), d.Port, d.TTL})
	}
	return out
}
