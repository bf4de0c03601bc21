package kernel

import (
	"errors"
	"fmt"
	"maps"

	"golang.org/x/sys/unix"

	"director/ipvs"
)

// dumpTries is how often a list that somebody else changed while it was read
// is read again.
const dumpTries = 3

// Dump returns the namespace's whole table, in canonical form.
//
// A dump of IPVS counts entries: when another program changes a list while it
// is read, entries can come twice or be left out, and the kernel does not tell.
// An entry that came twice gives the change away, and the list is read again;
// what was left out shows as an operation that fails with EEXIST, after which
// the table should be dumped again.
func (k *Kernel) Dump() (ipvs.Table, error) {
	t, _, err := k.read(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("ipvs: dump: %w", err)
	}
	return t, nil
}

// Stats returns the counters of every service and real server. Linux sums them
// up every two seconds, so that they lag by as much; connections are counted at once.
func (k *Kernel) Stats() (ipvs.Stats, error) {
	_, s, err := k.read(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("ipvs: statistics: %w", err)
	}
	return s, nil
}

// read dumps the services that keep names, and the real servers of those that open names;
// nil names all.
func (k *Kernel) read(keep, open func(ipvs.ServiceKey) bool) (ipvs.Table, ipvs.Stats, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var table ipvs.Table
	var stats ipvs.Stats
	err := settled(func() (twice bool, err error) {
		table, stats, twice, err = k.conn.services()
		return twice, err
	})
	if errors.Is(err, unix.ENOENT) {
		err = ErrNoIPVS // the module went away, and its family with it
	}
	if err != nil {
		return nil, nil, err
	}
	if keep != nil {
		maps.DeleteFunc(table, func(key ipvs.ServiceKey, _ *ipvs.Entry) bool { return !keep(key) })
		maps.DeleteFunc(stats, func(key ipvs.ServiceKey, _ *ipvs.ServiceStats) bool { return !keep(key) })
	}
	for key, e := range table {
		if open != nil && !open(key) {
			continue
		}
		err := settled(func() (twice bool, err error) {
			e.Dests, stats[key].Dests, twice, err = k.conn.dests(key)
			return twice, err
		})
		if err != nil {
			return nil, nil, fmt.Errorf("%v: %w", key, err)
		}
	}
	return table, stats, nil
}

// settled repeats the reading of a list in which something came twice or that
// was interrupted, up to dumpTries times; then it is content with what it has.
func settled(read func() (twice bool, err error)) error {
	var err error
	for range dumpTries {
		var twice bool
		twice, err = read()
		if err == nil && !twice || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return err
}

// services reads the services; their real servers are left out.
func (c *conn) services() (table ipvs.Table, stats ipvs.Stats, twice bool, err error) {
	table, stats = ipvs.Table{}, ipvs.Stats{}
	err = c.call(cmdGetService, unix.NLM_F_DUMP, nil, func(m message) error {
		k, s, counters, err := decodeService(m)
		if err != nil {
			return err
		}
		if _, ok := table[k]; ok {
			twice = true
		}
		table.Set(k, s)
		stats[k] = &ipvs.ServiceStats{Counters: counters}
		return nil
	})
	return table, stats, twice, err
}

// dests reads the real servers of one service; none when the service is gone.
func (c *conn) dests(k ipvs.ServiceKey) (dests map[ipvs.DestKey]ipvs.Destination, stats map[ipvs.DestKey]ipvs.DestStats, twice bool, err error) {
	dests, stats = map[ipvs.DestKey]ipvs.Destination{}, map[ipvs.DestKey]ipvs.DestStats{}
	name := func(b []byte) []byte {
		b, nest := appendNest(b, attrService)
		b = appendKey(b, k)
		endNest(b, nest)
		return b
	}
	err = c.call(cmdGetDest, unix.NLM_F_DUMP, name, func(m message) error {
		dk, d, st, err := decodeDest(m, k.IPFamily())
		if err != nil {
			return err
		}
		if _, ok := dests[dk]; ok {
			twice = true
		}
		dests[dk], stats[dk] = d, st
		return nil
	})
	return dests, stats, twice, err
}
