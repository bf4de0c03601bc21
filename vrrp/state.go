package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// State is the state of a virtual router.
type State uint8

// The states. Init is RFC 9568's Initialize, Master its Active; Fault is
// keepalived's addition: the router cannot serve and takes no part.
const (
	Init State = iota
	Backup
	Master
	Fault
	numStates
)

var stateNames = [numStates]string{"INIT", "BACKUP", "MASTER", "FAULT"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Reason is why a virtual router changed its state. Log line, status, metric
// and notification all carry the same value.
type Reason uint8

// The reasons for a transition.
const (
	ReasonNone            Reason = iota
	ReasonStarted                // the instance was started
	ReasonOwner                  // priority 255: started as MASTER
	ReasonResumed                // a respawned process goes on as MASTER
	ReasonMasterDown             // no advert for the master-down time
	ReasonMasterStopped          // the MASTER sent priority 0
	ReasonBFDDown                // the BFD session to the MASTER went down; Detail names it
	ReasonPreempted              // only a router of lower priority was heard for the master-down time
	ReasonHigherPriority         // a router of higher priority advertises
	ReasonHigherAddress          // a router of equal priority and higher address advertises
	ReasonReplaced               // a router took over while this one was silent
	ReasonGate                   // a promotion gate does not hold: it must, for this MASTER
	ReasonReleased               // an operator wants another router to be MASTER; Detail says who and why
	ReasonInterfaceDown          // an interface that is needed is down
	ReasonInterfaceAbsent        // an interface that is needed does not exist
	ReasonNoSource               // there is no address to send adverts from
	ReasonSocket                 // the protocol's socket cannot be opened
	ReasonScript                 // a track script without weight failed
	ReasonTracker                // another tracker without weight does not allow it
	ReasonGroup                  // another member of the sync group does so; Detail says which and why
	ReasonFamily                 // the other address family of the instance does so; Detail says why
	ReasonAdvertSize             // adverts do not fit into a packet of the interface
	ReasonRecovered              // every cause of FAULT is gone
	ReasonStopped                // the daemon stops
	ReasonRemoved                // the instance is gone from the configuration
	numReasons
)

var reasonNames = [numReasons]string{
	ReasonNone:            "none",
	ReasonStarted:         "started",
	ReasonOwner:           "owner",
	ReasonResumed:         "resumed",
	ReasonMasterDown:      "master_down",
	ReasonMasterStopped:   "master_stopped",
	ReasonBFDDown:         "bfd_down",
	ReasonPreempted:       "preempted",
	ReasonHigherPriority:  "higher_priority",
	ReasonHigherAddress:   "higher_address",
	ReasonReplaced:        "replaced",
	ReasonGate:            "promotion_gate",
	ReasonReleased:        "released",
	ReasonInterfaceDown:   "interface_down",
	ReasonInterfaceAbsent: "interface_absent",
	ReasonNoSource:        "no_source_address",
	ReasonSocket:          "socket",
	ReasonScript:          "script_failed",
	ReasonTracker:         "tracker",
	ReasonGroup:           "sync_group",
	ReasonFamily:          "other_family",
	ReasonAdvertSize:      "advert_size",
	ReasonRecovered:       "recovered",
	ReasonStopped:         "stopped",
	ReasonRemoved:         "removed",
}

// String returns the reason's stable name, fit for a metric label.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Cause is a reason with the facts that belong to it.
type Cause struct {
	Reason   Reason
	Peer     netip.Addr    // the other router, where one is meant
	Priority uint8         // the priority that it advertised
	Silence  time.Duration // ReasonMasterDown, ReasonPreempted: time without an acceptable advert; ReasonBFDDown: without a packet; ReasonReplaced: without an advert of ours
	Detail   string        // the interface, the script and its result
	Gates    string        // the promotion gates that a takeover has passed, and the time that they took
	Unready  string        // why a MASTER's addresses were put up before what they lead to was ready
}

// Shared says that the cause is another router's, which this one follows.
func (c Cause) Shared() bool { return c.Reason == ReasonGroup || c.Reason == ReasonFamily }

// String tells the cause to a person.
func (c Cause) String() string {
	text := c.text()
	if c.Gates != "" {
		text += "; " + c.Gates
	}
	if c.Unready != "" {
		text += "; the addresses went up before what is behind them was ready: " + c.Unready
	}
	return text
}

func (c Cause) text() string {
	peer := "the master"
	if c.Peer.IsValid() {
		peer = c.Peer.String()
	}
	silence := c.Silence.Round(100 * time.Microsecond)
	switch c.Reason {
	case ReasonStarted:
		return "started"
	case ReasonOwner:
		return "address owner (priority 255) started"
	case ReasonResumed:
		return "process restarted, resumed as MASTER"
	case ReasonMasterDown:
		if !c.Peer.IsValid() {
			return fmt.Sprintf("no master heard for %v", silence)
		}
		return fmt.Sprintf("no advert from %s for %v", peer, silence)
	case ReasonMasterStopped:
		return fmt.Sprintf("%s stopped (priority 0)", peer)
	case ReasonBFDDown:
		return fmt.Sprintf("BFD session %s to %s is down: nothing heard for %v", c.Detail, peer, silence)
	case ReasonPreempted:
		return fmt.Sprintf("preempting %s, which has the lower priority %d", peer, c.Priority)
	case ReasonHigherPriority:
		return fmt.Sprintf("%s advertises the higher priority %d", peer, c.Priority)
	case ReasonHigherAddress:
		return fmt.Sprintf("%s advertises the same priority %d and has the higher address", peer, c.Priority)
	case ReasonReplaced:
		return fmt.Sprintf("%s took over while this host was silent for %v, and is not preempted", peer, silence)
	case ReasonGate:
		return "promotion gate " + c.Detail
	case ReasonReleased:
		return "released " + c.Detail
	case ReasonInterfaceDown:
		return fmt.Sprintf("interface %s is down", c.Detail)
	case ReasonInterfaceAbsent:
		return fmt.Sprintf("interface %s does not exist", c.Detail)
	case ReasonNoSource:
		return "no source address: " + c.Detail
	case ReasonSocket:
		return "cannot open a VRRP socket on " + c.Detail
	case ReasonScript:
		return "script " + c.Detail
	case ReasonTracker:
		return c.Detail
	case ReasonGroup:
		return "with its sync group: " + c.Detail
	case ReasonFamily:
		return "with " + c.Detail
	case ReasonAdvertSize:
		return "adverts are too long: " + c.Detail
	case ReasonRecovered:
		return "recovered from: " + c.Detail
	case ReasonStopped:
		return "daemon stopped"
	case ReasonRemoved:
		return "removed from the configuration"
	}
	return c.Reason.String()
}

// Transition is one change of state.
type Transition struct {
	From, To State
	Cause    Cause
}
