package config

import "net/netip"

// Tracking lists what an instance or a sync group depends on beside its own
// interface. The tables are part of the instance's own.
type Tracking struct {
	TrackScripts    []Track          `toml:"track_script" short:"name"`
	TrackInterfaces []TrackInterface `toml:"track_interface" short:"name"`
	TrackFiles      []TrackFile      `toml:"track_file" short:"name"`
	TrackProcesses  []TrackProcess   `toml:"track_process" short:"name"`
	TrackTargets    []Track          `toml:"track_target" short:"name"`
	TrackBFD        []Track          `toml:"track_bfd" short:"name"`
}

// Track is the use of a tracker by an instance or a group.
//
// With the weight 0 the instance is in FAULT while the tracker is down. A
// negative weight is added to the priority while it is down, a positive one
// while it is up. Reverse turns that round: FAULT while it is up, or the weight
// counted with the other sign.
type Track struct {
	Name    string `toml:"name" form:"name" required:"true"`
	Weight  int    `toml:"weight" default:"=the tracker's weight" min:"-253" max:"253"`
	Reverse bool   `toml:"reverse" default:"=the tracker's reverse"`
}

// TrackInterface is a Track that names an interface: one that is down or does
// not exist is down.
type TrackInterface struct {
	Name    string `toml:"name" form:"interface" required:"true"`
	Weight  int    `toml:"weight" default:"=the weight of [track_interface.NAME], else 0" min:"-253" max:"253"`
	Reverse bool   `toml:"reverse" default:"=the reverse of [track_interface.NAME], else false"`
}

// TrackFile is a Track that names a file: the weight is multiplied by the number
// in it. Without a weight any number but 0 is down.
type TrackFile struct {
	Name    string `toml:"name" form:"name" required:"true"`
	Weight  int    `toml:"weight" default:"=the tracker's weight" min:"-254" max:"254"`
	Reverse bool   `toml:"reverse" default:"=the tracker's reverse"`
}

// TrackProcess is a Track that names a process.
type TrackProcess struct {
	Name    string `toml:"name" form:"name" required:"true"`
	Weight  int    `toml:"weight" default:"=the tracker's weight" min:"-254" max:"254"`
	Reverse bool   `toml:"reverse" default:"=the tracker's reverse"`
}

// InterfaceTracker says how the states of an interface are taken, wherever it is
// needed: as an instance's own, as that of an address, or in track_interface.
type InterfaceTracker struct {
	Name    string // the interface: [track_interface.NAME]
	Weight  int    `toml:"weight" default:"0" min:"-253" max:"253"`
	Reverse bool   `toml:"reverse" default:"false"`
	// DownDelay is how long an interface may be down before that counts, UpDelay
	// how long it must be up. One that does not exist counts as down at once.
	DownDelay Duration `toml:"down_delay" default:"0s" min:"0s" max:"255s"`
	UpDelay   Duration `toml:"up_delay" default:"0s" min:"0s" max:"255s"`
}

// FileTracker is a file with a number in it (keepalived: track_file).
type FileTracker struct {
	Name    string // the table's name: [track_file.NAME]
	File    string `toml:"file" form:"file" required:"true"`
	Weight  int    `toml:"weight" default:"1" min:"-254" max:"254"` // multiplied by the number
	Reverse bool   `toml:"reverse" default:"false"`
	// InitFile says when InitValue is written into the file at the start: never,
	// when the file is missing, or always (overwrite).
	InitFile  string `toml:"init_file" oneof:"never missing overwrite" default:"never"`
	InitValue int    `toml:"init_value" default:"0" min:"-2147483648" max:"2147483647" when:"init_file=missing|overwrite"`
}

// ProcessTracker counts running processes (keepalived: vrrp_track_process).
type ProcessTracker struct {
	Name string // the table's name: [track_process.NAME]
	// Process is the name of the process as in /proc/PID/comm; CommandLine its
	// whole command line with single blanks between the arguments. One of both.
	Process     string `toml:"process" form:"text"`
	CommandLine string `toml:"command_line" form:"body" alias:"full_command"`
	// CommandMatch is exact, or prefix: the command line begins with CommandLine.
	CommandMatch string `toml:"command_match" oneof:"exact prefix" default:"exact" alias:"param_match"`
	Weight       int    `toml:"weight" default:"0" min:"-254" max:"254"`
	Reverse      bool   `toml:"reverse" default:"false"`
	Quorum       int    `toml:"quorum" default:"1" min:"0" max:"1000000" told:"true"`
	QuorumMax    int    `toml:"quorum_max" default:"=no limit" min:"0" max:"1000000"` // -1: no limit
	// ForkDelay is how long enough processes must be there before it is up,
	// TerminateDelay how long there may be too few before it is down.
	Delay          Duration `toml:"delay" default:"0s" min:"0s" max:"1h"`
	ForkDelay      Duration `toml:"fork_delay" default:"=delay" min:"0s" max:"1h"`
	TerminateDelay Duration `toml:"terminate_delay" default:"=delay" min:"0s" max:"1h"`
	// Interval is the period at which /proc is looked through where the kernel
	// does not tell of processes that begin and end.
	Interval Duration `toml:"interval" default:"1s" min:"10ms" max:"1m"`
}

// TargetTracker is something in the network that is asked: a gateway, or a
// service of this host.
type TargetTracker struct {
	Name string    // the table's name: [track_target.NAME]
	Kind CheckKind `toml:"type" oneof:"ping tcp http" default:"ping" told:"true"`
	// Address is what is asked. Instead of it, Gateway asks the gateway of the
	// default route of a family, ipv4 or ipv6, as it is at that moment.
	Address   netip.Addr `toml:"address"`
	Gateway   string     `toml:"gateway" oneof:"ipv4 ipv6"`
	Port      uint16     `toml:"port" default:"=80 for http" min:"1" max:"65535" when:"type=tcp|http"`
	Interface string     `toml:"interface" form:"interface" default:"=any"` // that questions leave by
	Interval  Duration   `toml:"interval" default:"1s" min:"10ms" max:"1h"` // from start to start
	Timeout   Duration   `toml:"timeout" default:"=interval" min:"10ms" max:"1h"`
	Rise      int        `toml:"rise" default:"1" min:"1" max:"100"`
	Fall      int        `toml:"fall" default:"3" min:"1" max:"100"`
	Weight    int        `toml:"weight" default:"0" min:"-253" max:"253"`
	Reverse   bool       `toml:"reverse" default:"false"`
	// HTTP only; empty in the other kinds.
	Path   string        `toml:"path" form:"path" default:"/" when:"type=http"`
	Host   string        `toml:"host" form:"host" default:"=the address and port" when:"type=http" alias:"virtualhost"`
	Method string        `toml:"method" form:"method" default:"GET" when:"type=http"`
	Status []StatusRange `toml:"status" default:"200-299" when:"type=http" alias:"status_code"`
	Body   string        `toml:"body" form:"body" when:"type=http"` // the reply's body must contain this
}

// TrackKind is a kind of trackers. Within one, a name means one thing.
type TrackKind string

// The kinds.
const (
	KindScript    TrackKind = "script"
	KindInterface TrackKind = "interface"
	KindFile      TrackKind = "file"
	KindProcess   TrackKind = "process"
	KindTarget    TrackKind = "target"
	KindBFD       TrackKind = "bfd"
	KindReadiness TrackKind = "readiness" // of this host; by [readiness] alone
)

// Use is one entry of a Tracking.
type Use struct {
	Kind TrackKind
	Track
}

// Uses lists all entries, kind by kind in the order of the file.
func (t *Tracking) Uses() []Use {
	var all []Use
	for _, kind := range trackKinds() {
		for _, e := range t.entries(kind) {
			all = append(all, Use{kind, *e})
		}
	}
	return all
}

func trackKinds() []TrackKind {
	return []TrackKind{KindScript, KindInterface, KindFile, KindProcess, KindTarget, KindBFD}
}

// key is the key that lists the uses of a kind.
func (k TrackKind) key() string { return "track_" + string(k) }

// entries returns the entries of a kind, to be read and resolved.
func (t *Tracking) entries(kind TrackKind) []*Track {
	switch kind {
	case KindScript:
		return each(t.TrackScripts, func(e *Track) *Track { return e })
	case KindInterface:
		return each(t.TrackInterfaces, func(e *TrackInterface) *Track { return (*Track)(e) })
	case KindFile:
		return each(t.TrackFiles, func(e *TrackFile) *Track { return (*Track)(e) })
	case KindProcess:
		return each(t.TrackProcesses, func(e *TrackProcess) *Track { return (*Track)(e) })
	case KindBFD:
		return each(t.TrackBFD, func(e *Track) *Track { return e })
	case KindTarget:
		return each(t.TrackTargets, func(e *Track) *Track { return e })
	}
	return nil
}

func each[T any](list []T, as func(*T) *Track) []*Track {
	all := make([]*Track, len(list))
	for i := range list {
		all[i] = as(&list[i])
	}
	return all
}
