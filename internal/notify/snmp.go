package notify

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/gosnmp/gosnmp"

	"director/config"
	"director/internal/control"
)

// The traps that network management knows, and their objects, from the MIBs that
// keepalived installs.
const (
	// KEEPALIVED-MIB.
	oidRouterID       = "1.3.6.1.4.1.9586.100.5.1.2.0"
	oidGroup          = "1.3.6.1.4.1.9586.100.5.2.1.1"    // vrrpSyncGroupEntry: name 2, state 3
	oidInstance       = "1.3.6.1.4.1.9586.100.5.2.3.1"    // vrrpInstanceEntry: name 2, state 4, initial state 5
	oidGroupChange    = "1.3.6.1.4.1.9586.100.5.2.10.0.1" // vrrpSyncGroupStateChange
	oidInstanceChange = "1.3.6.1.4.1.9586.100.5.2.10.0.2" // vrrpInstanceStateChange
	// VRRPV3-MIB (RFC 6527).
	oidNewMaster       = "1.3.6.1.2.1.207.0.1"
	oidMasterIPAddr    = "1.3.6.1.2.1.207.1.1.1.1.3"
	oidNewMasterReason = "1.3.6.1.2.1.207.1.2.5.1.2"
	// SNMPv2-MIB (RFC 3418).
	oidSysUpTime = "1.3.6.1.2.1.1.3.0"
	oidTrapOID   = "1.3.6.1.6.3.1.1.4.1.0"
)

// Objects of our own, below the configured enterprise: N.0.1 is the trap of what
// has none above, N.1.1.0 and on are its objects and come with every trap.
const (
	ownTrap = ".0.1"
	ownObj  = ".1."
)

const snmpPort = 162

// snmpBegin is the second from which engine boots are counted: 31 bits have to do.
const snmpBegin = 1577836800 // 2020

// trapper is the trap channel under one configuration.
type trapper struct {
	settings config.SNMP
	routerID string
	host     string
	port     int
	started  time.Time // of the engine
}

func newTrapper(s *config.SNMP, routerID string, started time.Time) *trapper {
	host, port := splitServer(s.Manager, snmpPort)
	return &trapper{settings: *s, routerID: routerID, host: host, port: port, started: started}
}

func (s *trapper) wants(_ *held, e control.Event) bool {
	return slices.Contains(s.settings.Events, e.Kind)
}

// lane puts all traps into one queue: they leave in the order of the changes.
func (s *trapper) lane(control.Event) string { return "" }

func (s *trapper) again(failures int, _ time.Duration) (time.Duration, bool) {
	return backoff(failures, hookBackoff, hookBackoffMax), failures <= s.settings.Retries
}

// deliver sends the traps of one note. That they leave is all that can be known:
// nobody acknowledges a trap.
func (s *trapper) deliver(ctx context.Context, nt *note) error {
	err := within(ctx, s.settings.Timeout, func(ctx context.Context) error { return s.send(ctx, nt) })
	if err != nil {
		return fmt.Errorf("SNMP manager %s: %w", s.settings.Manager, err)
	}
	return nil
}

func (s *trapper) send(ctx context.Context, nt *note) error {
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	if err := client.Connect(); err != nil {
		return err
	}
	defer client.Close()
	for _, vars := range s.traps(nt) {
		oid := vars[1].Value.(string)
		if nt.done[oid] {
			continue
		}
		if _, err := client.SendTrap(gosnmp.SnmpTrap{Variables: vars}); err != nil {
			return err
		}
		if nt.done == nil {
			nt.done = make(map[string]bool)
		}
		nt.done[oid] = true
	}
	return nil
}

func (s *trapper) client(ctx context.Context) (*gosnmp.GoSNMP, error) {
	c := &gosnmp.GoSNMP{
		Target: s.host, Port: uint16(s.port), Transport: "udp", Context: ctx,
		Timeout: s.settings.Timeout.D(), MaxOids: gosnmp.MaxOids, Version: gosnmp.Version2c,
	}
	if s.settings.Version == "2c" {
		community, err := current(s.settings.Community, s.settings.CommunitySource())
		c.Community = string(community)
		return c, err
	}
	auth, err := current(s.settings.AuthPassword, s.settings.AuthSource())
	if err != nil {
		return nil, err
	}
	priv, err := current(s.settings.PrivPassword, s.settings.PrivSource())
	if err != nil {
		return nil, err
	}
	// A trap's sender is the authoritative engine (RFC 3414 section 1.5.1), so
	// boots and time are ours. Boots must grow with each start.
	c.Version, c.SecurityModel, c.MsgFlags = gosnmp.Version3, gosnmp.UserSecurityModel, gosnmp.AuthPriv
	c.SecurityParameters = &gosnmp.UsmSecurityParameters{
		UserName:                 s.settings.User,
		AuthoritativeEngineID:    string(s.engineID()),
		AuthoritativeEngineBoots: uint32(max(s.started.Unix()-snmpBegin, 1)),
		AuthoritativeEngineTime:  uint32(time.Since(s.started) / time.Second),
		AuthenticationProtocol: map[string]gosnmp.SnmpV3AuthProtocol{
			"SHA": gosnmp.SHA, "SHA256": gosnmp.SHA256, "SHA512": gosnmp.SHA512,
		}[s.settings.AuthProtocol],
		AuthenticationPassphrase: string(auth),
		PrivacyProtocol: map[string]gosnmp.SnmpV3PrivProtocol{
			"AES": gosnmp.AES, "AES256": gosnmp.AES256,
		}[s.settings.PrivProtocol],
		PrivacyPassphrase: string(priv),
	}
	return c, nil
}

// engineID returns the configured one, else one of the form "administratively
// assigned text" of RFC 3411 (SnmpEngineID) with the router_id.
func (s *trapper) engineID() []byte {
	if id, err := hex.DecodeString(s.settings.EngineID); err == nil && len(id) > 0 {
		return id
	}
	const enterprise = 9586 // as KEEPALIVED-MIB
	id := []byte{0x80, 0, enterprise >> 8, enterprise & 0xff, 4}
	return append(id, s.routerID[:min(len(s.routerID), 27)]...)
}

// traps lists the traps of a note, each beginning with the time and its OID.
func (s *trapper) traps(nt *note) [][]gosnmp.SnmpPDU {
	e := &nt.event
	own := s.own(nt)
	trap := func(oid string, vars ...gosnmp.SnmpPDU) []gosnmp.SnmpPDU {
		head := []gosnmp.SnmpPDU{
			{Name: oidSysUpTime, Type: gosnmp.TimeTicks, Value: uint32(time.Since(s.started) / (10 * time.Millisecond))},
			{Name: oidTrapOID, Type: gosnmp.ObjectIdentifier, Value: oid},
		}
		return append(append(head, vars...), own...)
	}
	switch i := nt.held.instance(*e); {
	case e.Kind == "instance" && i != nil:
		index := "." + strconv.Itoa(1+slices.IndexFunc(nt.held.config.Instances, func(o config.Instance) bool { return o.Name == i.Name }))
		list := [][]gosnmp.SnmpPDU{trap(oidInstanceChange,
			text(oidInstance+".2"+index, i.Name), number(oidInstance+".4"+index, control.MIBState(e.To)),
			number(oidInstance+".5"+index, control.MIBState(i.InitialState)), text(oidRouterID, s.routerID))}
		if vars := newMaster(i, e); vars != nil {
			list = append(list, trap(oidNewMaster, vars...))
		}
		return list
	case e.Kind == "group" && nt.held.groups[e.Subject] != nil:
		index := "." + strconv.Itoa(1+slices.IndexFunc(nt.held.config.Groups, func(o config.SyncGroup) bool { return o.Name == e.Subject }))
		return [][]gosnmp.SnmpPDU{trap(oidGroupChange,
			text(oidGroup+".2"+index, e.Subject), number(oidGroup+".3"+index, control.MIBState(e.To)), text(oidRouterID, s.routerID))}
	}
	if oid, vars, ok := s.farmTrap(nt.held, e); ok {
		return [][]gosnmp.SnmpPDU{trap(oid, vars...)}
	}
	return [][]gosnmp.SnmpPDU{trap(s.settings.Enterprise+ownTrap, text(oidRouterID, s.routerID))}
}

// own returns our own objects, which come with every trap.
func (s *trapper) own(nt *note) []gosnmp.SnmpPDU {
	e := &nt.event
	name := func(n int) string { return s.settings.Enterprise + ownObj + strconv.Itoa(n) + ".0" }
	vars := []gosnmp.SnmpPDU{{Name: name(1), Type: gosnmp.Counter64, Value: e.Seq}}
	for i, value := range []string{e.Kind, e.Subject, e.From, e.To, e.Reason, e.Code} {
		vars = append(vars, text(name(i+2), value))
	}
	return vars
}

// newMaster returns the objects of vrrpv3NewMaster, nil when the event is no such
// thing. It is for version 3; version 2 has another MIB.
func newMaster(i *config.Instance, e *control.Event) []gosnmp.SnmpPDU {
	addr, err := netip.ParseAddr(e.Source)
	if e.To != "MASTER" || i.Version != 3 || err != nil {
		return nil
	}
	ifi, err := net.InterfaceByName(i.Interface)
	if err != nil {
		return nil
	}
	family := 1 // InetAddressType: ipv4
	if addr.Is6() {
		family = 2
	}
	row := fmt.Sprintf(".%d.%d.%d", ifi.Index, i.VRID, family)
	return []gosnmp.SnmpPDU{
		{Name: oidMasterIPAddr + row, Type: gosnmp.OctetString, Value: addr.WithZone("").AsSlice()},
		number(oidNewMasterReason+row, control.MIBMasterReason(e.Code)),
	}
}

func text(oid, value string) gosnmp.SnmpPDU {
	return gosnmp.SnmpPDU{Name: oid, Type: gosnmp.OctetString, Value: value}
}

func number(oid string, value int) gosnmp.SnmpPDU {
	return gosnmp.SnmpPDU{Name: oid, Type: gosnmp.Integer, Value: value}
}
