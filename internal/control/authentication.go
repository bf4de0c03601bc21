package control

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Authentication is how an instance tells the adverts of its group from others.
// What failed is in Instance.Discards: wrong_auth_type, wrong_password, unsigned,
// bad_trailer, unknown_key, bad_icv, outside_window, replay.
type Authentication struct {
	Type string `json:"type"` // PASS, AH or HMAC

	// Of HMAC only.
	Mode       string        `json:"mode,omitempty"` // enforce, permissive, receive-only
	ActiveKey  uint8         `json:"active_key,omitempty"`
	Keys       []int         `json:"keys,omitempty"`        // the ids of all
	AntiReplay string        `json:"anti_replay,omitempty"` // time, monotonic
	TimeWindow time.Duration `json:"time_window,omitempty"` // nanoseconds
	// Unsigned counts adverts that were taken although they were not signed, as
	// the modes permissive and receive-only want it.
	Unsigned uint64       `json:"unsigned_accepted,omitempty"`
	Senders  []AuthSender `json:"senders,omitempty"`
}

// AuthSender is a router whose signed adverts were taken.
type AuthSender struct {
	Address netip.Addr `json:"address"`
	Key     uint8      `json:"key"` // that signed the newest one
	At      time.Time  `json:"at"`  // when it came
}

// authentication adds the lines about how an instance authenticates.
func (v View) authentication(n *notes, a *Authentication) {
	if a == nil {
		return
	}
	if a.Type != "HMAC" {
		n.detail("auth", a.Type, false)
		return
	}
	s, st := fmt.Sprintf("HMAC, signs with key %d", a.ActiveKey), plain
	if a.Mode == "receive-only" {
		s = "HMAC, signs nothing (receive-only)"
	}
	if len(a.Keys) > 1 {
		ids := make([]string, len(a.Keys))
		for i, k := range a.Keys {
			ids[i] = strconv.Itoa(k)
		}
		s += ", knows " + strings.Join(ids, ", ")
	}
	if a.Mode != "enforce" {
		st = warn
		s += fmt.Sprintf(", took %s", plural(a.Unsigned, "unsigned advert", "unsigned adverts"))
	}
	n.add("auth", s, st)
	for _, o := range a.Senders {
		n.detail("signed", fmt.Sprintf("by %s with key %d, %s", o.Address, o.Key, v.ago(o.At)), o.Key != a.ActiveKey)
	}
}
