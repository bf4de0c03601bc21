package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"director/config"
	"director/internal/checkd"
	"director/internal/logging"
	"director/internal/snmpd"
	"director/internal/vrrpd"
	"director/internal/watchdog"
	"director/internal/webd"
)

// Environment variables by which the parent tells its children what its command
// line said.
const (
	envLogLevel   = "DIRECTOR_LOG_LEVEL"
	envLogFormat  = "DIRECTOR_LOG_FORMAT"
	envRuntimeDir = "DIRECTOR_RUNTIME_DIR"
)

// logFlush is how long the end of a process waits for its last log lines.
const logFlush = time.Second

func newRun(o *options) *cobra.Command {
	var level, format string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "run the daemon in the foreground",
		Long: `Run the daemon in the foreground, as a service manager wants it.

SIGHUP reads the configuration again; an invalid one changes nothing. SIGTERM and
SIGINT stop: the virtual addresses go to the peer first, then the IPVS
table is emptied. A second one of them leaves the children one second.`,
		Example: "  director run -c /etc/director/director.toml\n  director run -c ./lab.toml --runtime-dir /tmp/lab --log-level debug",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o, level, format)
		},
	}
	configFlag(cmd, o)
	cmd.Flags().StringVar(&level, "log-level", "", "debug, info, warn or error; wins over the configuration")
	cmd.Flags().StringVar(&format, "log-format", "", "text or json; wins over the configuration")
	return cmd
}

func run(ctx context.Context, o *options, level, format string) error {
	if os.Getpid() == 1 {
		return asInit()
	}
	l, err := newLog(level, format)
	if err != nil {
		return &usageError{err}
	}
	defer l.flush()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	watchdog.SurviveLostLog()
	if ctx == nil {
		ctx = context.Background()
	}
	path, err := filepath.Abs(o.configPath)
	if err != nil {
		return &failure{exitFailure, fmt.Errorf("configuration: %w", err)}
	}
	dir, err := filepath.Abs(o.runtimeDir)
	if err != nil {
		return &failure{exitFailure, fmt.Errorf("runtime directory: %w", err)}
	}
	if err := enterNamespace(path); err != nil {
		return err
	}
	return watchdog.Run(ctx, watchdog.Options{
		ConfigPath: path,
		RuntimeDir: dir,
		StateDir:   stateDir(),
		ChildEnv:   []string{envRuntimeDir + "=" + dir, envLogLevel + "=" + level, envLogFormat + "=" + format},
		Version:    versionText(),
		Parse:      parse,
		Find:       positions,
		Leftovers:  leftovers(dir),
		Foresee:    foresee(dir),
		CheckWeb:   webd.Check,
		Diagnose:   func(ctx context.Context) ([]string, error) { return brokenHere(ctx, path, dir) },
		Log:        l.log,
		Configured: l.configured, LogLevel: level, OverrideLog: l.settings.Override,
		Signals: signals,
	})
}

// stateDir is the folder that systemd keeps for the service over a restart of the host
// (StateDirectory=), empty without.
func stateDir() string {
	first, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	return first
}

// processLog is the log of this process, on standard error or in the journal.
type processLog struct {
	log      *slog.Logger
	settings *logging.Settings
	flush    func() // writes what is queued
	// What the command line says wins over the configuration.
	level, format string
}

func newLog(level, format string) (*processLog, error) {
	l := &processLog{settings: &logging.Settings{}, level: level, format: format}
	if err := l.settings.Set(level, format); err != nil {
		return nil, err
	}
	log, flush := logging.Open(os.Stderr, os.Getenv("JOURNAL_STREAM"), l.settings)
	l.log, l.flush = log, func() { flush(logFlush) }
	return l, nil
}

// configured makes the log obey a configuration where the command line is silent.
func (l *processLog) configured(c *config.Config) { l.obey(c.Global.LogLevel, c.Global.LogFormat) }

func (l *processLog) obey(level, format string) {
	if l.level != "" {
		level = ""
	}
	if l.format != "" {
		format = ""
	}
	if err := l.settings.Set(level, format); err != nil {
		l.log.Warn("log settings", "reason", err)
	}
}

// newChild is the hidden command by which a child can be named on a command
// line; the parent starts children by their argument vector instead.
func newChild() *cobra.Command {
	return &cobra.Command{
		Use:    "child vrrp|checkers",
		Short:  "a child process; started by the daemon itself",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				if _, ok := watchdog.RoleOf([]string{watchdog.Role(args[0]).Title()}); ok {
					return nil
				}
			}
			return &usageError{fmt.Errorf("child needs one role, vrrp or checkers")}
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if status := runChild(watchdog.Role(args[0])); status != exitOK {
				return &failure{status: status}
			}
			return nil
		},
	}
}

// runChild is the life of a child process. It returns the exit status.
func runChild(role watchdog.Role) int {
	l, err := newLog(os.Getenv(envLogLevel), os.Getenv(envLogFormat))
	if err != nil {
		fmt.Fprintln(os.Stderr, "director:", err)
		return exitFailure
	}
	defer l.flush()
	log := l.log.With("process", string(role))
	observers := map[watchdog.Role]watchdog.Work{watchdog.RoleWeb: serveWeb(log), watchdog.RoleSNMP: serveSNMP(log)}
	if work, ok := observers[role]; ok {
		return watchdog.RunObserver(role, log, func(s *watchdog.Settings) { l.obey(s.LogLevel, s.LogFormat) }, l.settings.Override, work)
	}
	daemon := func(ctx context.Context, ch *watchdog.Channel) error {
		// On few CPUs the loop would wait until the collector or another goroutine
		// lets go of the runtime, real-time priority or not.
		runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
		return vrrpd.New(log, os.Getenv(envRuntimeDir)).Run(ctx, ch)
	}
	if role == watchdog.RoleCheckers {
		daemon = func(ctx context.Context, ch *watchdog.Channel) error {
			return checkd.New(log, checkd.Options{RuntimeDir: os.Getenv(envRuntimeDir), StateDir: stateDir()}).Run(ctx, ch)
		}
	}
	return watchdog.RunChild(role, log, l.flush, daemon, func(c *watchdog.Configure) { l.configured(c.Config) }, l.settings.Override)
}

// serveWeb is the work of the web process.
func serveWeb(log *slog.Logger) watchdog.Work {
	return func(ctx context.Context, s *watchdog.Settings, feed *watchdog.Feed, sockets []*os.File) error {
		listeners, err := watchdog.Listeners(sockets)
		if err != nil {
			return err
		}
		d, err := webd.New(log, *s.Web, prometheus.NewRegistry())
		if err != nil {
			return err
		}
		return d.Run(ctx, feed, listeners)
	}
}

// serveSNMP is the work of the SNMP process.
func serveSNMP(log *slog.Logger) watchdog.Work {
	return func(ctx context.Context, s *watchdog.Settings, feed *watchdog.Feed, sockets []*os.File) error {
		conn, err := net.FileConn(sockets[0])
		if err != nil {
			return err
		}
		sockets[0].Close()
		return snmpd.New(log, *s.SNMP).Run(ctx, feed, conn)
	}
}
