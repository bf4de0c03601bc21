// Package config turns the text of a director configuration into one
// validated, immutable Config.
//
// The package is pure: it reads no file, looks up no user and no interface.
// Everything that is wrong with a text is reported at once, each error with its
// file, line, the offending value and what is allowed.
package config

import (
	"net/netip"
	"time"
)

// Config is one complete, validated configuration. It is never changed after
// Parse returned it; a reload makes another one.
type Config struct {
	Global         Global          `toml:"global"`
	Scripts        []Script        `toml:"vrrp_script"`
	Instances      []Instance      `toml:"vrrp_instance"`
	VirtualServers []VirtualServer `toml:"virtual_server"`
}

// Global holds what concerns the whole daemon.
type Global struct {
	// RouterID names this node in status and notifications. Default: the host
	// name, filled in by whoever runs the configuration when this is empty.
	RouterID string `toml:"router_id"`
	// ScriptUser is the user[:group] that scripts run as when they name none.
	// Empty means the user of the daemon itself (root).
	ScriptUser string `toml:"script_user"`
	// LogLevel is one of debug, info, warn, error. Default info.
	LogLevel string `toml:"log_level"`
	// LogFormat is text or json. Default text.
	LogFormat string `toml:"log_format"`
	// ReconcileInterval is the period at which the kernel's state is compared
	// with the wanted one and repaired. Default 10s, 1s to 1h.
	ReconcileInterval Duration `toml:"reconcile_interval"`
	// KeepIPVSOnStop leaves the IPVS table in the kernel at a stop.
	KeepIPVSOnStop bool `toml:"keep_ipvs_on_stop"`
	// ExclusiveIPVS says that no other program uses IPVS on this host: every
	// service that the configuration does not list is then removed.
	ExclusiveIPVS bool `toml:"exclusive_ipvs"`
	// ChildTimeout is how long a child may leave a liveness question
	// unanswered before it is killed and started again. Default 3s, 500ms to 60s.
	ChildTimeout Duration `toml:"child_timeout"`
	// StopTimeout is how long a child may take to stop before it is killed.
	// Default 10s, 1s to 5m.
	StopTimeout Duration `toml:"stop_timeout"`
}

// Script is a track script (keepalived: vrrp_script): a command whose exit
// status says whether something this router needs is well.
type Script struct {
	Name     string   // the table's name: [vrrp_script.NAME]
	Command  []string `toml:"script"`   // argument vector; run without a shell
	Interval Duration `toml:"interval"` // default 1s, 10ms to 1h
	Timeout  Duration `toml:"timeout"`  // default: the interval
	Rise     int      `toml:"rise"`     // successes in a row to be up, default 1
	Fall     int      `toml:"fall"`     // failures in a row to be down, default 1
	Weight   int      `toml:"weight"`   // -253..253; 0: failure means FAULT
	User     string   `toml:"user"`     // user[:group], default Global.ScriptUser
}

// VRRPVersion is the protocol version an instance speaks, 2 (RFC 3768) or 3
// (RFC 9568).
type VRRPVersion uint8

// Instance is one virtual router on one interface.
type Instance struct {
	Name      string      // the table's name: [vrrp_instance.NAME]
	Interface string      `toml:"interface"`
	VRID      uint8       `toml:"virtual_router_id"` // 1..255
	Version   VRRPVersion `toml:"version"`           // 2 or 3, default 3
	// Priority is 1..254, or 255 for the address owner. Default 100.
	Priority uint8 `toml:"priority"`
	// InitialState is a hint only, as in keepalived: MASTER or BACKUP, default BACKUP.
	// The priority decides.
	InitialState string `toml:"state"`
	// AdvertInterval is 10ms..40.95s in steps of 10ms in version 3, whole seconds
	// 1s..255s in version 2. Default 1s.
	AdvertInterval Duration `toml:"advert_interval"`
	NoPreempt      bool     `toml:"nopreempt"`
	// Source is the source address of adverts (keepalived: mcast_src_ip).
	// Invalid (zero) means the interface's primary address.
	Source         netip.Addr       `toml:"mcast_src_ip"`
	Authentication Authentication   `toml:"authentication"`
	Addresses      []VirtualAddress `toml:"virtual_ipaddress"`          // sent in adverts
	Excluded       []VirtualAddress `toml:"virtual_ipaddress_excluded"` // not sent in adverts
	TrackScripts   []TrackScript    `toml:"track_script"`
	TrackInterface []string         `toml:"track_interface"` // FAULT while one is down
	Garp           Garp             `toml:"garp"`
	Notify         Notify           `toml:"notify"`
}

// Authentication is VRRP version 2 authentication.
type Authentication struct {
	Type     string `toml:"type"`     // "" or PASS
	Password Secret `toml:"password"` // 1..8 bytes
}

// VirtualAddress is one address that the MASTER owns.
type VirtualAddress struct {
	// Prefix is the address with its mask; an address without a mask is /32 or /128.
	Prefix netip.Prefix `toml:"address"`
	Device string       `toml:"device"` // default: the instance's interface
	Label  string       `toml:"label"`
}

// TrackScript is the use of a Script by an instance.
type TrackScript struct {
	Name   string `toml:"name"`
	Weight int    `toml:"weight"` // default: the script's weight
}

// Garp says how a new MASTER announces its addresses by gratuitous ARP.
type Garp struct {
	Repeat  int      `toml:"repeat"`  // packets per burst and address, default 5
	Delay   Duration `toml:"delay"`   // second burst after, default 5s, 0 = none
	Refresh Duration `toml:"refresh"` // repeated while MASTER, default 60s, 0 = never
}

// Notify lists the commands run on a change of state. Each is an argument
// vector, run without a shell. All gets four more arguments, as keepalived
// gives them: INSTANCE name STATE priority.
type Notify struct {
	Master  []string `toml:"master"`
	Backup  []string `toml:"backup"`
	Fault   []string `toml:"fault"`
	Stop    []string `toml:"stop"`
	All     []string `toml:"all"`
	User    string   `toml:"user"`
	Timeout Duration `toml:"timeout"` // default 30s
}

// Protocol is the transport of a virtual server.
type Protocol string

// The transports.
const (
	TCP Protocol = "tcp"
	UDP Protocol = "udp"
)

// Forwarding is how packets reach a real server.
type Forwarding string

// The forwarding methods (keepalived: lvs_method; ipvsadm: -m, -g, -i).
const (
	NAT    Forwarding = "nat"
	DR     Forwarding = "dr"
	Tunnel Forwarding = "tunnel"
)

// VirtualServer is one IPVS service and the pool behind it.
type VirtualServer struct {
	Name       string         // the table's name: [virtual_server.NAME]
	Address    netip.AddrPort `toml:"address"`
	FWMark     uint32         `toml:"fwmark"`     // instead of address and protocol
	Protocol   Protocol       `toml:"protocol"`   // default tcp
	Scheduler  string         `toml:"scheduler"`  // default wlc
	Forwarding Forwarding     `toml:"forwarding"` // default nat
	// PersistenceTimeout binds a client to one real server; whole seconds, 0 = off.
	PersistenceTimeout Duration `toml:"persistence_timeout"`
	// Quorum is the least total weight of healthy servers at which the pool is
	// up; Hysteresis is added to gain it and subtracted to lose it.
	Quorum      int          `toml:"quorum"`     // default 1
	Hysteresis  int          `toml:"hysteresis"` // default 0
	SorryServer *SorryServer `toml:"sorry_server"`
	Inhibit     bool         `toml:"inhibit_on_failure"` // weight 0 instead of removal
	Checks      []Check      `toml:"check"`              // for every server without checks of its own
	RealServers []RealServer `toml:"real_server"`
	QuorumUp    []string     `toml:"quorum_up"` // command when the quorum is gained
	QuorumDown  []string     `toml:"quorum_down"`
}

// RealServer is one member of a pool.
type RealServer struct {
	Name       string         `toml:"name"` // default: the address
	Address    netip.AddrPort `toml:"address"`
	Weight     int            `toml:"weight"` // 0..65535, default 1
	Forwarding Forwarding     `toml:"forwarding"`
	// Inhibit overrides the virtual server's; config.Parse resolves it.
	Inhibit bool    `toml:"inhibit_on_failure"`
	Checks  []Check `toml:"check"` // resolved: the virtual server's when it has none
}

// SorryServer answers when the pool has lost its quorum.
type SorryServer struct {
	Address    netip.AddrPort `toml:"address"`
	Forwarding Forwarding     `toml:"forwarding"`
}

// CheckKind names a way to probe a real server.
type CheckKind string

// The probe kinds.
const (
	CheckPing CheckKind = "ping"
	CheckTCP  CheckKind = "tcp"
	CheckHTTP CheckKind = "http"
)

// Check is one probe of a real server. A server is healthy while all its
// checks are up. Check is a plain value that can be compared by its Key.
type Check struct {
	Kind     CheckKind `toml:"type"`
	Interval Duration  `toml:"interval"` // default 5s, 100ms to 1h
	Timeout  Duration  `toml:"timeout"`  // total limit, default 3s
	Rise     int       `toml:"rise"`     // default 2
	Fall     int       `toml:"fall"`     // default 3
	// ConnectAddress and ConnectPort replace the real server's own.
	ConnectAddress netip.Addr `toml:"connect_address"`
	ConnectPort    uint16     `toml:"connect_port"`
	// HTTP only.
	Path   string        `toml:"path"`   // default /
	Host   string        `toml:"host"`   // Host header, default the real server's address
	Method string        `toml:"method"` // default GET
	Status []StatusRange `toml:"status"` // default 200-299
	Body   string        `toml:"body"`   // the reply's body must contain this
}

// StatusRange is an inclusive range of HTTP status codes.
type StatusRange struct{ From, To int }

// Duration is a time span; in TOML a string with a unit, such as "1.5s".
type Duration time.Duration

// D returns the span as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

// Secret is a password. It prints as "***" wherever it is formatted or
// logged; only encoding/json, which carries it to the VRRP child, sees it.
type Secret string

func (Secret) String() string { return "***" }

// GoString keeps the secret out of %#v as well.
func (Secret) GoString() string { return `config.Secret("***")` }
