package control

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// KindAlarm is the Kind of events that tell of alarms. Their Subject is the
// instance or the virtual server, From and To are "clear" and "raised", and Code is
// the alarm's.
const KindAlarm = "alarm"

// The levels of alarms.
const (
	// LevelAlarm: the service is broken, or will be at the next takeover.
	LevelAlarm = "alarm"
	// LevelWarning: nothing is broken. It is logged, shown and kept among the
	// events, and told to nobody.
	LevelWarning = "warning"
)

// Alarm is something wrong between the routers of a link, or with a virtual server.
// One of these has no VRRP instance and no evidence of hosts.
type Alarm struct {
	Instance  string    `json:"instance"`
	Service   string    `json:"service,omitempty"` // the virtual server
	Interface string    `json:"interface"`
	VRID      uint8     `json:"virtual_router_id"`
	Family    string    `json:"family"`         // ipv4 or ipv6
	Path      string    `json:"path,omitempty"` // where the alarm is one of its paths, see Path
	Code      string    `json:"code"`           // see vrrp.AlarmKind; panic_guard, certificate_ends, no_verdict
	Level     string    `json:"level"`
	Since     time.Time `json:"since"` // when it was raised
	First     time.Time `json:"first"` // of the sightings
	Last      time.Time `json:"last"`
	Count     uint64    `json:"count"`  // of sightings
	Reason    string    `json:"reason"` // one sentence: the evidence, the likely cause and the cure
	// Evidence is what was seen of the first few hosts that play a part.
	Evidence []Evidence `json:"evidence"`
	Others   uint64     `json:"others,omitempty"` // sightings of further hosts
}

// Evidence is what was seen of one host, and what this one has.
type Evidence struct {
	Peer     string    `json:"peer,omitempty"`              // its address
	MAC      string    `json:"mac,omitempty"`               // its hardware address, where that is what it was seen by
	Address  string    `json:"address,omitempty"`           // the virtual address that it claims
	VRID     uint8     `json:"virtual_router_id,omitempty"` // that it advertises, where it is not ours
	Priority int       `json:"priority,omitempty"`          // that it advertises
	Says     string    `json:"says,omitempty"`              // what it says
	Here     string    `json:"here,omitempty"`              // what this router says, or is configured to
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Count    uint64    `json:"count"`
}

// Expiring is a certificate of a virtual server's real servers that ends soon.
type Expiring struct {
	At    time.Time `json:"at"`    // when it ends
	Since time.Time `json:"since"` // when the alarm was raised
}

// NoVerdict is the alarm about servers whose checks bring no verdict.
type NoVerdict struct {
	Since time.Time `json:"since"` // when it was raised
}

// Dropped is received packets that were dropped for one reason.
type Dropped struct {
	Reason string     `json:"reason"` // see vrrp.Discard
	Count  uint64     `json:"count"`
	Last   time.Time  `json:"last"`
	Peer   netip.Addr `json:"peer"` // the sender of the newest
}

// ForeignVRID is a virtual router of others on a link of ours.
type ForeignVRID struct {
	Interface string     `json:"interface"`
	VRID      uint8      `json:"virtual_router_id"`
	Peer      netip.Addr `json:"peer"`
	LastHeard time.Time  `json:"last_heard"`
}

// Newest returns the evidence of the host that was seen last.
func (a Alarm) Newest() Evidence {
	var newest Evidence
	for i, ev := range a.Evidence {
		if i == 0 || ev.Last.After(newest.Last) {
			newest = ev
		}
	}
	return newest
}

// String tells the evidence in a line.
func (ev Evidence) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, strings.TrimSpace(name+" "+value))
		}
	}
	add("", ev.Peer)
	add("hardware address", ev.MAC)
	if ev.VRID > 0 {
		add("VRID", strconv.Itoa(int(ev.VRID)))
	}
	add("address", ev.Address)
	add("says", ev.Says)
	add("here", ev.Here)
	if ev.Count > 1 {
		add("", fmt.Sprintf("%d times", ev.Count))
	}
	return strings.Join(parts, ", ")
}
