package control

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// BFD is the state of one BFD session.
type BFD struct {
	Name      string     `json:"name"`
	Neighbor  netip.Addr `json:"neighbor"`
	Source    string     `json:"source,omitempty"`    // empty: as the kernel's routes say
	Interface string     `json:"interface,omitempty"` // empty: any
	Multihop  bool       `json:"multihop,omitempty"`
	State     string     `json:"state"` // AdminDown, Down, Init, Up
	Since     time.Time  `json:"since"`
	Reason    string     `json:"reason"`      // of the newest change, for a person
	Code      string     `json:"reason_code"` // the same as a stable name, see bfd.Reason
	Verdict   string     `json:"verdict"`     // for those that depend on it: up, down, unknown
	Diag      string     `json:"diagnostic"`  // what packets say of the newest failure
	// What the neighbour last said of itself. Its discriminator is 0 while it is
	// silent.
	RemoteState string `json:"remote_state"`
	RemoteDiag  string `json:"remote_diagnostic"`
	Discr       uint32 `json:"discriminator"`
	RemoteDiscr uint32 `json:"remote_discriminator"`
	// The negotiated intervals in nanoseconds, 0 while they are not known.
	TxInterval time.Duration     `json:"tx_interval"`
	RxInterval time.Duration     `json:"rx_interval"`
	DetectTime time.Duration     `json:"detect_time"`
	Sent       uint64            `json:"packets_sent"`
	Received   uint64            `json:"packets_received"`
	Unsent     uint64            `json:"packets_unsent,omitempty"` // that the kernel refused
	Discards   map[string]uint64 `json:"discards,omitempty"`       // received packets dropped, by reason
	Error      string            `json:"error,omitempty"`          // why packets cannot be sent or heard
}

func (v View) bfd(p *page, list []BFD, strays map[string]uint64) {
	if len(list) == 0 {
		return
	}
	t := table{head: []string{"BFD SESSION", "STATE", "FOR", "NEIGHBOR", "SENDS", "DETECTS", "PACKETS", "WHY"}}
	for _, s := range list {
		st := warn
		switch s.State {
		case "Up":
			st = good
		case "Down":
			st = bad
		}
		to := s.Neighbor.String()
		if s.Interface != "" {
			to += " on " + s.Interface
		}
		if s.Multihop {
			to += ", multihop"
		}
		t.add(text(s.Name), styled(s.State, st), number(v.age(s.Since)), text(to), number(pace(s.TxInterval)), number(pace(s.DetectTime)),
			number(fmt.Sprintf("%d/%d", s.Sent, s.Received)), text(s.Reason))
		if s.State != "Up" && s.RemoteDiscr != 0 {
			t.note("neighbor", fmt.Sprintf("says %s, diagnostic %s", s.RemoteState, s.RemoteDiag), plain)
		}
		if s.Error != "" {
			t.note("error", s.Error, bad)
		}
		if n := dropped(s.Discards); n != "" {
			t.note("dropped", n, warn)
		}
	}
	if n := dropped(strays); n != "" {
		t.note("dropped", n+" (of no session)", warn)
	}
	p.line()
	p.table("", t)
}

func pace(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return span(d)
}

// dropped lists dropped packets by reason.
func dropped(m map[string]uint64) string {
	var list []string
	for _, reason := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%d %s", m[reason], strings.ReplaceAll(reason, "_", " ")))
	}
	return strings.Join(list, ", ")
}
