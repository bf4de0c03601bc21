// Package readiness judges whether a director could serve if it became master, and
// holds what two directors tell each other for that.
//
// It is pure: Facts of this host and the peer's Report in, reasons out; datagrams are
// made and opened, not sent. Link is one end of the exchange with one peer.
package readiness

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxNames bounds the lists of a report, so that it fits into a datagram.
const maxNames = 12

// maxText is the longest text of a report in bytes; what is longer is cut.
const maxText = 120

// Report is what a director tells its peer of itself.
type Report struct {
	RouterID string            `json:"router_id"`
	Digests  map[string]string `json:"digests"`          // of what both files have to agree on, by section
	Pools    int               `json:"pools"`            // virtual servers
	Down     []string          `json:"down,omitempty"`   // names of those without quorum; see Cut
	Cut      bool              `json:"cut,omitempty"`    // Down is not complete
	Broken   []string          `json:"broken,omitempty"` // why it could not serve, by its own judgement
}

// Facts is what a director knows of itself.
type Facts struct {
	RouterID string
	Digests  map[string]string
	Pools    map[string]string // the states of the virtual servers, by name
	Broken   []string          // what keeps this host from serving, whatever the peer says
}

// serves says that a pool in this state has its quorum; a sorry server is none. One that
// is not decided yet is not held against anybody: that has a bound.
func serves(state string) bool { return state == "up" || state == "unknown" }

// Report returns what the peer is told.
func (f *Facts) Report() Report {
	r := Report{RouterID: short(f.RouterID), Digests: f.Digests, Pools: len(f.Pools)}
	for name, state := range f.Pools {
		if !serves(state) {
			r.Down = append(r.Down, short(name))
		}
	}
	slices.Sort(r.Down)
	if len(r.Down) > maxNames {
		r.Down, r.Cut = r.Down[:maxNames], true
	}
	for _, text := range f.Broken[:min(len(f.Broken), maxNames)] {
		r.Broken = append(r.Broken, short(text))
	}
	return r
}

// short bounds a text, in the form that it has on the wire as well.
func short(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}

// Differs lists the sections in which two files do not agree.
func (f *Facts) Differs(peer *Report) []string {
	var list []string
	for section, digest := range f.Digests {
		if peer.Digests[section] != digest {
			list = append(list, section)
		}
	}
	slices.Sort(list)
	return list
}

// Judge lists why this host could not serve, or not as well as the peer; none: it
// could. peer is nil while nothing is known of it. A pool counts only where the peer
// has it up: servers that are dead are dead for both.
func (f *Facts) Judge(peer *Report) []string {
	reasons := slices.Clone(f.Broken)
	if peer == nil || peer.Cut || peer.Digests[Services] != f.Digests[Services] {
		return reasons
	}
	var lost []string
	for name, state := range f.Pools {
		if !serves(state) && !slices.Contains(peer.Down, short(name)) {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	if len(lost) > 0 {
		reasons = append(reasons, fmt.Sprintf("%s without quorum here and up on %s", list(lost), peer.RouterID))
	}
	return reasons
}

// Services is the section of the virtual servers among the digests.
const Services = "virtual_server"

func list(names []string) string {
	more := ""
	if n := len(names); n > 3 {
		names, more = names[:3], fmt.Sprintf(" and %d more", n-3)
	}
	return "virtual_server " + strings.Join(names, ", ") + more
}
