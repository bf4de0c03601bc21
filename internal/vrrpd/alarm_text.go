package vrrpd

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"director/vrrp"
	"director/vrrp/link"
)

// differing says what a dropped advert says and what is configured here. It never
// tells a password.
func (r *router) differing(why vrrp.Discard, adv *vrrp.Advert, d *link.Datagram) (says, here string) {
	own := r.sm.Settings()
	switch why {
	case vrrp.DiscardVersion:
		return versionText(adv.Version), versionText(own.Version)
	case vrrp.DiscardIntervalMismatch:
		return adv.Interval.String(), own.AdvertInterval.String()
	case vrrp.DiscardAuthType:
		says := "authentication " + adv.AuthType.String()
		if adv.AuthType == vrrp.AuthAH && d.Protocol != vrrp.ProtocolAH {
			says = "authentication AH without its header"
		}
		return says, r.authText()
	case vrrp.DiscardAuthPassword:
		return "another password", r.authText()
	case vrrp.DiscardUnsigned:
		return "adverts without a signature", r.authText()
	case vrrp.DiscardTrailer:
		return "adverts with something else than a signature behind them", r.authText()
	case vrrp.DiscardKey:
		return fmt.Sprintf("adverts signed with key %d", keyOf(adv)), r.authText()
	case vrrp.DiscardICV:
		if k := keyOf(adv); k != 0 {
			return fmt.Sprintf("adverts signed with another key %d", k), r.authText()
		}
		return "adverts signed with another password", r.authText()
	case vrrp.DiscardWindow:
		return "adverts signed at a time that is not ours", "time_window " + r.cfg.Authentication.TimeWindow.String()
	case vrrp.DiscardReplay:
		return "adverts that are not newer than its last", r.authText()
	case vrrp.DiscardMulticast:
		return "by multicast", "by unicast"
	case vrrp.DiscardUnicast:
		return "by unicast to " + d.Dst.String(), "by multicast"
	case vrrp.DiscardGroup:
		return "to the group " + d.Dst.String(), "to " + own.Multicast().String()
	case vrrp.DiscardPeer:
		return "by unicast", "no unicast_peer of this address"
	case vrrp.DiscardTTL:
		least, most := vrrp.TTL, vrrp.TTL
		if i := own.Peer(d.Src); i >= 0 {
			least, most = int(own.Peers[i].MinTTL), int(own.Peers[i].MaxTTL)
		}
		if least == most {
			return fmt.Sprintf("TTL %d", d.TTL), fmt.Sprintf("TTL %d", least)
		}
		return fmt.Sprintf("TTL %d", d.TTL), fmt.Sprintf("TTL %d to %d", least, most)
	case vrrp.DiscardChecksum:
		return "a checksum that fits neither reading of the standard", "both readings"
	}
	return why.String(), ""
}

func versionText(v uint8) string { return fmt.Sprintf("version %d", v) }

func priorityText(p uint8) string { return fmt.Sprintf("priority %d", p) }

func macText(mac [6]byte) string { return net.HardwareAddr(mac[:]).String() }

// alarmReason is one sentence with the evidence, what follows from it and the
// likely cure.
func alarmReason(r *router, a *vrrp.Alarm) string {
	if len(a.Evidence) == 0 {
		return a.Kind.String()
	}
	ev := &a.Evidence[0]
	for i := range a.Evidence {
		if a.Evidence[i].Last.After(ev.Last) {
			ev = &a.Evidence[i]
		}
	}
	peer := ev.Addr
	const deaf = "; adverts from there are dropped, so both routers may be MASTER"
	switch a.Kind {
	case vrrp.AlarmTwoMasters:
		return fmt.Sprintf("%s advertises %s as MASTER and does not give way to this router's %s: it does not hear %s; "+
			"look for a firewall or switch that drops IP protocol 112 from here, and for another VRID, password or version there",
			peer, ev.Says, ev.Here, r.source)
	case vrrp.AlarmOwners:
		return fmt.Sprintf("%s advertises priority 255 as this router does: only the owner of the addresses has it, give the other one less", peer)
	case vrrp.AlarmEqualPriority:
		return fmt.Sprintf("%s advertises the same %s as this router: the higher address decides, give each router a priority of its own", peer, ev.Says)
	case vrrp.AlarmForeignMAC:
		return foreignMAC(r, ev)
	case vrrp.AlarmForeignVRID:
		return fmt.Sprintf("%s advertises VRID %d with %s, an address of ours (VRID %d): both routers are MASTER; give both the same virtual_router_id",
			peer, ev.VRID, ev.Address, r.key.vrid)
	case vrrp.AlarmAddresses:
		return fmt.Sprintf("%s advertises %s, configured here is %s: after a takeover an address would be missing or held twice; "+
			"make virtual_ipaddress the same on both", peer, ev.Says, ev.Here)
	case vrrp.AlarmInterval:
		if r.sm.Settings().Version == 2 {
			return fmt.Sprintf("%s advertises every %s, this router every %s%s; make advert_interval the same on both", peer, ev.Says, ev.Here, deaf)
		}
		return fmt.Sprintf("%s advertises every %s, this router every %s: a takeover takes as long as the MASTER's interval says; "+
			"make advert_interval the same on both", peer, ev.Says, ev.Here)
	case vrrp.AlarmVersion:
		return fmt.Sprintf("%s speaks VRRP %s, this router %s%s; make version the same on both", peer, ev.Says, ev.Here, deaf)
	case vrrp.AlarmAuthentication:
		return fmt.Sprintf("%s sends %s, configured here is %s%s; make authentication the same on both", peer, ev.Says, ev.Here, deaf)
	case vrrp.AlarmChecksum:
		return fmt.Sprintf("%s sends adverts with %s%s; they are damaged on the way, or written by another protocol", peer, ev.Says, deaf)
	case vrrp.AlarmTransport:
		return fmt.Sprintf("%s sends its adverts %s, this router %s%s; make unicast_peer and mcast_group the same on both", peer, ev.Says, ev.Here, deaf)
	case vrrp.AlarmPeer:
		return fmt.Sprintf("%s sends adverts of VRID %d by unicast and is no unicast_peer here%s; add it to the list, or take this host off its list",
			peer, r.key.vrid, deaf)
	case vrrp.AlarmReplay:
		return fmt.Sprintf("%s sends %s, configured here is %s%s; the clocks differ, or somebody sends recorded adverts", peer, ev.Says, ev.Here, deaf)
	case vrrp.AlarmTTL:
		return fmt.Sprintf("adverts of %s arrive with %s, allowed is %s%s; a router is in between, or somebody far away pretends to be it",
			peer, ev.Says, ev.Here, deaf)
	}
	return fmt.Sprintf("%s: %s, here %s", peer, ev.Says, ev.Here)
}

// foreignMAC tells a duplicate address from another MASTER that is not heard.
func foreignMAC(r *router, ev *vrrp.Evidence) string {
	kind := "another MASTER whose adverts do not arrive here, as when a firewall drops IP protocol 112; " +
		"or a host with a duplicate address; or a real server of direct routing that answers ARP for it"
	if virtual := [6]byte{0, 0, 0x5e, 0, 1, r.key.vrid}; ev.MAC == virtual || ev.MAC[4] == 2 && [4]byte(ev.MAC[:4]) == [4]byte(virtual[:4]) {
		kind = "another VRRP router is MASTER, and its adverts do not arrive here: look for a firewall that drops IP protocol 112"
	}
	return fmt.Sprintf("%s says on %s that it has %s, while this router is MASTER: %s", macText(ev.MAC), ev.Says, ev.Address, kind)
}

// endReason says why an alarm is over.
func endReason(now time.Time, a *vrrp.Alarm, end vrrp.End) string {
	who := "the other side"
	if len(a.Evidence) == 1 && a.Evidence[0].Addr.IsValid() {
		who = a.Evidence[0].Addr.String()
	}
	silence := now.Sub(a.Last).Round(time.Second)
	switch end {
	case vrrp.EndAgrees:
		return who + " agrees with this router again"
	case vrrp.EndNotMaster:
		return "this router is no longer MASTER"
	case vrrp.EndReconfigured:
		return "this router was configured anew"
	case vrrp.EndGone:
		return "this router is no more"
	}
	if a.Kind == vrrp.AlarmTwoMasters {
		return who + " has given way"
	}
	return fmt.Sprintf("not seen for %v", silence)
}

// sharedAddress returns an address that an advert and the settings have both.
func sharedAddress(adv *vrrp.Advert, own []netip.Addr) (netip.Addr, bool) {
	for i := range adv.Addresses() {
		for _, a := range own {
			if adv.Address(i) == a {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}
