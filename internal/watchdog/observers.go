package watchdog

import (
	"os"
	"time"

	"director/config"
)

// Settings are what an observer process needs of the configuration: those of its own
// table, which is the one that is not nil, and how to log.
type Settings struct {
	Web       *config.Web       `json:",omitempty"`
	SNMP      *config.SNMPAgent `json:",omitempty"`
	LogLevel  string
	LogFormat string
}

// terms are what every observer process has of its settings.
type terms struct {
	user     string        // that it runs as
	interval time.Duration // at which it is told the state when nothing happens
	patience time.Duration // the longest time between two attempts to start it
	sockets  []string      // that the parent opens for it, in the order of its descriptors
	files    int           // that it may open beside a few
}

// observerKind is in what observer processes differ.
type observerKind struct {
	role Role
	// settings returns what a configuration says of it; nil: there is to be none.
	settings func(*config.Config) *Settings
	terms    func(*Settings) terms
	check    func(*Settings) error // why it cannot do its work on this host; may be nil
	// open opens a socket, which may take a while, and close undoes that.
	open  func(s *Settings, name string) (*os.File, error)
	close func(name string, f *os.File)
	// keep says that its sockets outlive a process: the next one gets the same.
	keep bool
	// configured and events say that it is told the configuration, without secrets,
	// and the events beside the state.
	configured, events bool
}

// name is what the log calls it.
func (k *observerKind) name() string { return string(k.role) + " process" }

// observerKinds lists them, in the order of status.
func observerKinds(o Options) []observerKind {
	web := observerKind{
		role: RoleWeb, keep: true, events: true,
		settings: func(c *config.Config) *Settings {
			if c.Web == nil {
				return nil
			}
			w := *c.Web
			return &Settings{Web: &w}
		},
		terms: func(s *Settings) terms {
			w := s.Web
			return terms{user: w.User, interval: w.UpdateInterval.D(), patience: maxBackoff, sockets: w.Listen, files: w.MaxConnections}
		},
		open:  func(_ *Settings, address string) (*os.File, error) { return listen(address) },
		close: closeListener,
	}
	if o.CheckWeb != nil {
		web.check = func(s *Settings) error { return o.CheckWeb(*s.Web) }
	}
	snmp := observerKind{
		role: RoleSNMP, configured: true,
		settings: func(c *config.Config) *Settings {
			if c.SNMP == nil {
				return nil
			}
			a := *c.SNMP
			return &Settings{SNMP: &a}
		},
		terms: func(s *Settings) terms {
			a := s.SNMP
			return terms{user: a.User, interval: a.UpdateInterval.D(), patience: a.RetryInterval.D(), sockets: []string{a.Socket}}
		},
		open:  func(s *Settings, address string) (*os.File, error) { return connect(address, s.SNMP.Timeout.D()) },
		close: func(_ string, f *os.File) { f.Close() },
	}
	return []observerKind{web, snmp}
}
