package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"director/ipvs"
)

// Read returns the services that keep names, with their real servers and their counters,
// from one dump; a nil keep names all. What Dump and Stats say of each holds here too.
func (k *Kernel) Read(keep func(ipvs.ServiceKey) bool) (ipvs.Table, ipvs.Stats, error) {
	return dumped(k.read(keep, nil))
}

// Glance returns all services with their counters, and the real servers of those that open
// names: each costs one exchange with the kernel more. The others have none here.
func (k *Kernel) Glance(open func(ipvs.ServiceKey) bool) (ipvs.Table, ipvs.Stats, error) {
	return dumped(k.read(nil, open))
}

// dumped names what failed.
func dumped(t ipvs.Table, s ipvs.Stats, err error) (ipvs.Table, ipvs.Stats, error) {
	if err != nil {
		return nil, nil, fmt.Errorf("ipvs: dump: %w", err)
	}
	return t, s, nil
}

// Zero sets the counters of a service and its real servers to zero; those of all, and
// the totals of the namespace, when key is the zero ServiceKey. The kernel answers
// ESRCH when there is no such service.
func (k *Kernel) Zero(key ipvs.ServiceKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var name func([]byte) []byte
	what := "all services"
	if key != (ipvs.ServiceKey{}) {
		what = key.String()
		name = func(b []byte) []byte {
			b, nest := appendNest(b, attrService)
			b = appendKey(b, key)
			endNest(b, nest)
			return b
		}
	}
	err := k.conn.call(cmdZero, unix.NLM_F_ACK, name, func(message) error { return nil })
	if err != nil {
		return fmt.Errorf("ipvs: zero the counters of %s: %w", what, err)
	}
	return nil
}

// Connections gives each connection that the namespace remembers to each, until that
// returns false. While they are read others come and go.
func (k *Kernel) Connections(each func(ipvs.Connection) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tables.conns == nil {
		return errors.New("ipvs: read the connections: the kernel does not list them (/proc/net/ip_vs_conn)")
	}
	var bad error
	err := eachLine(k.tables.conns, func(line []byte) bool {
		c, ok, err := ipvs.ParseConnection(string(line))
		bad = err
		return err == nil && (!ok || each(c))
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return fmt.Errorf("ipvs: read the connections: %w", err)
	}
	return nil
}
