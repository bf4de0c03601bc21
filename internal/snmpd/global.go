package snmpd

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"director/config"
	"director/internal/agentx"
)

// smtpPort is where mail goes whose server names no port.
const smtpPort = 25

// dnsName is the InetAddressType of a host's name.
const dnsName = 16

func (s *state) global() []agentx.Object {
	c := s.config
	values := map[uint32]agentx.Value{
		1:  agentx.Text("director " + s.status.Version),
		2:  agentx.Text(s.status.RouterID),
		4:  yes(c.Notify.SNMP != nil), // trapEnable
		5:  agentx.Integer(1),         // linkBeat: netlink
		6:  yes(c.Global.ExclusiveIPVS),
		7:  yes(true), // ipvs64BitStats
		8:  agentx.Text(c.Global.NetworkNamespace),
		9:  yes(false), // dbus
		10: yes(true),  // dynamicInterfaces
		11: agentx.Integer(3),
	}
	if c.Global.KeepIPVSOnStop {
		values[11] = agentx.Integer(2) // lvsFlushOnStop: disabled; else flushVS, each of its own
	}
	return append(scalars(globalPart, values), s.mail()...)
}

// mails says whether changes of one of these kinds are told by mail.
func (s *state) mails(kinds ...string) bool {
	m := s.config.Notify.Mail
	return m != nil && slices.ContainsFunc(kinds, func(k string) bool { return slices.Contains(m.Events, k) })
}

func (s *state) mail() []agentx.Object {
	part := globalPart.Append(3)
	values := map[uint32]agentx.Value{
		1: none, 2: none, 3: none, 4: none, 6: none,
		7:  yes(s.mails("instance")),
		8:  yes(s.mails("instance", "group", "service", "server")),
		9:  yes(s.mails("instance", "group")),
		10: yes(s.mails("service", "server")),
	}
	var to []string
	if m := s.config.Notify.Mail; m != nil {
		host, port := splitServer(m.Server)
		values[1], values[2] = agentx.Integer(dnsName), text(host)
		if a, err := netip.ParseAddr(host); err == nil {
			values[1], values[2] = addressType(a), address(a)
		}
		values[3], values[4], values[6] = seconds(m.ConnectTimeout), text(m.From), agentx.Gauge(uint64(port))
		if m.From == "" {
			values[4] = text("director@" + s.status.RouterID)
		}
		to = m.To
	}
	return append(scalars(part, values), table(part.Append(5, 1), to, nil,
		[]column[string]{{2, func(s *string) agentx.Value { return text(*s) }}})...)
}

// splitServer takes a mail server apart, whose form was found right.
func splitServer(s string) (host string, port uint16) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return s, smtpPort
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return host, smtpPort
	}
	return host, uint16(n)
}

// notifies says whether a change of state runs a command.
func notifies(n *config.Notify) bool {
	return len(n.Master)+len(n.Backup)+len(n.Fault)+len(n.Stop)+len(n.All) > 0
}
