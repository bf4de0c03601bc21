// Package config turns the text of a director configuration into one
// validated, immutable Config.
//
// The package is pure: it reads no file, looks up no user and no interface.
// Everything that is wrong with a text is reported at once, each error with its
// file, line, the offending value and what is allowed.
//
// The language is TOML, decoded by BurntSushi/toml into plain maps, so that a
// wrong type never stops the decoding. A small key scanner finds out on which
// line each key stands; it is believed only where it agrees with the decoder
// key for key. A document of plain form, as nearly all are, is read in one pass
// instead (plain.go), with the same result. One decoder, driven by the struct tags
// of the model below, then fills the model and resolves its defaults, and the
// validation checks what one key alone cannot tell. The same tags feed Fields, the
// table of all keys.
//
// The tags of the model:
//
//	toml      the key
//	default   its value when it is absent; "=text" says where that value comes from
//	required  the key must be there
//	min, max  least and greatest value (numbers and durations)
//	step      the value must be a multiple of this (durations)
//	oneof     the allowed values, separated by spaces
//	form      what a string must look like (see forms.go), "command" for an
//	          argument vector, "named" for tables [key.NAME]
//	short     the key that a plain string stands for where a table is expected
//	when      the key is valid only where another key has a value: "type=tcp|http"
//	optional  an absent table stays empty: its defaults are not filled in
//	alias     names under which other programs know the key, for the error
//	told      the key is written also when it has its default's value: the table
//	          cannot be understood without it, or its presence means something
package config

import (
	"net/netip"
	"time"
)

// Config is one complete, validated configuration. It is never changed after
// Parse returned it; a reload makes another one.
type Config struct {
	Global         Global               `toml:"global"`
	Scripts        []Script             `toml:"vrrp_script" form:"named"`
	Interfaces     []InterfaceTracker   `toml:"track_interface" form:"named" alias:"interface_up_down_delays"`
	Files          []FileTracker        `toml:"track_file" form:"named" alias:"vrrp_track_file"`
	Processes      []ProcessTracker     `toml:"track_process" form:"named" alias:"vrrp_track_process"`
	Targets        []TargetTracker      `toml:"track_target" form:"named"`
	BFD            []BFD                `toml:"bfd" form:"named" alias:"bfd_instance"`
	Instances      []Instance           `toml:"vrrp_instance" form:"named"`
	Groups         []SyncGroup          `toml:"vrrp_sync_group" form:"named" alias:"sync_group"`
	ServerGroups   []VirtualServerGroup `toml:"virtual_server_group" form:"named" json:",omitempty"`
	VirtualServers []VirtualServer      `toml:"virtual_server" form:"named"`
	IPVSSync       *IPVSSync            `toml:"ipvs_sync" json:",omitempty" alias:"lvs_sync_daemon"`
	IPVSTimeouts   *IPVSTimeouts        `toml:"ipvs_timeouts" json:",omitempty" alias:"lvs_timeouts"`
	Notify         Channels             `toml:"notify"`
	Readiness      *Readiness           `toml:"readiness" json:",omitempty"` // nil: this host does not judge itself
	Web            *Web                 `toml:"web" json:",omitempty"`       // nil: no web process
	SNMP           *SNMPAgent           `toml:"snmp" json:",omitempty"`      // nil: no SNMP process
	// What is there as long as the daemon lives.
	StaticAddresses []StaticAddress `toml:"static_address" alias:"static_ipaddress static_addresses" json:",omitempty"`
	StaticRoutes    []Route         `toml:"static_route" alias:"static_routes" json:",omitempty"`
	StaticRules     []Rule          `toml:"static_rule" alias:"static_rules" json:",omitempty"`
	VRRPProcess     Process         `toml:"vrrp_process"`
	CheckerProcess  Process         `toml:"checker_process"`
}

// Global holds what concerns the whole daemon.
type Global struct {
	// RouterID names this node in status and notifications. Default: the host
	// name, filled in by whoever runs the configuration when this is empty.
	RouterID string `toml:"router_id" form:"text" default:"=the host name"`
	// ScriptUser is the user[:group] that scripts run as when they name none.
	// Whoever runs the configuration fills it in when this is empty: the user
	// director_script, else keepalived_script, else that of the daemon itself.
	ScriptUser string `toml:"script_user" form:"user" default:"=director_script or keepalived_script, else the daemon's own user"`
	// NetworkNamespace is the name of the network namespace, below /run/netns, in
	// which the whole daemon runs, scripts included. Empty: the one it is started in.
	NetworkNamespace string `toml:"network_namespace" form:"name" default:"=the one that director is started in" alias:"net_namespace"`
	// LogLevel is one of debug, info, warn, error. Default info.
	LogLevel string `toml:"log_level" oneof:"debug info warn error" default:"info"`
	// LogFormat is text or json. Default text.
	LogFormat string `toml:"log_format" oneof:"text json" default:"text"`
	// Group is the multicast group of adverts. Default 224.0.0.18 and ff02::12.
	Group PerFamily `toml:"mcast_group" default:"=224.0.0.18 and ff02::12" alias:"vrrp_mcast_group4 vrrp_mcast_group6"`
	// ReconcileInterval is the period at which the kernel's state is compared
	// with the wanted one and repaired. Default 10s, 1s to 1h.
	ReconcileInterval Duration `toml:"reconcile_interval" default:"10s" min:"1s" max:"1h"`
	// KeepIPVSOnStop leaves the IPVS table in the kernel at a stop.
	KeepIPVSOnStop bool `toml:"keep_ipvs_on_stop" default:"false"`
	// ExclusiveIPVS says that no other program uses IPVS on this host: every
	// service that the configuration does not list is then removed.
	ExclusiveIPVS bool `toml:"exclusive_ipvs" default:"false"`
	// IPVSNamespace is the name of the network namespace, below /run/netns, whose IPVS
	// is programmed. Everything else, checks included, is done in director's own.
	IPVSNamespace string `toml:"ipvs_network_namespace" form:"name" default:"=director's own" json:",omitempty" alias:"net_namespace_ipvs"`
	// ProbeMarkBase is the first of the ProbeMarks firewall marks with which probes
	// through virtual addresses are told apart (see Check.ThroughVIP); 0: there are none.
	ProbeMarkBase uint32 `toml:"probe_mark_base" default:"1828716544" min:"1" max:"4294901760" json:",omitempty"`
	// ChildTimeout is how long a child may leave a liveness question
	// unanswered before it is killed and started again. Default 3s, 500ms to 60s.
	ChildTimeout Duration `toml:"child_timeout" default:"3s" min:"500ms" max:"60s"`
	// StopTimeout is how long a child may take to stop before it is killed.
	// Default 10s, 1s to 5m.
	StopTimeout Duration `toml:"stop_timeout" default:"10s" min:"1s" max:"5m"`
	// StartDelay and DelayAfterBoot keep every instance in INIT for so long after
	// the start of the daemon and of the host; the longer wins.
	StartDelay     Duration `toml:"start_delay" default:"0s" min:"0s" max:"1h" alias:"vrrp_startup_delay startup_delay"`
	DelayAfterBoot Duration `toml:"delay_after_boot" default:"0s" min:"0s" max:"1h" alias:"vrrp_delay_after_boot"`
}

// Script is a track script (keepalived: vrrp_script): a command whose exit
// status says whether something this router needs is well.
type Script struct {
	Name     string   // the table's name: [vrrp_script.NAME]
	Command  []string `toml:"script" form:"command" required:"true"`           // argument vector; run without a shell
	Interval Duration `toml:"interval" default:"1s" min:"10ms" max:"1h"`       // from start to start
	Timeout  Duration `toml:"timeout" default:"=interval" min:"10ms" max:"1h"` // a run that takes longer is ended and failed
	Rise     int      `toml:"rise" default:"1" min:"1" max:"100"`              // successes in a row to be up
	Fall     int      `toml:"fall" default:"1" min:"1" max:"100"`              // failures in a row to be down
	Weight   int      `toml:"weight" default:"0" min:"-253" max:"253"`         // 0: failure means FAULT
	Reverse  bool     `toml:"reverse" default:"false"`                         // see Track
	InitFail bool     `toml:"init_fail" default:"false"`                       // down until it has succeeded
	User     string   `toml:"user" form:"user" default:"=global.script_user"`  // user[:group]
}

// VRRPVersion is the protocol version an instance speaks, 2 (RFC 3768) or 3
// (RFC 9568).
type VRRPVersion uint8

// Instance is one virtual router on one interface.
type Instance struct {
	Name      string      // the table's name: [vrrp_instance.NAME]
	Interface string      `toml:"interface" form:"interface" required:"true" alias:"dev device iface nic"`
	VRID      uint8       `toml:"virtual_router_id" required:"true" min:"1" max:"255" alias:"vrid"`
	Version   VRRPVersion `toml:"version" oneof:"2 3" default:"3" alias:"vrrp_version"`
	// Priority is 1..254, or 255 for the address owner. Default 100.
	Priority uint8 `toml:"priority" default:"100" min:"1" max:"255" alias:"prio" told:"true"`
	// InitialState is a hint only, as in keepalived: MASTER or BACKUP, default BACKUP.
	// The priority decides.
	InitialState string `toml:"state" oneof:"MASTER BACKUP" default:"BACKUP" alias:"initial_state"`
	// AdvertInterval is 10ms..40.95s in steps of 10ms in version 3, whole seconds
	// 1s..255s in version 2. Default 1s.
	AdvertInterval Duration `toml:"advert_interval" default:"1s" min:"10ms" max:"255s" alias:"advert_int"`
	NoPreempt      bool     `toml:"nopreempt" default:"false" alias:"no_preempt"`
	Presence
	// Checksum is the form of the checksum that is sent in version 3 over IPv4:
	// pseudo-header, as keepalived and FRR have it, or plain, as RFC 9568 section
	// 5.2.8 has it. Both are accepted.
	Checksum string `toml:"checksum" oneof:"pseudo-header plain" default:"pseudo-header"`
	// Group is the multicast group of adverts; resolved: the global one.
	Group PerFamily `toml:"mcast_group" default:"=global.mcast_group" alias:"mcast_dst_ip"`
	// PreemptDelay is how long a master of lower priority is left in peace, from the
	// first advert that is heard of it.
	PreemptDelay Duration `toml:"preempt_delay" default:"0s" min:"0s" max:"1000s"`
	// DownTimerAdverts is how many intervals without an advert make the master dead;
	// the skew time is added.
	DownTimerAdverts int `toml:"down_timer_adverts" default:"3" min:"1" max:"100" alias:"vrrp_down_timer_adverts"`
	// How a master answers the adverts of another one.
	LowerPrioNoAdvert    bool `toml:"lower_prio_no_advert" default:"false" alias:"vrrp_lower_prio_no_advert"`
	HigherPrioSendAdvert bool `toml:"higher_prio_send_advert" default:"true" alias:"vrrp_higher_prio_send_advert"`
	OwnerIgnoreAdverts   bool `toml:"owner_ignore_adverts" default:"false" alias:"vrrp_owner_ignore_adverts"` // priority 255 only
	// Source is the source address of adverts (keepalived: mcast_src_ip).
	// Invalid (zero) means the interface's primary address, over IPv6 its lowest
	// link-local one.
	Source PerFamily `toml:"mcast_src_ip" default:"=the interface's primary address"`
	// Peers are the other routers of an instance that speaks by unicast; none:
	// it speaks by multicast.
	Peers         []UnicastPeer `toml:"unicast_peer" short:"address" alias:"unicast_peers peers"`
	UnicastSource PerFamily     `toml:"unicast_src_ip" default:"=the interface's primary address"`
	// UnicastTTL is the time to live of adverts to peers. Default 255.
	UnicastTTL     uint8            `toml:"unicast_ttl" default:"255" min:"1" max:"255"`
	Authentication Authentication   `toml:"authentication" optional:"true" alias:"auth_hmac"`
	Addresses      []VirtualAddress `toml:"virtual_ipaddress" required:"true" short:"address" alias:"virtual_ipaddresses vip vips"` // sent in adverts
	Excluded       []VirtualAddress `toml:"virtual_ipaddress_excluded" short:"address"`                                             // not sent in adverts
	// Heartbeats are further paths of the adverts.
	Heartbeats []Heartbeat `toml:"heartbeat" alias:"heartbeats heartbeat_path" json:",omitempty"`
	// Routes and Rules are there while the instance is MASTER, after its addresses.
	Routes []Route `toml:"virtual_routes" alias:"virtual_route" json:",omitempty"`
	Rules  []Rule  `toml:"virtual_rules" alias:"virtual_rule" json:",omitempty"`
	// PromoteSecondaries keeps the other addresses of a subnet when one is removed.
	PromoteSecondaries bool `toml:"promote_secondaries" default:"true"`
	Tracking
	// NoTrackPrimary says that the instance goes on while its own interface is down.
	NoTrackPrimary bool `toml:"dont_track_primary" default:"false" alias:"dont_track_interface"`
	// Gates are what must hold before a backup becomes master.
	Gates       []Gate       `toml:"promotion_gate" alias:"promotion_gates gate"`
	Garp        Garp         `toml:"garp"`
	BFDTriggers []BFDTrigger `toml:"bfd_trigger" short:"name"` // take over when one goes down while its router is MASTER
	Notify      Notify       `toml:"notify"`
	Mail        bool         `toml:"mail" default:"true" alias:"smtp_alert"` // its changes go to the mail channel, if there is one
}

// Unicast says that the instance sends adverts to peers, not to the multicast
// group.
func (i *Instance) Unicast() bool { return len(i.Peers) > 0 }

// UnicastPeer is another router of an instance, and how far away it may be: its
// adverts are dropped when they arrive with a time to live outside the bounds.
type UnicastPeer struct {
	Address netip.Addr `toml:"address" required:"true"`
	MinTTL  uint8      `toml:"min_ttl" default:"255" min:"1" max:"255"`
	MaxTTL  uint8      `toml:"max_ttl" default:"255" min:"1" max:"255"`
}

// SyncGroup is a set of instances that are MASTER together or not at all. What
// it tracks counts for every member, and so does every weight of a member:
// within a group priorities move together.
type SyncGroup struct {
	Name    string   // the table's name: [vrrp_sync_group.NAME]
	Members []string `toml:"group" form:"name" required:"true" alias:"members instances"`
	Tracking
	Notify Notify `toml:"notify"`
}

// Garp says how a new MASTER announces its addresses by gratuitous ARP.
type Garp struct {
	Repeat  int      `toml:"repeat" default:"5" min:"1" max:"100" alias:"garp_master_repeat"`      // packets per burst and address
	Delay   Duration `toml:"delay" default:"5s" min:"0s" max:"1h" alias:"garp_master_delay"`       // second burst after this, 0 = none
	Refresh Duration `toml:"refresh" default:"60s" min:"0s" max:"24h" alias:"garp_master_refresh"` // period of repetition while MASTER, 0 = never
	// RefreshRepeat is how many packets a repetition has for each address.
	RefreshRepeat int `toml:"refresh_repeat" default:"1" min:"1" max:"100" alias:"garp_master_refresh_repeat garp_refresh_repeat"`
	// LowerPrioRepeat and LowerPrioDelay are in place of Repeat and Delay after the
	// advert of a master of lower priority.
	LowerPrioRepeat int      `toml:"lower_prio_repeat" default:"=repeat" min:"1" max:"100" alias:"garp_lower_prio_repeat"`
	LowerPrioDelay  Duration `toml:"lower_prio_delay" default:"=delay" min:"0s" max:"1h" alias:"garp_lower_prio_delay"`
	// Interval is the least time between an announcement of this instance and the
	// one before it on the same interface, whichever instance that was of.
	Interval Duration `toml:"interval" default:"0s" min:"0s" max:"1s" alias:"garp_interval gna_interval vrrp_garp_interval vrrp_gna_interval"`
}

// Notify lists the commands run on a change of state. Each is an argument
// vector, run without a shell. All gets four more arguments, as keepalived
// gives them: INSTANCE name STATE priority, and of a sync group GROUP name STATE 0.
type Notify struct {
	Master []string `toml:"master" form:"command" alias:"notify_master"`
	Backup []string `toml:"backup" form:"command" alias:"notify_backup"`
	Fault  []string `toml:"fault" form:"command" alias:"notify_fault"`
	Stop   []string `toml:"stop" form:"command" alias:"notify_stop"`
	All    []string `toml:"all" form:"command" alias:"notify_all"`
	// Alarm is run when an alarm of the instance, of a sync group that of any
	// member, is raised and when it is over; the environment tells which.
	Alarm []string `toml:"alarm" form:"command" alias:"notify_alarm"`
	User  string   `toml:"user" form:"user" default:"=global.script_user"`
	NotifyUsers
	Timeout Duration `toml:"timeout" default:"30s" min:"100ms" max:"1h"` // of one run
}

// Protocol is the transport of a virtual server.
type Protocol string

// The transports.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
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
	Name    string         // the table's name: [virtual_server.NAME]
	Address netip.AddrPort `toml:"address"`
	FWMark  uint32         `toml:"fwmark" min:"1" max:"4294967295"`                                                                                 // instead of address and protocol
	Family  string         `toml:"family" oneof:"ipv4 ipv6" default:"=that of the real servers" json:",omitempty" alias:"ip_family address_family"` // of a fwmark; empty for an address
	// Group names the virtual_server_group that stands in place of address and fwmark;
	// Members are its members, resolved.
	Group      string         `toml:"group" form:"name" json:",omitempty" alias:"virtual_server_group"`
	Members    []GroupMember  `json:",omitempty"`
	Protocol   Protocol       `toml:"protocol" oneof:"tcp udp sctp" default:"tcp"` // empty for a fwmark
	Scheduler  string         `toml:"scheduler" oneof:"rr wrr lc wlc lblc lblcr sh mh dh fo ovf sed nq twos" default:"wlc" alias:"lb_algo lvs_sched"`
	Forwarding Forwarding     `toml:"forwarding" oneof:"nat dr tunnel" default:"nat" alias:"lb_kind lvs_method"`
	Tunnel     *TunnelOptions `toml:"tunnel" short:"type" json:",omitempty" alias:"tun_type"` // of servers without one of their own
	Scheduling
	// Quorum is the least total weight of healthy servers at which the pool is
	// up; Hysteresis is added to gain it and subtracted to lose it.
	Quorum     int `toml:"quorum" default:"1" min:"1" max:"2147483647"`
	Hysteresis int `toml:"hysteresis" default:"0" min:"0" max:"2147483647"`
	Pooling
	SorryServers []SorryServer `toml:"sorry_server" short:"address" json:",omitempty"`                                                           // by preference
	Inhibit      bool          `toml:"inhibit_on_failure" default:"false"`                                                                       // weight 0 instead of removal
	Checks       []Check       `toml:"check" alias:"ping_check tcp_check udp_check http_get ssl_get dns_check smtp_check misc_check file_check"` // for every server without checks of its own
	RealServers  []RealServer  `toml:"real_server" short:"address"`
	QuorumUp     []string      `toml:"quorum_up" form:"command"` // command when the quorum is gained
	QuorumDown   []string      `toml:"quorum_down" form:"command"`
	// User is the user[:group] of these commands and of its servers' without one of
	// their own.
	User string `toml:"user" form:"user" default:"=global.script_user" json:",omitempty"`
	PoolUsers
	// DrainOnRemove is for how long at most a real server that is taken out of the
	// configuration keeps its connections; 0: not at all.
	DrainOnRemove Duration `toml:"drain_on_remove" default:"0s" min:"0s" max:"24h" json:",omitzero"`
	Mail          bool     `toml:"mail" default:"true" alias:"smtp_alert"` // its changes and its servers' go to the mail channel
}

// RealServer is one member of a pool.
type RealServer struct {
	Name       string         `toml:"name" form:"name" default:"=the address"`
	Address    netip.AddrPort `toml:"address" required:"true"`
	Weight     int            `toml:"weight" default:"1" min:"0" max:"2147483647"`
	Forwarding Forwarding     `toml:"forwarding" oneof:"nat dr tunnel" default:"=the virtual server's" alias:"lb_kind lvs_method"`
	Tunnel     *TunnelOptions `toml:"tunnel" short:"type" json:",omitempty" alias:"tun_type"` // resolved; nil: IP in IP, or no tunnel
	Thresholds
	// Inhibit, Alpha and RampUp override the virtual server's; config.Parse resolves
	// them.
	Inhibit bool     `toml:"inhibit_on_failure" default:"=the virtual server's"`
	Alpha   bool     `toml:"alpha" default:"=the virtual server's"`
	RampUp  Duration `toml:"ramp_up" default:"=the virtual server's" min:"0s" max:"24h" json:",omitempty" alias:"slow_start slowstart slow-start"`
	Checks  []Check  `toml:"check" alias:"ping_check tcp_check udp_check http_get ssl_get dns_check smtp_check misc_check file_check"` // resolved: the virtual server's when it has none
	// Commands for the moments when its checks find it well and find that it fails.
	NotifyUp   []string `toml:"notify_up" form:"command" json:",omitempty"`
	NotifyDown []string `toml:"notify_down" form:"command" json:",omitempty"`
	ServerUsers
}

// StatusRange is an inclusive range of HTTP status codes.
type StatusRange struct{ From, To int }

// Duration is a time span; in TOML a string with a unit, such as "1.5s".
type Duration time.Duration

// D returns the span as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }
