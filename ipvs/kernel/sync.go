package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"director/ipvs"
)

// SyncDaemons returns the connection-sync daemons that run in the namespace,
// whoever started them, in canonical form.
func (k *Kernel) SyncDaemons() ([]ipvs.SyncDaemon, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []ipvs.SyncDaemon
	err := k.conn.call(cmdGetDaemon, unix.NLM_F_DUMP, nil, func(m message) error {
		d, err := decodeDaemon(m)
		list = append(list, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ipvs: read the sync daemons: %w", err)
	}
	return list, nil
}

// ApplySync starts or stops a sync daemon. The kernel answers ENODEV when there is no
// such interface, EEXIST when one of the role runs, ESRCH when none does, and EINVAL
// while a real server of the table is of another address family than its service.
func (k *Kernel) ApplySync(op ipvs.SyncOp) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	verb, err := "stop", error(nil)
	if op.Start {
		if verb, err = "start", op.Daemon.Valid(); err == nil {
			err = k.conn.call(cmdNewDaemon, unix.NLM_F_ACK, func(b []byte) []byte { return appendDaemon(b, op) }, func(message) error { return nil })
		}
	} else {
		err = k.conn.stopDaemon(op)
	}
	if err != nil {
		return fmt.Errorf("ipvs: %s the sync daemon %v: %w", verb, op.Daemon.Role, err)
	}
	return nil
}

// stopDaemon sends a stop, and after it a question that is always answered. A daemon
// that is stopped before its thread ran for the first time makes the kernel's handler
// return EINTR, and to that netlink gives no answer; the daemon is stopped all the same.
func (c *conn) stopDaemon(op ipvs.SyncOp) error {
	first := c.seq + 1
	c.seq += 2
	c.out = appendMessage(c.out[:0], c.family, unix.NLM_F_REQUEST|unix.NLM_F_ACK, first, cmdDelDaemon)
	c.out = appendDaemon(c.out, op)
	endMessage(c.out, 0)
	start := len(c.out)
	c.out = appendMessage(c.out, c.family, unix.NLM_F_REQUEST|unix.NLM_F_ACK, first+1, cmdGetInfo)
	endMessage(c.out, start)
	var failed error
	err := c.exchange(first, 2, func(i uint32, m message) error {
		if i != 0 || m.typ != unix.NLMSG_ERROR {
			return nil
		}
		errno, err := m.errno()
		if err == nil && errno != 0 {
			failed = errno
		}
		return err
	})
	if err == nil {
		err = failed
	}
	return err
}

func appendDaemon(b []byte, op ipvs.SyncOp) []byte {
	d := op.Daemon
	b, nest := appendNest(b, attrDaemon)
	b = appendU32(b, daemonState, uint32(d.Role))
	b = appendU32(b, daemonID, uint32(d.ID))
	if op.Start {
		b = appendAttr(b, daemonInterface, append([]byte(d.Interface), 0)...)
		c := d.Canonical()
		if c.Group.Is4() {
			b = appendAddr(b, daemonGroup, c.Group)
		} else {
			b = appendAddr(b, daemonGroup6, c.Group)
		}
		b = appendU16(b, daemonPort, c.Port)
		b = appendAttr(b, daemonTTL, c.TTL)
		if c.MaxLen != 0 {
			b = appendU16(b, daemonMaxLen, c.MaxLen)
		}
	}
	endNest(b, nest)
	return b
}

// decodeDaemon reads one daemon of a dump. Kernels before 4.3 tell neither group, port,
// ttl nor length: they have the defaults.
func decodeDaemon(m message) (d ipvs.SyncDaemon, err error) {
	body, err := m.nest(attrDaemon)
	if err != nil {
		return d, err
	}
	a := attributes{rest: body}
	for a.next() {
		switch a.typ {
		case daemonState:
			d.Role = ipvs.SyncRole(a.uint())
		case daemonInterface:
			d.Interface = a.string()
		case daemonID:
			d.ID = uint8(a.uint())
		case daemonMaxLen:
			d.MaxLen = uint16(a.uint())
		case daemonGroup:
			d.Group, err = decodeAddr(ipvs.IPv4, a.value)
		case daemonGroup6:
			d.Group, err = decodeAddr(ipvs.IPv6, a.value)
		case daemonPort:
			d.Port = uint16(a.uint())
		case daemonTTL:
			d.TTL = uint8(a.uint())
		}
		if err != nil {
			return d, err
		}
	}
	return d.Canonical(), a.err
}

// tables are the namespace's files below /proc that are read for SyncStats and
// Connections. An open one stays with its namespace. A file that the kernel does not have is nil.
type tables struct{ conns, connsSync, udp, udp6 *os.File }

// openTables opens the files in the calling thread's network namespace.
func openTables() tables {
	open := func(name string) *os.File {
		f, err := os.Open("/proc/thread-self/net/" + name)
		if err != nil {
			return nil
		}
		return f
	}
	return tables{open("ip_vs_conn"), open("ip_vs_conn_sync"), open("udp"), open("udp6")}
}

func (t tables) close() {
	for _, f := range []*os.File{t.conns, t.connsSync, t.udp, t.udp6} {
		if f != nil {
			f.Close()
		}
	}
}

// mostConns bounds the connections that SyncStats counts: a table of a million takes
// the kernel a second to write.
const mostConns = 50_000

// SyncStats returns how sync fares: of which connections it has told, as far as the
// first 50,000 show it, and what the backup's socket dropped.
func (k *Kernel) SyncStats(backup ipvs.SyncDaemon) (ipvs.SyncStats, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var s ipvs.SyncStats
	seen := uint64(0)
	err := eachLine(k.tables.connsSync, func(line []byte) bool {
		switch {
		case bytes.Contains(line, []byte(" SYNC ")):
			s.Learned++
		case bytes.Contains(line, []byte(" LOCAL ")):
			s.Own++
		default:
			return true // the heading
		}
		seen++
		s.Partial = seen >= mostConns
		return !s.Partial
	})
	if err == nil {
		c := backup.Canonical()
		file := k.tables.udp
		if c.Group.Is6() {
			file = k.tables.udp6
		}
		err = eachLine(file, func(line []byte) bool {
			if queued, dropped, ok := udpSocket(line, c.Group, c.Port); ok {
				s.Queued += queued
				s.Dropped += dropped
			}
			return true
		})
	}
	if err != nil {
		return s, fmt.Errorf("ipvs: read how sync fares: %w", err)
	}
	return s, nil
}

// udpSocket reads a line of /proc/net/udp of a socket that receives from a group: how
// many bytes wait and how many messages were dropped.
func udpSocket(line []byte, group netip.Addr, port uint16) (queued, dropped uint64, ok bool) {
	f := bytes.Fields(line)
	if len(f) < 13 {
		return 0, 0, false
	}
	addr, hexPort, found := bytes.Cut(f[1], []byte(":"))
	n, err := strconv.ParseUint(string(hexPort), 16, 16)
	if !found || err != nil || uint16(n) != port || !bytes.EqualFold(addr, procAddr(group)) {
		return 0, 0, false
	}
	_, rx, _ := bytes.Cut(f[4], []byte(":"))
	queued, err = strconv.ParseUint(string(rx), 16, 64)
	if err != nil {
		return 0, 0, false
	}
	dropped, err = strconv.ParseUint(string(f[12]), 10, 64)
	return queued, dropped, err == nil
}

// procAddr writes an address as /proc/net/udp does: words of four bytes, each in the
// order of the machine.
func procAddr(a netip.Addr) []byte {
	var out []byte
	b := a.AsSlice()
	for i := 0; i < len(b); i += 4 {
		out = fmt.Appendf(out, "%08X", native.Uint32(b[i:]))
	}
	return out
}

// eachLine gives the lines of a file to each, from the first, until that returns false.
// A nil file has none.
func eachLine(f *os.File, each func([]byte) bool) error {
	if f == nil {
		return nil
	}
	buf := make([]byte, 0, 64<<10)
	for offset := int64(0); ; {
		n, err := f.ReadAt(buf[len(buf):cap(buf)], offset)
		offset += int64(n)
		buf = buf[:len(buf)+n]
		for {
			line, rest, found := bytes.Cut(buf, []byte("\n"))
			if !found {
				break
			}
			if !each(line) {
				return nil
			}
			buf = rest
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(buf) == cap(buf) {
			return errMalformed
		}
		buf = append(make([]byte, 0, 64<<10), buf...)
	}
}
