package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The states of a path of adverts.
const (
	PathUp     = "up"     // it can be used, and nothing is known against it
	PathSilent = "silent" // BACKUP: the master is heard over another path and not over this one
	PathDown   = "down"   // nothing can be sent or heard
)

// Path is one of the ways of an instance's adverts.
type Path struct {
	Name      string       `json:"name"` // the interface, with the peers of a path by unicast
	Interface string       `json:"interface"`
	Peers     []netip.Addr `json:"peers,omitempty"` // empty: multicast, or the instance's own peers
	Own       bool         `json:"own,omitempty"`   // the instance's own link, no heartbeat path
	Source    string       `json:"source,omitempty"`
	State     string       `json:"state"`
	Since     time.Time    `json:"since"`
	Note      string       `json:"note,omitempty"` // why it is not up
	Sent      uint64       `json:"adverts_sent"`
	Heard     uint64       `json:"adverts_received"`
	LastHeard time.Time    `json:"last_heard,omitzero"`
	// From is the router that was heard last, by the address that it has on its own
	// link.
	From string `json:"from,omitempty"`
}

// path tells of one path in a line.
func (v View) path(i Instance, p Path) (string, style) {
	s := p.Name
	if p.Own {
		s += " (own link)"
	}
	var heard string
	switch {
	case p.Heard > 0:
		heard = fmt.Sprintf("heard %s %s, %s", p.From, v.ago(p.LastHeard), plural(p.Heard, "advert", "adverts"))
	case i.State == "MASTER":
		heard = "nobody heard, as backups are silent"
	default:
		heard = "nobody heard"
	}
	switch p.State {
	case PathDown:
		return s + " down: " + p.Note, bad
	case PathSilent:
		silent := p.Since
		if !p.LastHeard.IsZero() {
			silent = p.LastHeard
		}
		s += " silent for " + v.age(silent)
		var over []string
		for _, o := range i.Paths {
			if o.State == PathUp && o.Heard > 0 {
				over = append(over, o.Name)
			}
		}
		slices.Sort(over)
		return s + ", the master is heard over " + strings.Join(over, " and over "), bad
	}
	return fmt.Sprintf("%s up, %s sent, %s", s, plural(p.Sent, "advert", "adverts"), heard), plain
}
