package webd

import (
	"io"
	"net/netip"
	"time"

	"director/internal/control"
	"director/internal/watchdog"
)

type controlEvent = control.Event

// chanFeed tells what is sent on a channel, until that is closed.
type chanFeed chan watchdog.News

func (f chanFeed) Next() (watchdog.News, error) {
	n, ok := <-f
	if !ok {
		return n, io.EOF
	}
	return n, nil
}

// demoState is a state as in real life: most is well, something is not.
func demoState(now time.Time) *control.Status {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	s := sample()
	s.LoadedAt = ago(50 * time.Hour)
	s.Generation = 4
	for i := range s.Processes {
		s.Processes[i].StartedAt, s.Processes[i].Restarts, s.Processes[i].LastExit = ago(50*time.Hour), 0, ""
	}
	v := s.VRRP
	v.Failures, v.Alarms = nil, nil
	v.Alarms = append(v.Alarms, control.Alarm{
		Instance: "inside", Interface: "eth1", VRID: 52, Family: "ipv4", Code: "peer_authentication", Level: control.LevelAlarm,
		Since: ago(3 * time.Minute), Last: ago(time.Second), Count: 181,
		Reason: "10.0.0.3 sends another password, configured here is authentication PASS; adverts from there are dropped, so both routers may be MASTER; make authentication the same on both",
	})
	outside := v.Instances[0]
	outside.State, outside.Since, outside.Priority, outside.Terms = "MASTER", ago(49*time.Hour), 100, nil
	outside.Reason, outside.Addresses = "no advert from 192.0.2.2 for 3.6094s", []control.Address{
		{Prefix: netip.MustParsePrefix("192.0.2.80/24"), Device: "eth0", Installed: true},
		{Prefix: netip.MustParsePrefix("192.0.2.81/24"), Device: "eth0", Installed: true},
	}
	inside := outside
	inside.Name, inside.Interface, inside.VRID, inside.State, inside.Since = "inside", "eth1", 52, "BACKUP", ago(40*time.Minute)
	inside.Master, inside.MasterPriority, inside.Priority, inside.BasePriority = "10.0.0.3", 150, 80, 100
	inside.Reason = "10.0.0.3 has priority 150"
	inside.Terms = []control.PriorityTerm{{Source: "script nginx", Value: -20, Note: "-20 script nginx (down, weight -20: exit status 7)"}}
	inside.Addresses = []control.Address{{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Device: "eth1"}}
	six := outside
	six.Name, six.Family, six.Interface = "outside", "ipv6", "eth0"
	six.Addresses = []control.Address{{Prefix: netip.MustParsePrefix("2001:db8::80/64"), Device: "eth0", Installed: true}}
	v.Instances = []control.Instance{outside, six, inside}
	v.Scripts[0].Since, v.Trackers[0].Since = ago(40*time.Minute), ago(50*time.Hour)
	v.BFD[0].Since, v.BFD[0].Neighbor = ago(50*time.Hour), netip.MustParseAddr("192.0.2.2")

	c := s.Checkers
	c.Failures = nil
	web := c.Services[0]
	web.Since = ago(50 * time.Hour)
	web.SorryServers = nil
	web.Rates = control.Rates{Connections: 1240, InBytes: 9_300_000, OutBytes: 411_000_000}
	for i := range web.Servers {
		web.Servers[i].Since = ago(50 * time.Hour)
		web.Servers[i].Active, web.Servers[i].Rates.Connections = 3100, 620
	}
	down := &web.Servers[1]
	down.Since, down.Reason, down.Active, down.Rates = ago(12*time.Minute), "http: connect: connection refused", 0, control.Rates{}
	third := web.Servers[0]
	third.Name, third.Address = "10.0.0.3:80", "10.0.0.3:80"
	third.Checks = []control.CheckStatus{{Kind: "tls", State: "up", Warning: "its certificate ends in 6 days"}}
	third.KernelWeight = 0
	third.Override = &control.Override{Order: control.VerbDrain, Author: "alice", Reason: "new kernel", Since: ago(4 * time.Minute)}
	web.Servers = append(web.Servers, third)
	dns := web
	dns.Name, dns.Address, dns.Servers = "dns", "192.0.2.80:53/udp", []control.Server{web.Servers[0]}
	dns.Rates = control.Rates{Connections: 8800, InBytes: 700_000, OutBytes: 1_900_000}
	mail := dns
	mail.Name, mail.Address, mail.State, mail.Since, mail.Reason = "mail", "192.0.2.81:25/tcp", "down", ago(2*time.Minute), "0 of 1 needed: smtp: 421 too busy"
	mail.Servers = []control.Server{web.Servers[1]}
	mail.UpWeight, mail.Rates = 0, control.Rates{}
	c.Services = []control.Service{web, dns, mail}
	return s
}

// demoEvents are what led to it.
func demoEvents(now time.Time) []control.Event {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	return []control.Event{
		{Seq: 1, Time: ago(50 * time.Hour), Kind: "process", Subject: "vrrp", From: "starting", To: "running", Reason: "generation 4 is in force after 41ms"},
		{Seq: 2, Time: ago(49 * time.Hour), Kind: "instance", Subject: "outside", From: "BACKUP", To: "MASTER", Reason: "no advert from 192.0.2.2 for 3.6094s"},
		{Seq: 3, Time: ago(40 * time.Minute), Kind: "script", Subject: "nginx", From: "up", To: "down", Reason: "exit status 7"},
		{Seq: 4, Time: ago(40 * time.Minute), Kind: "instance", Subject: "inside", From: "MASTER", To: "BACKUP", Reason: "10.0.0.3 has priority 150"},
		{Seq: 5, Time: ago(12 * time.Minute), Kind: "server", Subject: "web/10.0.0.2:80", From: "up", To: "down", Reason: "http: connect: connection refused"},
		{Seq: 6, Time: ago(3 * time.Minute), Kind: "alarm", Subject: "inside", From: "clear", To: "raised", Reason: "10.0.0.3 sends another password"},
		{Seq: 7, Time: ago(2 * time.Minute), Kind: "service", Subject: "mail", From: "up", To: "down", Reason: "0 of 1 needed: smtp: 421 too busy"},
	}
}

// demoTraffic has the last two minutes of traffic told.
func demoTraffic(d *Daemon) {
	now := time.Now()
	d.history.times = nil // the state that the daemon began with is newer
	for i := range sparkPoints {
		s := demoState(now)
		for j := range s.Checkers.Services {
			r := &s.Checkers.Services[j].Rates
			r.Connections = r.Connections * uint64(70+30*(i*i*(j+7)%11)/10) / 100
		}
		d.history.add(now.Add(-time.Duration(sparkPoints-i)*sparkGap), s)
	}
}
