// Package watchdog is the parent process and the children's end of the channel
// to it: it starts, watches, reloads and stops the VRRP and the checker child,
// runs scripts for them, and answers the control socket.
package watchdog

import (
	"net/netip"
	"time"

	"director/config"
	"director/internal/control"
)

// Message is one datagram of meaning between the parent and a child: exactly
// one field is set.
type Message struct {
	// Parent to child.
	Configure  *Configure  `json:",omitempty"`
	Ping       *Ping       `json:",omitempty"`
	Stop       *Stop       `json:",omitempty"`
	ScriptDone *ScriptDone `json:",omitempty"`
	Fenced     *Fenced     `json:",omitempty"`
	Pools      *Pools      `json:",omitempty"`
	Sessions   *Sessions   `json:",omitempty"`
	Order      *Order      `json:",omitempty"`
	Standing   *Standing   `json:",omitempty"`
	Confirmed  *Confirmed  `json:",omitempty"`
	Readiness  *Readiness  `json:",omitempty"`
	Inquire    *Ping       `json:",omitempty"` // asks for a fresh Snapshot with the same Seq
	LogLevel   *LogLevel   `json:",omitempty"`
	Plan       *Configure  `json:",omitempty"` // asks what the configuration would do, and is not obeyed

	// Both ways: from the VRRP child to the checker child, and back.
	Roles    *Roles    `json:",omitempty"`
	Followed *Followed `json:",omitempty"`

	// Child to parent.
	Ack      *Ack           `json:",omitempty"`
	Pong     *Ping          `json:",omitempty"`
	Snapshot *Snapshot      `json:",omitempty"`
	Event    *control.Event `json:",omitempty"`
	// Events are events on the way: a Channel packs those that wait one behind the other
	// into one message, and Recv hands them out one by one.
	Events    *Events    `json:",omitempty"`
	RunScript *RunScript `json:",omitempty"`
	Fence     *Fence     `json:",omitempty"`
	Planned   *Planned   `json:",omitempty"`
	Ordered   *Ordered   `json:",omitempty"`
}

// Events are at least one event, the oldest first.
type Events []control.Event

// Confirmed tells the checkers that the configuration is not on trial any more.
type Confirmed struct{}

// Configure hands a child a generation of the configuration. The child applies
// it and answers with an Ack.
type Configure struct {
	Generation uint64
	Config     *config.Config `json:"-"` // enclosed
	// Back says that it takes back the one before it, which was on trial, as a lower
	// Generation says of one that was refused.
	Back bool `json:",omitempty"`
	// Trial says that it may be taken back, by the next start of the daemon as well.
	Trial bool `json:",omitempty"`
	// Resume is the child's own last snapshot before it died, only on the first
	// Configure after a respawn.
	Resume *Resume `json:",omitempty"`
}

// Resume is what a respawned child may know of its former life.
type Resume struct {
	// AliveMono is CLOCK_MONOTONIC in nanoseconds when the former child was last
	// known to work.
	AliveMono int64
	Snapshot  Snapshot
}

// Ack says that a child has put a generation in force. Error is empty unless the
// child could not; the child then still runs its former generation.
type Ack struct {
	Generation uint64
	Error      string `json:",omitempty"`
	// Changes are what it has done at once. Its lists have a bounded length.
	Changes *control.Changes `json:",omitempty"`
	// Final says that starting again cannot help (a missing permission, say): the
	// daemon stops with Error.
	Final bool `json:",omitempty"`
}

// Ping asks the loop that does the work whether it is alive.
type Ping struct{ Seq uint64 }

// Stop asks a child to undo what it holds and exit with status 0.
type Stop struct{}

// Snapshot is a child's view of what it owns.
type Snapshot struct {
	Seq      uint64            `json:",omitempty"` // of the Inquire it answers, else 0
	VRRP     *control.VRRP     `json:",omitempty"`
	Checkers *control.Checkers `json:"-"` // enclosed
}

// RunScript asks the parent to run a script of the configuration by name.
// The parent answers with ScriptDone with the same ID.
type RunScript struct {
	ID   uint64
	Name string // config.Script.Name
	// Check asks for the script of a check in place of a track script, Generation says of
	// which configuration: another may have another check at that place of the list.
	Check      *CheckScript `json:",omitempty"`
	Generation uint64       `json:",omitempty"`
}

// CheckScript names a check of the configuration.
type CheckScript struct {
	Service string         // config.VirtualServer.Name
	Server  netip.AddrPort // config.RealServer.Address, in canonical form
	Index   int            // among the server's checks
}

// ScriptDone is the outcome of a RunScript.
type ScriptDone struct {
	ID       uint64
	Name     string
	OK       bool   // exit status 0
	Ran      bool   // it was started: how it ended says something about what it checks
	Exit     int    // the exit status, -1 when there is none
	Result   string // "exit status 0", "timed out after 2s", "fork/exec /x: no such file or directory"
	Output   string // at most the last 256 bytes of stdout and stderr
	Duration time.Duration
}
