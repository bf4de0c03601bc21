package checkd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"director/checkers"
	"director/internal/control"
	"director/ipvs"
)

// This file keeps what operators have ordered, and which servers leave, beyond the
// life of this process.

// maintenanceName is the file in the state directory.
const maintenanceName = "maintenance.json"

// maintenanceVersion is the only version of the format so far.
const maintenanceVersion = 1

// maintenanceFile is its content. Virtual servers go by their names.
type maintenanceFile struct {
	Version   int             `json:"version"`
	Overrides []savedOverride `json:"overrides,omitempty"`
	Leaving   []savedLeaving  `json:"leaving,omitempty"`
}

type savedOverride struct {
	Service string       `json:"service"`
	Server  ipvs.DestKey `json:"server"`
	control.Override
}

type savedLeaving struct {
	Service string `json:"service"`
	checkers.Leaving
}

// readMaintenance reads the file in dir; it is empty when there is none.
func readMaintenance(dir string) (maintenanceFile, error) {
	text, err := os.ReadFile(filepath.Join(dir, maintenanceName))
	if errors.Is(err, fs.ErrNotExist) {
		return maintenanceFile{}, nil
	}
	var f maintenanceFile
	if err == nil {
		f, err = parseMaintenance(text)
	}
	if err != nil {
		return f, fmt.Errorf("checkd: record of orders %s: %w", maintenanceName, err)
	}
	return f, nil
}

// parseMaintenance reads the file's text. All of its orders can be put in force.
func parseMaintenance(text []byte) (maintenanceFile, error) {
	var f maintenanceFile
	err := json.Unmarshal(text, &f)
	if err == nil && f.Version != maintenanceVersion {
		err = fmt.Errorf("version %d, known is %d", f.Version, maintenanceVersion)
	}
	for i := range f.Overrides {
		o := &f.Overrides[i]
		known := o.Order == control.VerbDrain || o.Order == control.VerbMaintain
		if o.Order == control.VerbWeight {
			_, parse := checkers.ParseWeight(o.Weight)
			known = parse == nil
		}
		if err == nil && !known {
			err = fmt.Errorf("%q of %s/%s is no order", o.What(), o.Service, o.Server)
		}
	}
	if err != nil {
		return maintenanceFile{}, err
	}
	return f, nil
}

// saveMaintenance writes what is in force, whole or not at all, and makes sure that
// it is on the disk: a host in maintenance is one that is likely to be started anew.
func (d *Daemon) saveMaintenance() error {
	f := maintenanceFile{Version: maintenanceVersion, Overrides: append(d.orders(), d.maintenance.kept...)}
	for _, s := range d.services {
		name := s.pool.Config().Name
		for _, l := range s.pool.Leaving() {
			f.Leaving = append(f.Leaving, savedLeaving{name, l})
		}
	}
	if len(f.Overrides)+len(f.Leaving) == 0 {
		return removeFile(d.opts.StateDir, maintenanceName)
	}
	return writeFile(d.opts.StateDir, maintenanceName, f)
}

// keepMaintenance brings the file up to date after a change that nobody can refuse.
func (d *Daemon) keepMaintenance(now time.Time) {
	d.keep(now, d.opts.StateDir, maintenanceName, &d.maintenance.stale, d.saveMaintenance)
}

// recallMaintenance puts what was ordered before this process began into what the
// pools are told of the past, and returns it by virtual server.
func (d *Daemon) recallMaintenance(now time.Time, memories map[string]*checkers.Memory) map[string]map[ipvs.DestKey]*control.Override {
	overrides := map[string]map[ipvs.DestKey]*control.Override{}
	f, err := readMaintenance(d.opts.StateDir)
	if err != nil {
		d.setAside(now, err)
		return overrides
	}
	for _, o := range f.Overrides {
		m := memoryOf(memories, o.Service)
		if m.Overrides == nil {
			m.Overrides = map[ipvs.DestKey]checkers.Override{}
			overrides[o.Service] = map[ipvs.DestKey]*control.Override{}
		}
		m.Overrides[o.Server] = inPool(&o.Override)
		overrides[o.Service][o.Server] = &o.Override
	}
	for _, l := range f.Leaving {
		m := memoryOf(memories, l.Service)
		m.Leaving = append(m.Leaving, l.Leaving)
	}
	return overrides
}

// memoryOf returns what the pool of a virtual server is told of the past, to add to it.
func memoryOf(memories map[string]*checkers.Memory, service string) *checkers.Memory {
	m := memories[service]
	if m == nil {
		m = &checkers.Memory{}
		memories[service] = m
	}
	return m
}

// setAside keeps a file that cannot be read for whoever wants to look at it. What it
// said is lost: servers in maintenance come back, which must not go unnoticed.
func (d *Daemon) setAside(now time.Time, reason error) {
	path := filepath.Join(d.opts.StateDir, maintenanceName)
	if d.dry {
		return
	}
	if err := os.Rename(path, path+".unreadable"); err != nil {
		d.log.Warn("the record of orders cannot be set aside", "reason", err)
	}
	d.maintained(now, "all servers", "", "ordered", "lost",
		fmt.Sprintf("%v; it is kept as %s.unreadable, and every server is back under its health's control", reason, path), "unreadable")
}

// dropOverrides ends the orders for servers that have left a service; before are the
// servers that it had.
func (d *Daemon) dropOverrides(now time.Time, s *service, before []*checkers.Server) {
	listed := make(map[ipvs.DestKey]bool, len(s.overrides))
	for _, rs := range s.pool.All() {
		listed[rs.Config.Key] = true
	}
	for key, o := range s.overrides {
		if !listed[key] {
			d.dropOverride(now, s.pool.Config().Name, key, before, o)
			delete(s.overrides, key)
		}
	}
}

// dropOverride tells that an order has ended with its server, which goes by its name
// when it is among servers.
func (d *Daemon) dropOverride(now time.Time, service string, key ipvs.DestKey, servers []*checkers.Server, o *control.Override) {
	name := key.String()
	for _, rs := range servers {
		if rs.Config.Key == key {
			name = rs.Config.Name
		}
	}
	d.maintenance.stale = true
	d.maintenance.dropped = append(d.maintenance.dropped, savedOverride{service, key, *o})
	d.maintained(now, service+"/"+name, o.Who(), o.What(), "gone", "is not in the configuration any more, so the order has ended", "left_configuration")
}

// former is what is ordered for the servers at an address, and by what name the virtual
// server went that had it.
type former struct {
	service string
	orders  map[ipvs.DestKey]*control.Override
}

// ordersByAddress tells the orders in force before a reload.
func (d *Daemon) ordersByAddress() map[ipvs.ServiceKey]former {
	past := map[ipvs.ServiceKey]former{}
	for key, s := range d.byKey {
		if len(s.overrides) > 0 {
			past[key] = former{s.source.Name, maps.Clone(s.overrides)}
		}
	}
	return past
}

// inherit puts in force for a new service what was ordered for servers at an address that
// was another's: a virtual server that was split in two brings nobody back into service.
func (d *Daemon) inherit(now time.Time, s *service, past map[ipvs.ServiceKey]former) {
	for _, key := range s.keys {
		for server, o := range past[key].orders {
			for _, rs := range s.pool.All() {
				t := target{s, rs}
				if destKey(t.key(), key) != destKey(server, key) || t.override() != nil {
					continue
				}
				own := *o
				s.overrides[t.key()] = &own
				d.maintenance.stale = true
				d.maintained(now, t.subject(), o.Who(), control.VerbReady, o.What(), "was ordered for this server of "+past[key].service+", which had the address", "inherited")
				d.enforce(now, t)
			}
		}
	}
}

// restoreOverrides puts back in force what ended with the configuration that is being
// taken back: a reload that is refused changes nothing.
func (d *Daemon) restoreOverrides(now time.Time, list []savedOverride) {
	for _, saved := range list {
		for _, s := range d.services {
			if s.pool.Config().Name != saved.Service {
				continue
			}
			for _, rs := range s.pool.All() {
				t := target{s, rs}
				if rs.Config.Key != saved.Server || t.override() != nil {
					continue
				}
				s.overrides[saved.Server] = &saved.Override
				d.maintenance.stale = true
				d.maintained(now, t.subject(), saved.Who(), "gone", saved.What(), "the configuration without the server was taken back", "reload_refused")
				d.enforce(now, t)
			}
		}
	}
}
