package watchdog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"director/config"
	"director/internal/configfile"
	"director/internal/control"
	"director/internal/notify"
	"director/internal/script"
	"director/internal/secret"
)

// Options are what the parent is started with.
type Options struct {
	ConfigPath string
	// RuntimeDir holds the locks and the control socket; it is created when it
	// is missing. Default /run/director.
	RuntimeDir string
	// StateDir keeps what operators have ordered for virtual routers over a restart of
	// the host. Default: RuntimeDir.
	StateDir string
	// SocketPath is the control socket's. Default director.sock in RuntimeDir.
	SocketPath string
	// Executable is what children run. Default /proc/self/exe, which stays the
	// parent's own program when its file is replaced.
	Executable string
	// ChildEnv is added to the children's environment, NAME=value each.
	ChildEnv []string
	// Version is told to clients and in status.
	Version string
	// Parse turns the text of the configuration file into a configuration. Its
	// error should be config.Errors. Default: config.ParseWithWarnings.
	Parse func(name string, text []byte) (*config.Config, []config.Warning, error)
	// Find returns what finds the keys of the same text. Default: config.Positions.
	Find func(name string, text []byte) config.Finder
	// Foresee works out what a child would do that does not run, when it was started with
	// a configuration.
	Foresee func(Role, *config.Config) (*control.Changes, error)
	// CheckWeb tells why the web process cannot serve as configured on this host; nil
	// means that it can.
	CheckWeb func(config.Web) error
	// Diagnose lists what director doctor finds broken on this host, for [readiness];
	// nil: it is not asked.
	Diagnose func(context.Context) ([]string, error)
	// Log gets one line for each change of state.
	Log *slog.Logger
	// Leftovers reports whether a child must run although the configuration has
	// nothing for it, to take away what a former run left; nil means never.
	Leftovers func(Role) bool
	// LogLevel is the log level of the command line, which wins over the configuration;
	// empty: none. OverrideLog puts another in its place, until it gets an empty word.
	LogLevel    string
	OverrideLog func(level string) error
	// Configured is called with each configuration that comes into force, nil allowed.
	Configured func(*config.Config)
	// Signals carries SIGHUP (reload), SIGTERM and SIGINT (stop).
	Signals <-chan os.Signal
	// Stdout and Stderr are handed to the children. Defaults: the parent's own.
	Stdout, Stderr *os.File

	ackTimeout, readTimeout, inquiryTimeout, feedPatience, leastConfirm, undoRetry time.Duration // tests change them
}

// DefaultRuntimeDir is the runtime directory when none is named.
const DefaultRuntimeDir = "/run/director"

// SocketPath returns the control socket's path in a runtime directory.
func SocketPath(runtimeDir string) string { return filepath.Join(runtimeDir, "director.sock") }

// FinalError says that a child met something that starting again cannot help,
// and that the daemon has stopped for it.
type FinalError struct {
	Role   Role
	Reason string
}

func (e *FinalError) Error() string { return fmt.Sprintf("%s: %s", e.Role.Title(), e.Reason) }

// predecessorPatience is how long a start waits for children of a killed parent.
const predecessorPatience = 15 * time.Second

// phase is where the daemon is in its life.
type phase uint8

const (
	starting phase = iota
	running
	stopping
	ended
)

// parent is the state of the parent process. One goroutine, the loop, owns it:
// everything below is read and written by functions that the loop calls.
// Other goroutines hand it functions through post.
type parent struct {
	o   Options
	log *slog.Logger

	work chan func()
	over chan struct{} // closed when the loop has ended

	phase      phase
	hurry      bool  // a second request to stop came
	closing    bool  // the children are gone, the last notifications run
	err        error // what Run returns
	force      *generation
	number     uint64 // of the newest generation ever made
	transition *transition
	reloads    reloads
	children   map[Role]*child
	spawner    *spawner
	memory     *memory
	own        scheduling // of this process, which children inherit
	dir        *runDir
	started    time.Time

	notifier  *notify.Notifier
	manager   *serviceManager
	events    *journal
	waiting   map[*eventWait]bool
	scripts   scripts
	fences    map[string]bool // whose fencing command runs, by instance
	inquiries map[uint64]*inquiry
	inquiry   uint64
	plans     map[uint64]*planning
	planned   uint64 // of the newest plan
	trial     *trial // nil: none
	orders    map[uint64]*openOrder
	roles     map[string]string           // the newest states of the VRRP instances, by name
	roleAsks  []roleAsk                   // open, the oldest first
	standing  map[string]control.Override // of virtual routers, by instance
	expiry    *time.Timer                 // of the one that ends first
	lastOrder uint64
	logOrders map[Role]*logOrder
	file      fileStamp // the configured file, as it was when it was put in force
	ready     readyState
	observers []*observer
}

// Run is the parent process. It returns when the daemon has stopped: nil after a
// stop that was asked for (by ctx, signal or control socket), a *FinalError when
// a child cannot do its work, config.Errors when the configuration is
// invalid at the start.
func Run(ctx context.Context, o Options) error {
	o.fill()
	// Whatever the starter left open must not reach children and scripts.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("watchdog: mark inherited files: %w", err)
	}
	cfg, warnings, err := load(o)
	if err != nil {
		return err
	}
	dir, err := lockRunDir(o.RuntimeDir, predecessorPatience, func(msg string) { o.Log.Info(msg) })
	if err != nil {
		return err
	}
	defer dir.release()
	p := newParent(o, dir, &generation{number: 1, config: cfg})
	defer p.spawner.close()
	defer p.events.close()
	if p.manager, err = newServiceManager(os.Getenv); err != nil {
		p.log.Warn("the service manager cannot be told", "reason", err)
	}
	defer p.manager.close()
	server, err := control.Listen(o.SocketPath, o.Version, handler{p}, p.log)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()

	p.recallOrders()
	p.start(warnings)
	err = p.loop(ctx)
	p.closeReadiness()
	for _, ob := range p.observers {
		ob.close()
	}

	// A client that waits for the end of a stop sees its connection close: by
	// then the next director must be able to start.
	dir.release()
	if closeErr := server.Close(); closeErr != nil {
		p.log.Warn("control socket", "reason", closeErr)
	}
	return errors.Join(err, <-served)
}

func (o *Options) fill() {
	if o.RuntimeDir == "" {
		o.RuntimeDir = DefaultRuntimeDir
	}
	if o.SocketPath == "" {
		o.SocketPath = SocketPath(o.RuntimeDir)
	}
	if o.StateDir == "" {
		o.StateDir = o.RuntimeDir
	}
	if o.Executable == "" {
		o.Executable = "/proc/self/exe"
	}
	if o.Parse == nil {
		o.Parse = config.ParseWithWarnings
	}
	if o.Find == nil {
		o.Find = config.Positions
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.leastConfirm == 0 {
		o.leastConfirm = control.MinConfirm
	}
	if o.undoRetry == 0 {
		o.undoRetry = undoRetry
	}
	if o.ackTimeout == 0 {
		o.ackTimeout = ackTimeout
	}
	if o.readTimeout == 0 {
		o.readTimeout = readTimeout
	}
	if o.inquiryTimeout == 0 {
		o.inquiryTimeout = inquiryTimeout
	}
	if o.feedPatience == 0 {
		o.feedPatience = feedPatience
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
}

func newParent(o Options, dir *runDir, first *generation) *parent {
	p := &parent{
		o: o, log: o.Log, dir: dir,
		work: make(chan func(), 64), over: make(chan struct{}),
		force: first, number: first.number, started: time.Now(),
		children: make(map[Role]*child), spawner: newSpawner(),
		notifier:  notify.New(script.Run, o.Log),
		scripts:   newScripts(),
		fences:    make(map[string]bool),
		inquiries: make(map[uint64]*inquiry),
		plans:     make(map[uint64]*planning),
		orders:    make(map[uint64]*openOrder),
		logOrders: make(map[Role]*logOrder),
		events:    openJournal(dir.path, o.Log),
		waiting:   make(map[*eventWait]bool),
		memory:    newMemory(o.Log),
	}
	for _, r := range startOrder {
		p.children[r] = &child{role: r}
	}
	for _, k := range observerKinds(o) {
		p.observers = append(p.observers, newObserver(p, k))
	}
	var err error
	if p.own, err = schedulingOf(0); err != nil {
		p.log.Warn("cannot tell how this process is scheduled", "reason", err)
	}
	return p
}

// load reads the configuration file.
func load(o Options) (*config.Config, []config.Warning, error) {
	text, err := configfile.Read(o.ConfigPath)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	return loadText(o, text)
}

// loadText makes a configuration of the text of the configuration file. Of many errors
// and warnings it returns the first.
func loadText(o Options, text []byte) (*config.Config, []config.Warning, error) {
	cfg, warnings, err := examine(o, text)
	return cfg, briefly(warnings), brief(err)
}

func examine(o Options, text []byte) (*config.Config, []config.Warning, error) {
	cfg, warnings, err := o.Parse(o.ConfigPath, text)
	if err != nil {
		return nil, warnings, err
	}
	find := o.Find(o.ConfigPath, text)
	if err := config.FillSecrets(find, cfg, secret.Read); err != nil {
		return nil, warnings, err
	}
	if cfg, err = WithScriptUser(cfg); err != nil {
		return nil, warnings, err
	}
	more, err := CheckScripts(find, cfg)
	warnings = append(warnings, more...)
	if err != nil {
		return nil, warnings, err
	}
	if cfg.Web != nil && o.CheckWeb != nil {
		// It keeps the web process away and nothing else.
		if err := o.CheckWeb(*cfg.Web); err != nil {
			at := find("web")
			warnings = append(warnings, config.Warning{File: at.File, Line: at.Line, Col: at.Col, Key: "web", Msg: err.Error()})
		}
	}
	if cfg.Global.RouterID == "" {
		named := *cfg
		if named.Global.RouterID, err = os.Hostname(); err != nil {
			return nil, warnings, fmt.Errorf("router_id: no host name: %w", err)
		}
		cfg = &named
	}
	return cfg, warnings, nil
}

// start begins the first transition: from nothing to the first generation.
func (p *parent) start(warnings []config.Warning) {
	p.log.Info("director starts", "version", p.o.Version, "pid", os.Getpid(), "config", p.o.ConfigPath)
	p.warn(warnings)
	p.force.since = time.Now()
	p.inForce()
	if p.manager.watchdog > 0 {
		p.aliveToManager()
	}
	p.notifier.Apply(p.force.number, p.force.config)
	p.recallTrial()
	p.transition = &transition{to: p.force}
	p.advance()
}

// aliveToManager tells the service manager that the loop works, twice as often
// as it wants to know.
func (p *parent) aliveToManager() {
	p.tell(p.manager.send("WATCHDOG=1"))
	p.after(p.manager.watchdog/2, p.aliveToManager)
}

// tell logs a failure to speak to the service manager.
func (p *parent) tell(err error) {
	if err != nil {
		p.log.Warn("the service manager cannot be told", "reason", err)
	}
}

func (p *parent) warn(warnings []config.Warning) {
	for _, w := range warnings {
		p.log.Warn("configuration", "reason", bounded(w.String()))
	}
}

// inForce makes the process itself obey the configuration in force.
func (p *parent) inForce() {
	if p.trial == nil && !p.force.back { // what is on trial is another file
		p.file = stampOf(p.o.ConfigPath)
	}
	p.memory.configured(false)
	if p.o.Configured != nil {
		p.o.Configured(p.force.config)
	}
	for _, ob := range p.observers {
		ob.apply()
	}
	p.applyReadiness()
}

// loop runs what others post, until the daemon has stopped.
func (p *parent) loop(ctx context.Context) error {
	defer close(p.over)
	cancelled := ctx.Done()
	for p.phase != ended {
		if len(p.work) == 0 {
			p.events.flush()
		}
		select {
		case f := <-p.work:
			f()
		case s := <-p.o.Signals:
			p.signal(s)
		case <-cancelled:
			cancelled = nil
			p.stop("asked to")
		}
	}
	return p.err
}

func (p *parent) signal(s os.Signal) {
	switch s {
	case syscall.SIGHUP:
		p.reload(nil)
	case syscall.SIGTERM, syscall.SIGINT:
		name := "SIGTERM"
		if s == syscall.SIGINT {
			name = "SIGINT"
		}
		if p.phase == stopping {
			p.hurryUp(name)
			return
		}
		p.stop(name)
	}
}

// post hands the loop a function. It must not be called by the loop itself.
func (p *parent) post(f func()) {
	select {
	case p.work <- f:
	case <-p.over:
	}
}

// after has the loop run f in a while.
func (p *parent) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { p.post(f) })
}

// monotonic returns CLOCK_MONOTONIC in nanoseconds, which all processes share.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}
