package checkd

import (
	"fmt"
	"slices"
	"time"

	"director/checkers"
	"director/config"
	"director/internal/control"
	"director/ipvs"
)

// This file keeps which alarms are raised beyond the life of this process, so that what
// was told is no news after a restart.

// alarmsName is the file in the state directory.
const alarmsName = "alarms.json"

// alarmsVersion is the only version of the format so far.
const alarmsVersion = 1

// alarmsFile is its content.
type alarmsFile struct {
	Version int          `json:"version"`
	Alarms  []savedAlarm `json:"alarms"`
}

// savedAlarm is what was told of a virtual server, which goes by its name.
type savedAlarm struct {
	Service   string             `json:"service"`
	Expiring  *control.Expiring  `json:"certificate_ends,omitempty"`
	NoVerdict *control.NoVerdict `json:"no_verdict,omitempty"`
	// Certificates are those that it was warned of: until they are seen again, they are
	// what is known.
	Certificates []savedCertificate `json:"certificates,omitempty"`
}

// savedCertificate is the certificate that a check has seen.
type savedCertificate struct {
	Server  ipvs.DestKey `json:"server"`
	Check   string       `json:"check"` // its label
	Expires time.Time    `json:"certificate_ends"`
}

// readAlarms reads the file in dir; it is empty when there is none.
func readAlarms(dir string) ([]savedAlarm, error) {
	var f alarmsFile
	if err := readFile(dir, alarmsName, &f, &f.Version, alarmsVersion); err != nil {
		return nil, fmt.Errorf("checkd: record of alarms %s: %w", alarmsName, err)
	}
	return f.Alarms, nil
}

// warns says that the alarm about certificates is raised.
func (s *service) warns() bool {
	ends, _ := s.pool.Expiring()
	return !ends.IsZero()
}

// told is what a virtual server's alarms were when they were last told; nil: none is
// raised.
func (s *service) told(now time.Time) *savedAlarm {
	a := &savedAlarm{Service: s.pool.Config().Name}
	if ends, since := s.pool.Expiring(); !ends.IsZero() {
		a.Expiring = &control.Expiring{At: ends, Since: since}
		for _, rs := range s.pool.All() {
			for _, c := range rs.Checks {
				if c.EndsSoon(now) {
					a.Certificates = append(a.Certificates, savedCertificate{rs.Config.Key, c.Config.Label, c.Expires})
				}
			}
		}
	}
	if yes, since := s.pool.Overdue(); yes {
		a.NoVerdict = &control.NoVerdict{Since: since}
	}
	if a.Expiring == nil && a.NoVerdict == nil {
		return nil
	}
	return a
}

// keepAlarms brings the file up to date.
func (d *Daemon) keepAlarms(now time.Time) {
	d.keep(now, d.opts.StateDir, alarmsName, &d.alarmsStale, func() error { return d.saveAlarms(now) })
}

func (d *Daemon) saveAlarms(now time.Time) error {
	f := alarmsFile{Version: alarmsVersion}
	for _, s := range d.services {
		if a := s.told(now); a != nil {
			f.Alarms = append(f.Alarms, *a)
		}
	}
	if len(f.Alarms) == 0 {
		return removeFile(d.opts.StateDir, alarmsName)
	}
	return writeFile(d.opts.StateDir, alarmsName, f)
}

// recallAlarms puts what was told before the daemon ended into what the pools are told
// of the past. A former process of the same daemon knows better.
func (d *Daemon) recallAlarms(now time.Time, memories map[string]*checkers.Memory, cfg *config.Config) {
	list, err := readAlarms(d.opts.StateDir)
	if err != nil {
		d.log.Warn("alarms that are raised already may be told once more", "reason", err)
		return
	}
	for _, a := range list {
		if !slices.ContainsFunc(cfg.VirtualServers, func(v config.VirtualServer) bool { return v.Name == a.Service }) {
			d.endSaved(now, a)
			continue
		}
		m := memoryOf(memories, a.Service)
		if a.NoVerdict != nil {
			m.OverdueSince = a.NoVerdict.Since
		}
		if a.Expiring == nil {
			continue
		}
		m.Expiring, m.ExpiringSince = a.Expiring.At, a.Expiring.Since
		m.Servers = make(map[ipvs.DestKey]checkers.ServerMemory)
		for _, c := range a.Certificates {
			r := m.Servers[c.Server]
			r.Checks = append(r.Checks, checkers.CheckMemory{Label: c.Check, Expires: c.Expires})
			m.Servers[c.Server] = r
		}
	}
}

// endSaved ends the alarms of a virtual server that left the configuration while no
// director ran.
func (d *Daemon) endSaved(now time.Time, a savedAlarm) {
	d.alarmsStale = true
	over := func(code checkers.Reason, since time.Time) {
		d.events = append(d.events, d.alarmEvent(now, a.Service, code, false, since, goneService))
	}
	if a.NoVerdict != nil {
		over(checkers.VerdictsMissing, a.NoVerdict.Since)
	}
	if a.Expiring != nil {
		over(checkers.CertificateEnds, a.Expiring.Since)
	}
}
