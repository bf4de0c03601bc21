package vrrp

import (
	"net/netip"
	"time"
)

// AlarmKind is something wrong between the routers of a link that one of them can
// see and not mend.
type AlarmKind uint8

// The kinds of alarms.
const (
	AlarmNone           AlarmKind = iota
	AlarmTwoMasters               // another MASTER does not give way to a better one, this router
	AlarmOwners                   // another router has priority 255 too (RFC 9568 section 7.1)
	AlarmEqualPriority            // another router has our priority
	AlarmForeignMAC               // another host says that it has one of our addresses
	AlarmForeignVRID              // another VRID is advertised with one of our addresses
	AlarmAddresses                // a peer advertises other addresses
	AlarmInterval                 // a peer advertises another interval
	AlarmVersion                  // a peer speaks the other version
	AlarmAuthentication           // a peer authenticates otherwise
	AlarmChecksum                 // a peer's checksum fits no known reading
	AlarmTransport                // a peer speaks by multicast and we by unicast, or the other way round, or to another group
	AlarmPeer                     // a host that is no unicast peer speaks for our VRID
	AlarmReplay                   // signed adverts of a peer come too late or again
	AlarmTTL                      // a peer's packets come from further away than allowed
	numAlarms
)

// rule says when an alarm is raised and when it is over. The times stand for
// seconds, to which so many advert intervals are added.
type rule struct {
	name      string
	warning   bool          // nothing is broken yet
	master    bool          // means something while this router is MASTER only
	sightings uint64        // before it is raised
	span      time.Duration // from the first of them to the one that raises it
	spanTimes time.Duration // and so many intervals
	quiet     time.Duration // and three intervals without a sighting: over, if the peer was heard since or need not be
	silence   bool          // a peer that is silent is no sign of the end until alarmSilence
}

// alarmSilence, and three intervals, is how long nothing must have been seen of
// an alarm whose cause lies in a configuration before it counts as over although
// the peer has not shown itself in order.
const alarmSilence = time.Minute

// differs is the rule for what is configured otherwise on a peer: long enough for
// a change that is made on one router after the other not to raise it.
func differs(name string) rule {
	return rule{name: name, sightings: 3, span: 3 * time.Second, quiet: 3 * time.Second, silence: true}
}

var rules = [numAlarms]rule{
	AlarmNone: {name: "none"},
	// A takeover takes one exchange. Who goes on for two intervals does not hear us.
	AlarmTwoMasters:     {name: "two_masters", master: true, sightings: 3, spanTimes: 2, quiet: time.Second},
	AlarmOwners:         {name: "several_owners", sightings: 1, quiet: time.Second, silence: true},
	AlarmEqualPriority:  {name: "equal_priority", warning: true, sightings: 3, span: 3 * time.Second, quiet: time.Second, silence: true},
	AlarmForeignMAC:     {name: "foreign_mac", master: true, sightings: 1, silence: true},
	AlarmForeignVRID:    {name: "foreign_vrid", sightings: 2, span: time.Second, silence: true},
	AlarmAddresses:      differs("peer_addresses"),
	AlarmInterval:       differs("peer_interval"),
	AlarmVersion:        differs("peer_version"),
	AlarmAuthentication: differs("peer_authentication"),
	AlarmChecksum:       differs("peer_checksum"),
	AlarmTransport:      differs("peer_transport"),
	AlarmPeer:           differs("unknown_peer"),
	AlarmReplay:         differs("peer_replay"),
	AlarmTTL:            differs("peer_ttl"),
}

// String returns the alarm's stable name.
func (k AlarmKind) String() string {
	if k < numAlarms {
		return rules[k].name
	}
	return "unknown alarm"
}

// Warning says that nothing is broken yet.
func (k AlarmKind) Warning() bool { return k < numAlarms && rules[k].warning }

// AlarmKinds returns every kind.
func AlarmKinds() []AlarmKind {
	all := make([]AlarmKind, 0, numAlarms-1)
	for k := AlarmNone + 1; k < numAlarms; k++ {
		all = append(all, k)
	}
	return all
}

// Alarm returns the alarm that packets dropped for this reason speak for,
// AlarmNone when it is none: one such packet says nothing about a configuration.
func (d Discard) Alarm() AlarmKind {
	switch d {
	case DiscardVersion:
		return AlarmVersion
	case DiscardChecksum:
		return AlarmChecksum
	case DiscardMulticast, DiscardUnicast, DiscardGroup:
		return AlarmTransport
	case DiscardPeer:
		return AlarmPeer
	case DiscardTTL:
		return AlarmTTL
	case DiscardAuthType, DiscardAuthPassword, DiscardUnsigned, DiscardTrailer, DiscardKey, DiscardICV:
		return AlarmAuthentication
	case DiscardWindow, DiscardReplay:
		return AlarmReplay
	case DiscardIntervalMismatch:
		return AlarmInterval
	}
	return AlarmNone
}

// Who tells a host: a router by its address, a stranger by its MAC.
type Who struct {
	Addr netip.Addr
	MAC  [6]byte
}

// Evidence is what was seen of one host.
type Evidence struct {
	Who
	First, Last time.Time
	Count       uint64
	// Says is what the host says and Here what this router has; written by the
	// owner, when See asks for it.
	Says, Here string
	VRID       uint8      // AlarmForeignVRID: the one that it advertises
	Priority   uint8      // that it advertised
	Address    netip.Addr // AlarmForeignMAC, AlarmForeignVRID: which of ours

	said      uint64    // tells one thing said from another
	described time.Time // when Says was asked for
	well      time.Time // when the host was last in order
}

// MaxEvidence is how many hosts an alarm tells apart.
const MaxEvidence = 4

// Alarm is one alarm of a router, suspected or raised.
type Alarm struct {
	Kind        AlarmKind
	Raised      bool
	Since       time.Time // when it was raised
	First, Last time.Time // sightings
	Count       uint64
	Evidence    []Evidence // the first hosts that were seen, at most MaxEvidence
	Others      uint64     // sightings of other hosts

	interval time.Duration // the longest that plays a part
}

// Alarms are the alarms of one router. The zero value is ready.
type Alarms struct {
	list []*Alarm
}

// Empty reports that there is no alarm and no suspicion.
func (s *Alarms) Empty() bool { return len(s.list) == 0 }

// Raised calls f with each raised alarm, the oldest suspicion first.
func (s *Alarms) Raised(f func(*Alarm)) {
	for _, a := range s.list {
		if a.Raised {
			f(a)
		}
	}
}

// Seen is what See made of a sighting.
type Seen struct {
	Alarm *Alarm
	// Describe is evidence that is new or says something else than before: the
	// caller fills in what it says. It is asked for at most once a second and host.
	Describe *Evidence
	Raised   bool // by this sighting
}

// See takes one sighting of a host. said is a number that tells what the host
// says from other things it might say; interval is the longest advert interval
// that plays a part. It allocates only for hosts and alarms that are new, of
// which there is room for a few.
func (s *Alarms) See(now time.Time, kind AlarmKind, who Who, said uint64, interval time.Duration) (seen Seen) {
	a := s.find(kind)
	if a == nil {
		a = &Alarm{Kind: kind, First: now}
		s.list = append(s.list, a)
	}
	a.Last, a.interval = now, max(a.interval, interval)
	a.Count++
	seen.Alarm = a
	if e := a.host(who); e != nil {
		if e.Count == 0 {
			e.First = now
		}
		if e.Count == 0 || e.said != said && now.Sub(e.described) >= time.Second {
			e.said, e.described = said, now
			seen.Describe = e
		}
		e.Last = now
		e.Count++
	} else {
		a.Others++
	}
	r := &rules[kind]
	if !a.Raised && a.Count >= r.sightings && now.Sub(a.First) >= r.span+r.spanTimes*a.interval {
		a.Raised, a.Since, seen.Raised = true, now, true
	}
	return seen
}

// Well notes that a host is in order as far as an alarm of that kind goes.
func (s *Alarms) Well(now time.Time, kind AlarmKind, addr netip.Addr) {
	a := s.find(kind)
	if a == nil {
		return
	}
	for i := range a.Evidence {
		if e := &a.Evidence[i]; e.Addr == addr {
			e.well = now
		}
	}
}

func (s *Alarms) find(kind AlarmKind) *Alarm {
	for _, a := range s.list {
		if a.Kind == kind {
			return a
		}
	}
	return nil
}

// host returns the evidence about a host, nil when there is no room for another.
func (a *Alarm) host(who Who) *Evidence {
	for i := range a.Evidence {
		if a.Evidence[i].Who == who {
			return &a.Evidence[i]
		}
	}
	if len(a.Evidence) == MaxEvidence {
		return nil
	}
	a.Evidence = append(a.Evidence, Evidence{Who: who})
	return &a.Evidence[len(a.Evidence)-1]
}

// End is why an alarm is over.
type End uint8

// The ends of an alarm.
const (
	EndQuiet        End = iota // it was not seen any more
	EndAgrees                  // the hosts have shown themselves in order
	EndNotMaster               // it means nothing to a router that is not MASTER
	EndReconfigured            // this router is configured otherwise than when it was seen
	EndGone                    // this router is no more
)

// Review forgets suspicions that came to nothing and ends alarms that are over;
// ended is called with those that had been raised. master says that this router
// is MASTER. It is called about once a second while Empty says no.
func (s *Alarms) Review(now time.Time, master bool, ended func(*Alarm, End)) {
	kept := s.list[:0]
	for _, a := range s.list {
		end, over := a.over(now, master)
		switch {
		case !over:
			kept = append(kept, a)
		case a.Raised:
			ended(a, end)
		}
	}
	clear(s.list[len(kept):])
	s.list = kept
}

// Clear ends everything: what was seen was seen by the light of another configuration,
// or of a router that is no more. What is still true will be seen again.
func (s *Alarms) Clear(end End, ended func(*Alarm, End)) {
	for _, a := range s.list {
		if a.Raised {
			ended(a, end)
		}
	}
	s.list = nil
}

func (a *Alarm) over(now time.Time, master bool) (End, bool) {
	r := &rules[a.Kind]
	if r.master && !master {
		return EndNotMaster, true
	}
	since := now.Sub(a.Last)
	quiet := r.quiet + 3*a.interval
	if since < quiet {
		return 0, false
	}
	if !r.silence {
		return EndQuiet, true
	}
	well := a.Others == 0
	for i := range a.Evidence {
		e := &a.Evidence[i]
		well = well && e.well.After(e.Last)
	}
	if well {
		return EndAgrees, true
	}
	return EndQuiet, since >= alarmSilence+3*a.interval
}
