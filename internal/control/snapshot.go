// Package control is the daemon's face to its operator: the protocol of the
// control socket, its server and client, and the snapshot types that status
// prints. Children fill their part of a snapshot; the parent joins them.
package control

import (
	"net/netip"
	"time"
)

// Status is what `director status --json` prints.
type Status struct {
	Version    string        `json:"version"`
	RouterID   string        `json:"router_id"`
	ConfigPath string        `json:"config_path"`
	Generation uint64        `json:"generation"` // of the configuration in force, counted from 1
	LoadedAt   time.Time     `json:"loaded_at"`
	LastReload *ReloadResult `json:"last_reload,omitempty"`
	Reloads    Reloads       `json:"reloads"`
	// FileChanged is when the configured file was written last, if that was after it was
	// put in force; FileMissing says that it is not there any more.
	FileChanged time.Time `json:"file_changed,omitzero"`
	FileMissing bool      `json:"file_missing,omitempty"`
	Trial       *Trial    `json:"trial,omitempty"` // what waits for its confirmation
	Processes   []Process `json:"processes"`
	// LogLevels are the processes that log otherwise than the configuration says.
	LogLevels []LogLevel `json:"log_levels,omitempty"`
	VRRP      *VRRP      `json:"vrrp,omitempty"`
	Checkers  *Checkers  `json:"checkers,omitempty"`
	// Readiness is whether this host could serve, nil where it does not judge itself.
	Readiness *Readiness `json:"readiness,omitempty"`
	// Notify lists the ways in which changes of state are told.
	Notify []NotifyChannel `json:"notify,omitempty"`
}

// NotifyChannel is how one way of notification has fared since the daemon started.
type NotifyChannel struct {
	Channel     string    `json:"channel"`   // script, mail, webhook, fifo, snmp
	Sent        uint64    `json:"sent"`      // delivered; scripts: succeeded
	Failed      uint64    `json:"failed"`    // tries
	Dropped     uint64    `json:"dropped"`   // notifications given up
	Coalesced   uint64    `json:"coalesced"` // states told with, or left out for, a newer one
	Queued      int       `json:"queued"`    // waiting or under way
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// ReloadResult is the outcome of the newest reload.
type ReloadResult struct {
	At time.Time `json:"at"`
	// Took is the time from the request, or the end of the reload before, to the
	// outcome; nanoseconds.
	Took   time.Duration `json:"took"`
	OK     bool          `json:"ok"`
	Errors []string      `json:"errors,omitempty"` // file:line: what, when it was refused
	// Warnings tell what in the configuration has no effect or is unwise.
	Warnings []string `json:"warnings,omitempty"`
	// Changes are what it did at once. Servers that join when their checks have passed
	// come later, and are told by events.
	Changes *Changes `json:"changes,omitempty"`
}

// Reloads counts the reloads since the daemon started by their outcome.
type Reloads struct {
	Done    uint64 `json:"done"`
	Refused uint64 `json:"refused"`
}

// Process is one of the daemon's processes.
type Process struct {
	Role      string    `json:"role"` // parent, vrrp, checkers, web, snmp
	PID       int       `json:"pid"`  // 0 while it is not running
	State     string    `json:"state"`
	StartedAt time.Time `json:"started_at"`
	Restarts  int       `json:"restarts"` // since the daemon started
	LastExit  string    `json:"last_exit,omitempty"`
	Stale     bool      `json:"stale,omitempty"` // its part of this status is its last known one
	// Scheduling is how the kernel runs it: priority, CPUs when it may not use all,
	// and whether its memory is locked.
	Scheduling string `json:"scheduling,omitempty"`
	Unfit      string `json:"unfit,omitempty"` // what of that could not be made as configured
	// Listen is where the web process is reached.
	Listen []string `json:"listen,omitempty"`
	// Connected is the SNMP agent that the SNMP process has a session with.
	Connected []string `json:"connected,omitempty"`
}

// VRRP is the VRRP child's part of a snapshot.
type VRRP struct {
	Generation uint64 `json:"generation"`
	// BegunMono is CLOCK_MONOTONIC in nanoseconds at which the daemon's start delay
	// began; a respawned child waits no longer for it than the former one would have.
	BegunMono int64      `json:"begun_mono"`
	Instances []Instance `json:"instances"`
	Groups    []Group    `json:"groups,omitempty"`
	BFD       []BFD      `json:"bfd,omitempty"`
	// BFDStrays are received BFD packets that belong to no session, by reason.
	BFDStrays map[string]uint64 `json:"bfd_strays,omitempty"`
	Scripts   []Script          `json:"scripts"`
	Trackers  []Tracker         `json:"trackers,omitempty"` // interfaces and all else that is tracked
	Lateness  Lateness          `json:"lateness"`           // of the event loop's timer
	Repairs   uint64            `json:"repairs"`            // addresses, routes and rules put back after somebody else removed them
	Repaired  time.Time         `json:"repaired,omitzero"`  // the newest of them
	Failures  []Failure         `json:"failures,omitempty"`
	// Static is what the kernel holds as long as the daemon lives: addresses, routes
	// and rules of the configuration, and settings of interfaces that director needs.
	Static []KernelItem `json:"static,omitempty"`
	// Alarms are what is wrong between the routers now.
	Alarms []Alarm `json:"alarms,omitempty"`
	// Foreign are VRIDs of others that were heard on our links while we were MASTER.
	Foreign []ForeignVRID `json:"foreign_vrids,omitempty"`
}

// Instance is the state of one virtual router.
type Instance struct {
	Name      string    `json:"name"`
	Family    string    `json:"family"`          // ipv4 or ipv6; an instance with both has two entries
	Group     string    `json:"group,omitempty"` // its sync group
	Interface string    `json:"interface"`
	VRID      uint8     `json:"virtual_router_id"`
	Version   uint8     `json:"version"`
	State     string    `json:"state"` // INIT, BACKUP, MASTER, FAULT
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason"`      // of the newest transition, for a person
	Code      string    `json:"reason_code"` // the same as a stable name, see vrrp.Reason
	// Priority is what adverts carry: base priority and tracking terms.
	Priority     int            `json:"priority"`
	BasePriority int            `json:"base_priority"`
	Terms        []PriorityTerm `json:"terms,omitempty"`
	// Override is what an operator has ordered; nil: nothing.
	Override       *Override     `json:"override,omitempty"`
	AdvertInterval time.Duration `json:"advert_interval"` // nanoseconds, the one in force
	Master         string        `json:"master,omitempty"`
	MasterPriority int           `json:"master_priority,omitempty"`
	// Gates are what must hold before a takeover, with the newest answers, and
	// HeldBack says which of them keeps the instance from one now.
	Gates    []Gate `json:"promotion_gates,omitempty"`
	HeldBack string `json:"held_back,omitempty"`
	// Preparing says that the addresses of a new MASTER wait for the virtual servers with
	// active_with behind them, at most for a second.
	Preparing bool `json:"preparing,omitempty"`
	// PreemptsAt is when the preempt delay of a BACKUP lets it take over from that
	// master; zero when it does not wait for that.
	PreemptsAt time.Time `json:"preempts_at,omitzero"`
	// StartsAt is the end of the start delay while that keeps the instance in INIT.
	StartsAt       time.Time `json:"starts_at,omitzero"`
	Source         string    `json:"source,omitempty"`
	MulticastGroup string    `json:"multicast_group,omitempty"` // empty: unicast
	Peers          []Peer    `json:"unicast_peers,omitempty"`   // empty: multicast
	Paths          []Path    `json:"paths,omitempty"`           // empty: no heartbeat paths
	// Authentication is nil for an instance without.
	Authentication *Authentication   `json:"authentication,omitempty"`
	Addresses      []Address         `json:"addresses"`
	Routes         []KernelItem      `json:"routes,omitempty"`
	Rules          []KernelItem      `json:"rules,omitempty"`
	VMAC           *VMAC             `json:"vmac,omitempty"`   // nil: none
	Blocks         []KernelItem      `json:"blocks,omitempty"` // of accept = false
	Transitions    uint64            `json:"transitions"`
	Moves          []Move            `json:"transitions_by_reason,omitempty"`
	AdvertsSent    uint64            `json:"adverts_sent"` // one at a time, to however many peers
	AdvertsHeard   uint64            `json:"adverts_received"`
	Discards       map[string]uint64 `json:"discards,omitempty"` // received packets dropped, by reason
	Dropped        []Dropped         `json:"dropped,omitempty"`  // the same with the newest of each
	// Checksums counts the adverts of version 3 that were accepted, by the form of
	// their checksum: pseudo-header or plain.
	Checksums map[string]uint64 `json:"checksums,omitempty"`
	// GlobalFirst counts the accepted adverts over IPv6 whose first address is not
	// link-local, against RFC 9568 section 5.2.9.
	GlobalFirst uint64 `json:"first_address_not_link_local,omitempty"`
	// Mono is CLOCK_MONOTONIC in nanoseconds at which the instance last sent an
	// advert; a respawned child decides by it whether it may resume as MASTER.
	Mono int64 `json:"mono,omitempty"`
}

// Move counts the transitions of an instance to one state for one reason.
type Move struct {
	To    string `json:"to"`
	Code  string `json:"reason_code"` // see vrrp.Reason
	Count uint64 `json:"count"`
}

// VMAC is an interface with a virtual MAC address.
type VMAC struct {
	Interface string `json:"interface"`
	Address   string `json:"address"`
	Up        bool   `json:"up"`                  // as on a MASTER alone
	XmitBase  bool   `json:"xmit_base,omitempty"` // adverts leave under another one
	Error     string `json:"error,omitempty"`
}

// Gate is a promotion gate and the newest that is known of it.
type Gate struct {
	Name      string    `json:"name"` // such as "reference 192.0.2.254"
	Kind      string    `json:"type"`
	Otherwise string    `json:"otherwise"` // what follows when there is no answer: stay, promote
	Answer    string    `json:"answer"`    // passed, denied, no answer; unanswered before the first
	Detail    string    `json:"detail,omitempty"`
	At        time.Time `json:"at,omitzero"`       // of the answer
	AskedAt   time.Time `json:"asked_at,omitzero"` // of the question that is open
}

// Group is the state of one sync group.
type Group struct {
	Name        string    `json:"name"`
	Members     []string  `json:"members"`
	State       string    `json:"state"` // that the members share
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`      // the member that led to the newest transition, and why
	Code        string    `json:"reason_code"` // see vrrp.Reason
	Transitions uint64    `json:"transitions"`
	// Waiting tells which members would take over and which they wait for.
	Waiting string `json:"waiting,omitempty"`
}

// Peer is another router to which an instance speaks by unicast.
type Peer struct {
	Address netip.Addr `json:"address"`
	// Heard counts the VRRP packets that came from it for the instance, those
	// that were dropped as well, and LastHeard is when the newest came.
	Heard     uint64    `json:"packets_received"`
	LastHeard time.Time `json:"last_heard,omitzero"`
	Self      bool      `json:"self,omitempty"` // it is this host's own address
}

// PriorityTerm is one tracker of an instance and what it adds to the priority.
type PriorityTerm struct {
	Source  string `json:"source"` // kind and name, such as "script chk_nginx"
	Kind    string `json:"kind"`   // script, interface, file, process, target, bfd
	Name    string `json:"name"`
	Verdict string `json:"verdict"` // up, down, unknown
	Weight  int    `json:"weight"`  // 0: FAULT while it is down
	Reverse bool   `json:"reverse,omitempty"`
	Value   int    `json:"value"` // what is added to the priority now
	Up      bool   `json:"up"`
	Fault   bool   `json:"fault,omitempty"`  // it keeps the instance in FAULT
	Detail  string `json:"detail,omitempty"` // what the tracker found, such as "exit status 1"
	Note    string `json:"note,omitempty"`   // all that for a person
}

// Tracker is the state of something that instances track, other than a script.
type Tracker struct {
	Kind   string    `json:"kind"` // interface, file, process, target, bfd
	Name   string    `json:"name"`
	State  string    `json:"state"` // up, down, unknown
	Since  time.Time `json:"since"`
	Detail string    `json:"detail"`           // what was found, for a person
	Number int       `json:"number,omitempty"` // files: the number in it; processes: how many run
}

// Address is a virtual address and whether the kernel has it.
type Address struct {
	Prefix    netip.Prefix `json:"address"`
	Device    string       `json:"device"`
	Installed bool         `json:"installed"`
	// Own says that the host had the address before director came: the address
	// owner's (priority 255). It stays when director stops.
	Own   bool   `json:"own,omitempty"`
	Error string `json:"error,omitempty"`
}

// KernelItem is a route, a rule or something else that the kernel is to hold, in
// the words of ip(8).
type KernelItem struct {
	What      string `json:"what"`
	Installed bool   `json:"installed"`
	Own       bool   `json:"own,omitempty"` // it was there before director and stays
	Error     string `json:"error,omitempty"`
}

// Script is the state of one track script.
type Script struct {
	Name     string        `json:"name"`
	State    string        `json:"state"` // up, down, unknown
	Since    time.Time     `json:"since"`
	LastRun  time.Time     `json:"last_run"`
	Duration time.Duration `json:"duration"` // nanoseconds, of the last run
	Result   string        `json:"result"`   // such as "exit status 1"
	Output   string        `json:"output,omitempty"`
}

// Failure is a kernel call or the writing of a file that failed and is being retried.
type Failure struct {
	What  string    `json:"what"` // of a file: its path
	Error string    `json:"error"`
	Since time.Time `json:"since"`
	Count int       `json:"count"`
}

// Checkers is the checker child's part of a snapshot.
type Checkers struct {
	Generation uint64    `json:"generation"`
	Services   []Service `json:"services"`
	Reconciled time.Time `json:"reconciled"`        // last comparison of the whole kernel table
	Repairs    uint64    `json:"repairs"`           // differences found that director had not made
	Repaired   time.Time `json:"repaired,omitzero"` // the newest of them
	Work       TableWork `json:"table_work"`
	Failures   []Failure `json:"failures,omitempty"`        // calls of the kernel
	Unwritten  []Failure `json:"unwritten_files,omitempty"` // records of the checkers, which a restart would lack
	Sync       *IPVSSync `json:"ipvs_sync,omitempty"`       // nil: not configured
}

// TableWork is what keeping the kernel's IPVS table took since the process started.
type TableWork struct {
	Comparisons uint64 `json:"comparisons"` // of the whole table
	Operations  uint64 `json:"operations"`  // that the kernel did
	Failed      uint64 `json:"failed"`      // calls of the kernel, retries included
}

// IPVSSync is connection sync between directors.
type IPVSSync struct {
	Follows string       `json:"follows,omitempty"` // the VRRP instance whose state decides which daemon runs
	Daemons []SyncDaemon `json:"daemons"`
	// Learned and Own are the connections that IPVS knows from others and by itself;
	// Partial says that there are more.
	Learned uint64 `json:"connections_learned"`
	Own     uint64 `json:"connections_own"`
	Partial bool   `json:"partial,omitempty"`
	// Queued bytes wait to be read by the backup daemon, Dropped messages were lost there.
	Queued  uint64 `json:"queued_bytes"`
	Dropped uint64 `json:"dropped_messages"`
}

// SyncDaemon is one of the kernel's sync daemons that should run now.
type SyncDaemon struct {
	Role    string `json:"role"` // master, backup
	What    string `json:"what"`
	Running bool   `json:"running"`
}

// Service is one virtual server with its pool.
type Service struct {
	Name    string `json:"name"`
	Address string `json:"address"` // 192.0.2.1:80/tcp or fwmark 3; of a group the first
	// Members are the services of a group, all with the same pool; Group is its name.
	Group     string          `json:"group,omitempty"`
	Members   []ServiceMember `json:"members,omitempty"`
	Scheduler string          `json:"scheduler"`
	// Options are how else it schedules: flags, persistence, one packet.
	Options    []string  `json:"options,omitempty"`
	Forwarding string    `json:"forwarding"`
	State      string    `json:"state"` // up, down, sorry; unknown before the first verdict
	Since      time.Time `json:"since"`
	Reason     string    `json:"reason"`
	Quorum     int       `json:"quorum"`
	UpWeight   int       `json:"up_weight"` // total weight of the healthy servers
	Servers    []Server  `json:"servers"`
	// Leaving are servers that the configuration lists no more.
	Leaving []LeavingServer `json:"leaving,omitempty"`
	// SorryServers answer while the pool is down, the first of them that is well.
	SorryServers []Server    `json:"sorry_servers,omitempty"`
	PanicGuard   *PanicGuard `json:"panic_guard,omitempty"` // nil: not configured
	// Expiring is the certificate that ends first of those that its checks warn of;
	// nil: they warn of none.
	Expiring *Expiring `json:"certificate_ends,omitempty"`
	// NoVerdict says that servers have waited for a verdict, their first or a new one, for
	// too long, as their checks cannot be made; nil: none has.
	NoVerdict *NoVerdict `json:"no_verdict,omitempty"`
	// ActiveWith is the VRRP instance that the service is in the kernel's table with;
	// Standby says that it is kept out of it now.
	ActiveWith string   `json:"active_with,omitempty"`
	Standby    bool     `json:"standby,omitempty"`
	Installed  bool     `json:"installed"` // the kernel has the service, of a group all of them
	Counters   Counters `json:"counters"`
	Rates      Rates    `json:"rates"`
}

// PanicGuard is how the panic guard of a virtual server stands.
type PanicGuard struct {
	Threshold int       `json:"threshold_percent"`
	Needs     int       `json:"needed_weight"` // the least that stays in service, as a share of
	Of        int       `json:"weight"`
	Blocking  bool      `json:"blocking"`       // servers are in service although they are down
	Since     time.Time `json:"since,omitzero"` // while it blocks
}

// ServiceMember is one of the kernel's services that a group stands for.
type ServiceMember struct {
	Address   string   `json:"address"`
	Installed bool     `json:"installed"`
	Counters  Counters `json:"counters"`
}

// Server is one real server of a pool.
type Server struct {
	Name    string    `json:"name"`
	Address string    `json:"address"`
	Health  string    `json:"health"` // up, down, unknown
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	Weight  int       `json:"weight"` // configured
	// EffectiveWeight is the configured weight as operators order and the checks
	// advise: what the server has in the kernel while it is in service.
	EffectiveWeight int    `json:"effective_weight"`
	Installed       bool   `json:"installed"`     // the kernel has the destination
	KernelWeight    int    `json:"kernel_weight"` // -1 when not installed
	Forwarding      string `json:"forwarding"`
	Active          uint32 `json:"active_connections"`
	Inactive        uint32 `json:"inactive_connections"`
	Persistent      uint32 `json:"persistent_connections"` // clients that persistence binds to it
	// Override is what an operator has ordered for it, nil: nothing.
	Override *Override `json:"override,omitempty"`
	// Thresholds of connections; 0: none.
	UpperThreshold uint32 `json:"upper_threshold,omitempty"`
	LowerThreshold uint32 `json:"lower_threshold,omitempty"`
	// Kept says that it is down and the panic guard keeps it in service.
	Kept bool `json:"kept_in_service,omitempty"`
	// Unchecked is since when its checks, or one of them, cannot be made, and Obstacle
	// why; zero: they can, or an operator has taken the server out, or it is not for long
	// enough to be told.
	Unchecked time.Time     `json:"unchecked_since,omitzero"`
	Obstacle  string        `json:"unchecked_because,omitempty"`
	RampUp    *RampUp       `json:"ramp_up,omitempty"` // while its weight rises
	Checks    []CheckStatus `json:"checks"`
	Counters  Counters      `json:"counters"`
	Rates     Rates         `json:"rates"`
}

// RampUp is how far the weight of a server has risen after it came into service.
type RampUp struct {
	Weight int       `json:"weight"` // of the effective weight
	Began  time.Time `json:"began"`
	Ends   time.Time `json:"ends"`
}

// CheckStatus is the state of one check of one server.
type CheckStatus struct {
	Kind     string        `json:"kind"`
	Target   string        `json:"target"`
	State    string        `json:"state"` // up, down, unknown
	Result   string        `json:"result"`
	LastRun  time.Time     `json:"last_run"`
	Duration time.Duration `json:"duration"`
	Spent    time.Duration `json:"spent"` // in all runs since the process started
	Passed   uint64        `json:"passed"`
	Failed   uint64        `json:"failed"`
	// Warning tells of what is well now and will not be for long, such as a
	// certificate that ends soon.
	Warning string `json:"warning,omitempty"`
	// Expires is when the first of the certificates ends that the server has shown.
	Expires time.Time `json:"certificate_ends,omitzero"`
	// Advice is what the check says about the server's weight: "75%", "=3", "+20",
	// "drain", "maint".
	Advice string `json:"advice,omitempty"`
	// Unchecked is since when the check cannot be made, so that its state is the last one
	// known; zero: it can.
	Unchecked time.Time `json:"unchecked_since,omitzero"`
}

// Counters are the kernel's 64-bit counters of a service or destination.
type Counters struct {
	Connections uint64 `json:"connections"`
	InPackets   uint64 `json:"in_packets"`
	OutPackets  uint64 `json:"out_packets"`
	InBytes     uint64 `json:"in_bytes"`
	OutBytes    uint64 `json:"out_bytes"`
}

// Rates are the kernel's averages over the last seconds, each a second.
type Rates struct {
	Connections uint64 `json:"connections"`
	InPackets   uint64 `json:"in_packets"`
	OutPackets  uint64 `json:"out_packets"`
	InBytes     uint64 `json:"in_bytes"`
	OutBytes    uint64 `json:"out_bytes"`
}

// Event is one change of state with its cause. The same value is logged,
// notified and counted.
type Event struct {
	Seq        uint64    `json:"seq"` // given by the parent
	Time       time.Time `json:"time"`
	Generation uint64    `json:"generation"`
	Kind       string    `json:"kind"`    // one of EventKinds
	Subject    string    `json:"subject"` // such as "web" or "web/10.0.0.1:80"
	From       string    `json:"from"`
	To         string    `json:"to"`
	Reason     string    `json:"reason"`
	Code       string    `json:"reason_code,omitempty"` // the reason as a stable name
	Priority   int       `json:"priority,omitempty"`    // instances: the effective priority
	Source     string    `json:"source,omitempty"`      // instances: the address of its adverts
	Alarm      *Alarm    `json:"alarm,omitempty"`       // kind alarm: the evidence
	Author     string    `json:"author,omitempty"`      // kind maintenance: who ordered it
	Pool       *Pool     `json:"pool,omitempty"`        // kinds service and server
}

// EventKinds are the kinds of events.
func EventKinds() []string {
	return []string{"instance", "group", "alarm", "service", "server", "maintenance", "script", "tracker", "bfd", "gate", "address", "ipvs", "file", "process", "reload", "apply", "loglevel"}
}

// Pool counts the real servers of a virtual server.
type Pool struct {
	Up    int `json:"servers_up"` // as their checks say
	Total int `json:"servers"`
}
