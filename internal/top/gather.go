package top

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"director/internal/control"
	"director/ipvs"
	"director/ipvs/kernel"
)

// askTimeout is how long the daemon may take to answer.
const askTimeout = 2 * time.Second

// namespaceDir is where `ip netns` keeps its namespaces.
const namespaceDir = "/run/netns/"

// Live is the source of a running daemon and the kernel.
type Live struct {
	// Socket is the daemon's control socket.
	Socket string
	// Namespace is the network namespace whose IPVS is read, as `ip netns` names it;
	// empty: the one that the daemon uses, and this process's own while none runs.
	Namespace string

	client    *control.Client
	view      *control.Overview
	lostSince time.Time
	kernel    *kernel.Kernel
	opened    string // where it was opened
}

// Close ends its connections.
func (l *Live) Close() {
	l.hangUp()
	if l.kernel != nil {
		l.kernel.Close()
		l.kernel = nil
	}
}

func (l *Live) hangUp() {
	if l.client != nil {
		l.client.Close()
		l.client = nil
	}
}

// Sample implements Source.
func (l *Live) Sample(w Want) Sample {
	s := Sample{Want: w}
	if s.Lost = l.ask(w); s.Lost != nil {
		l.hangUp()
		if l.lostSince.IsZero() {
			l.lostSince = time.Now()
		}
		s.LostSince = l.lostSince
	} else {
		l.lostSince = time.Time{}
	}
	s.View = l.view
	s.Table, s.Stats, s.Kernel = l.read(w)
	s.At = time.Now()
	return s
}

// ask asks the daemon, on the connection of the last time.
func (l *Live) ask(w Want) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), askTimeout, fmt.Errorf("no answer within %v", askTimeout))
	defer cancel()
	if l.client == nil {
		c, err := control.Dial(ctx, l.Socket)
		if err != nil {
			return err
		}
		l.client = c
	}
	view, err := l.client.Overview(ctx, control.OverviewQuery{Services: w.Open})
	if err == nil {
		l.view = view
	}
	return err
}

// read reads the kernel.
func (l *Live) read(w Want) (ipvs.Table, ipvs.Stats, error) {
	if at := l.where(); l.kernel != nil && at != l.opened {
		l.kernel.Close()
		l.kernel = nil
	}
	if l.kernel == nil {
		if l.unused() {
			return nil, nil, nil
		}
		if err := l.open(); err != nil {
			return nil, nil, err
		}
	}
	wanted := l.keys(w.Read)
	t, s, err := l.kernel.Glance(func(k ipvs.ServiceKey) bool { return w.All || wanted[k.String()] })
	if err != nil {
		l.kernel.Close()
		l.kernel = nil
	}
	return t, s, err
}

// keys are the kernel's services of virtual servers, as text.
func (l *Live) keys(names []string) map[string]bool {
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true // a stranger's goes by its address
	}
	if l.view == nil {
		return wanted
	}
	for i := range l.view.Services {
		v := &l.view.Services[i]
		if slices.Contains(names, v.Name) {
			for _, a := range v.Addresses {
				wanted[a] = true
			}
		}
	}
	return wanted
}

// where is the file of the network namespace whose IPVS is meant; empty: the own one.
func (l *Live) where() string {
	switch {
	case l.Namespace != "":
		return namespaceDir + l.Namespace
	case l.view == nil:
		return ""
	case l.view.IPVSNamespace != "":
		return namespaceDir + l.view.IPVSNamespace
	}
	for _, p := range l.view.Processes {
		if p.Role == "parent" && p.PID != 0 {
			return fmt.Sprintf("/proc/%d/ns/net", p.PID)
		}
	}
	return ""
}

func (l *Live) open() error {
	l.opened = l.where()
	var err error
	if l.opened != "" {
		if l.kernel, err = kernel.OpenNamespace(l.opened); err == nil || l.Namespace != "" || l.view.IPVSNamespace != "" {
			return err
		}
		// The daemon may be of another PID namespace: then the own one is likely its own.
	}
	l.kernel, err = kernel.Open()
	return err
}

// unused says that nobody uses IPVS here: asking for it would load it.
func (l *Live) unused() bool {
	if l.view == nil || len(l.view.Services) > 0 || l.Namespace != "" {
		return false
	}
	_, err := os.Stat("/proc/net/ip_vs")
	return err != nil
}
