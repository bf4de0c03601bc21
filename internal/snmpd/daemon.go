// Package snmpd is the read-only face of director to network management: an AgentX
// subagent (RFC 2741) that answers the host's SNMP agent for the objects of
// KEEPALIVED-MIB and of the standard MIBs of VRRP. It runs in a process without any right that is told the
// configuration and the state by the parent, which has also opened its connection; it
// can say nothing to the parent but why it ends.
package snmpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"

	"director/config"
	"director/internal/agentx"
	"director/internal/watchdog"
)

// Daemon is the SNMP process' work.
type Daemon struct {
	log      *slog.Logger
	settings config.SNMPAgent
	view     atomic.Pointer[agentx.View]
	blind    bool // the interfaces cannot be listed, which was logged
}

// New returns a daemon that answers nothing yet.
func New(log *slog.Logger, settings config.SNMPAgent) *Daemon {
	return &Daemon{log: log, settings: settings}
}

// Feed is where the state comes from. *watchdog.Feed is one.
type Feed interface {
	// Next waits for what is told next; io.EOF: nothing comes any more.
	Next() (watchdog.News, error)
}

// Run answers on conn, which it owns, until the feed ends, the connection is of no use
// any more (a watchdog.Departure) or ctx is done.
func (d *Daemon) Run(ctx context.Context, feed Feed, conn net.Conn) error {
	s := state{refresh: d.settings.UpdateInterval.D()}
	for d.view.Load() == nil { // without a state there is nothing to register
		n, err := feed.Next()
		if errors.Is(err, io.EOF) {
			return conn.Close()
		}
		if err == nil {
			err = d.take(&s, n)
		}
		if err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	failed := make(chan error, 2)
	go func() {
		for {
			n, err := feed.Next()
			if err == nil {
				err = d.take(&s, n)
			}
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	session := newSession(conn, d.settings, d.view.Load)
	go func() { failed <- session.run() }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	session.leave()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// take makes what was told what is answered.
func (d *Daemon) take(s *state, n watchdog.News) error {
	if n.Config != nil {
		s.config = n.Config.Config
	}
	if n.Status == nil || s.config == nil {
		return nil
	}
	s.status = n.Status
	links, err := net.Interfaces()
	if (err != nil) != d.blind {
		// Rows that need the number of an interface are left out, nothing else.
		d.blind = err != nil
		d.log.Warn("listing the interfaces", "works", err == nil, "reason", err)
	}
	s.links = make(map[string]link, len(links))
	for _, l := range links {
		s.links[l.Name] = link{l.Index, string(l.HardwareAddr)}
	}
	v, err := agentx.NewView(s.objects(&d.settings))
	if err != nil {
		return fmt.Errorf("snmpd: %w", err)
	}
	d.view.Store(v)
	return nil
}
