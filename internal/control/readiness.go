package control

import (
	"fmt"
	"strings"
	"time"
)

// Readiness is whether this host could serve if it became master, and what it knows of
// the other directors.
type Readiness struct {
	Ready   bool      `json:"ready"`
	Since   time.Time `json:"since,omitzero"`    // of Ready's newest change; zero: never
	Weight  int       `json:"weight"`            // added to priorities while it is not
	Reasons []string  `json:"reasons,omitempty"` // against it now, also before they count
	// Differs lists the sections in which the peers' files do not agree with this one's.
	Differs []string        `json:"differs,omitempty"`
	Problem string          `json:"problem,omitempty"` // why peers cannot be told
	Peers   []ReadinessPeer `json:"peers,omitempty"`
}

// ReadinessPeer is another director, by its own word.
type ReadinessPeer struct {
	Address  string    `json:"address"`
	Fresh    bool      `json:"fresh"`          // it was heard of late; else the rest is not known
	Heard    time.Time `json:"heard,omitzero"` // its newest report
	RouterID string    `json:"router_id,omitempty"`
	Ready    bool      `json:"ready"`
	Broken   []string  `json:"broken,omitempty"` // what keeps it from serving
	Pools    int       `json:"pools"`            // its virtual servers
	Down     []string  `json:"down,omitempty"`   // those that do not serve there
	DownCut  bool      `json:"down_cut,omitempty"`
	Refused  string    `json:"refused,omitempty"` // why a report of it was not taken last
}

// readiness shows what is wrong, and with All what is not.
func (v View) readiness(p *page, r *Readiness) {
	if r == nil {
		return
	}
	t := table{head: []string{"READINESS", "STATE", "FOR", "VIRTUAL SERVERS", "WHY"}}
	state, how := "ready", good
	switch {
	case !r.Ready:
		state, how = "not ready", bad
	case len(r.Reasons) > 0:
		state, how = "in doubt", warn
	}
	age := ""
	if !r.Since.IsZero() {
		age = v.age(r.Since)
	}
	t.add(text("this host"), styled(state, how), number(age), text(""), text(strings.Join(r.Reasons, "; ")))
	if len(r.Differs) > 0 {
		t.note("files", "differ in "+strings.Join(r.Differs, ", "), bad)
	}
	if r.Problem != "" {
		t.note("peers", "cannot be told: "+r.Problem, bad)
	}
	for _, peer := range r.Peers {
		switch {
		case !peer.Fresh && peer.Heard.IsZero():
			t.add(text(peer.Address), styled("never heard", warn), text(""), text(""), text(peer.Refused))
			continue
		case !peer.Fresh:
			t.add(text(peer.Address), styled("silent", warn), number(v.age(peer.Heard)), text(""), text(peer.Refused))
			continue
		}
		state, how := "ready", good
		if !peer.Ready {
			state, how = "not ready", bad
		}
		down := ""
		if len(peer.Down) > 0 {
			down = " (" + strings.Join(peer.Down, ", ")
			if peer.DownCut {
				down += ", ..."
			}
			down += ")"
		}
		t.add(text(peer.RouterID+" "+peer.Address), styled(state, how), text(""), text(fmt.Sprintf("%d, %d down%s", peer.Pools, len(peer.Down), down)), text(strings.Join(peer.Broken, "; ")))
	}
	p.line()
	p.table("", t)
}
