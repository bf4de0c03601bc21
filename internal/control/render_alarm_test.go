package control

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// split is a MASTER that has met another one, and one that hears nobody.
func split() *Status {
	s := calm()
	peer := netip.MustParseAddr("10.0.0.2")
	s.VRRP.Instances[0].Discards = map[string]uint64{"wrong_password": 3, "not_running": 2}
	s.VRRP.Instances[0].Dropped = []Dropped{
		{Reason: "wrong_password", Count: 3, Last: at(2 * time.Second), Peer: peer},
		{Reason: "not_running", Count: 2, Last: at(time.Second), Peer: peer},
	}
	s.VRRP.Instances = append(s.VRRP.Instances, Instance{
		Name: "db", Interface: "eth1", VRID: 52, Version: 3, State: "MASTER", Since: at(time.Minute), Priority: 100, BasePriority: 100,
		Reason: "no master heard for 3.6s",
	}, Instance{
		Name: "new", Interface: "eth1", VRID: 53, Version: 3, State: "MASTER", Since: at(9 * time.Second), Priority: 100, BasePriority: 100,
		Reason: "no master heard for 3.6s",
	})
	s.VRRP.Foreign = []ForeignVRID{
		{Interface: "eth0", VRID: 7, Peer: peer, LastHeard: at(0)},
		{Interface: "eth1", VRID: 62, Peer: netip.MustParseAddr("10.1.0.2"), LastHeard: at(0)},
	}
	s.VRRP.Alarms = []Alarm{
		{
			Instance: "web", Interface: "eth0", VRID: 80, Code: "two_masters", Level: LevelAlarm, Since: at(70 * time.Second),
			Last: at(time.Second), Count: 71, Reason: "10.0.0.2 advertises priority 90 as MASTER and does not give way to this router's priority 100",
			Evidence: []Evidence{{Peer: "10.0.0.2", Says: "priority 90", Here: "priority 100", Count: 71}},
		},
		{
			Instance: "web", Interface: "eth0", VRID: 80, Code: "foreign_mac", Level: LevelAlarm, Since: at(20 * time.Second),
			Last: at(4 * time.Second), Count: 9, Reason: "02:00:00:00:00:09 says on eth0 that it has 192.0.2.1", Others: 2,
			Evidence: []Evidence{
				{MAC: "02:00:00:00:00:09", Address: "192.0.2.1", Says: "eth0", Count: 6},
				{MAC: "02:00:00:00:00:0a", Address: "192.0.2.1", Says: "eth0", Count: 1},
			},
		},
		{
			Instance: "db", Interface: "eth1", VRID: 52, Code: "equal_priority", Level: LevelWarning, Since: at(time.Second),
			Last: at(time.Second), Count: 3, Reason: "10.1.0.2 advertises the same priority 100 as this router",
			Evidence: []Evidence{{Peer: "10.1.0.2"}},
		},
	}
	return s
}

func TestNewestEvidence(t *testing.T) {
	a := Alarm{Evidence: []Evidence{{Peer: "a", Last: at(2)}, {Peer: "b", Last: at(1)}, {Peer: "c", Last: at(3)}}}
	if got := a.Newest().Peer; got != "b" {
		t.Errorf("newest is %s", got)
	}
	if got := (Alarm{}).Newest(); got != (Evidence{}) {
		t.Errorf("of none: %+v", got)
	}
}

func TestEvidenceIsALine(t *testing.T) {
	ev := Evidence{Peer: "10.0.0.2", VRID: 52, Address: "192.0.2.1", Says: "192.0.2.1, 192.0.2.9", Here: "192.0.2.1", Count: 3}
	want := "10.0.0.2, VRID 52, address 192.0.2.1, says 192.0.2.1, 192.0.2.9, here 192.0.2.1, 3 times"
	if got := ev.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestHealthyReadsHealthy: in the status of a pair and a farm that are well, and of which
// something was repaired long ago, nothing reads like a fault, in words or in colour.
func TestHealthyReadsHealthy(t *testing.T) {
	s := calm()
	peer := netip.MustParseAddr("10.0.0.2")
	alone := s.VRRP.Instances[0]
	alone.AdvertsHeard = 0
	unicast := alone
	unicast.Name, unicast.Peers = "unicast", []Peer{{Address: peer}}
	paths := alone
	paths.Name, paths.Paths = "paths", []Path{{Name: "eth1", Interface: "eth1", State: PathUp, Sent: 400}}
	s.VRRP.Instances = append(s.VRRP.Instances, alone, unicast, paths)
	s.VRRP.Foreign = []ForeignVRID{{Interface: "eth0", VRID: 7, Peer: peer, LastHeard: at(0)}}
	s.VRRP.Repairs, s.VRRP.Repaired = 2, at(3*time.Hour)
	standby := Service{Name: "web", State: "up", Standby: true, ActiveWith: "web", Servers: []Server{{Name: "app1", Health: "up", Weight: 1, EffectiveWeight: 1}}}
	s.Checkers = &Checkers{Services: []Service{standby}, Repairs: 1, Repaired: at(3 * time.Hour)}

	var out bytes.Buffer
	if err := Render(&out, s, View{Now: renderNow, Colour: true}); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"\x1b[" + string(bad) + "m", "\x1b[" + string(warn) + "m", "firewall", "never", "drops"} {
		if strings.Contains(out.String(), word) {
			t.Errorf("there is %q in\n%s", word, out.String())
		}
	}
	for _, want := range []string{"10.0.0.2 silent, as a backup is", "2 addresses, routes and rules put back after somebody else removed them, the last 3h0m ago"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}

	// Who asks about the instance is told what nobody else needs.
	out.Reset()
	if err := Explain(&out, s, "web", nil, View{Now: renderNow}); err != nil {
		t.Fatal(err)
	}
	if want := "backups are silent; if another host is MASTER too, `director doctor` on both tells why; other virtual routers on this link: VRID 7 by 10.0.0.2"; !strings.Contains(out.String(), want) {
		t.Errorf("there is no %q in\n%s", want, out.String())
	}
}
