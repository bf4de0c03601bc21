package checkd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"director/checkers/probe"
	"director/config"
	"director/internal/control"
	"director/internal/netlab/labtest"
	"director/internal/watchdog"
	"director/ipvs"
	"director/ipvs/ipvstest"
)

// world is what surrounds a daemon in a test: a parent, a kernel, servers to
// probe, and a runtime directory. It lives in a synctest bubble.
type world struct {
	reasons []string // of the events that were last taken
	t       interface {
		Helper()
		Fatalf(string, ...any)
		Errorf(string, ...any)
	}
	kernel *ipvstest.Kernel
	dir    string
	log    labtest.Buffer
	farm   *farmFake
	open   func(string) (Kernel, error)
	max    int
	ask    func(context.Context, Query, *Plan) probe.Result // default: farm's
	real   bool                                             // outside a bubble, with real probes

	daemon *Daemon
	parent *parent
	cancel context.CancelFunc
	ended  chan error
	gen    uint64
}

func newWorld(t *testing.T, have string) *world {
	return &world{t: t, kernel: ipvstest.New(tableOf(have)), dir: t.TempDir(), farm: newFarm()}
}

// run starts a daemon, as the parent does at the start and after a crash.
func (w *world) run() {
	w.kernel.Reopen()
	open := w.open
	if open == nil {
		open = func(string) (Kernel, error) { return handle{w.kernel}, nil }
	}
	w.parent = &parent{down: make(chan watchdog.Message, 100)}
	ask := w.farm.probe
	if w.ask != nil {
		ask = w.ask
	}
	if w.real {
		ask = nil
	}
	w.daemon = New(slog.New(slog.NewTextHandler(&w.log, nil)), Options{
		RuntimeDir: w.dir, OpenKernel: open, Probe: ask, MaxProbes: w.max,
	})
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.ended = make(chan error, 1)
	go func(d *Daemon, p *parent, ended chan error) { ended <- d.Run(ctx, p) }(w.daemon, w.parent, w.ended)
}

// handle is one way to the kernel, of which there may be several.
type handle struct{ *ipvstest.Kernel }

// Close leaves the other ways open.
func (handle) Close() error { return nil }

// configure sends a generation and waits until everything that happens at once
// has happened.
func (w *world) configure(cfg *config.Config, resume ...*control.Checkers) {
	w.gen++
	c := &watchdog.Configure{Generation: w.gen, Config: cfg}
	if len(resume) > 0 {
		c.Resume = &watchdog.Resume{Snapshot: watchdog.Snapshot{Checkers: resume[0]}}
	}
	w.parent.down <- watchdog.Message{Configure: c}
	if !w.real {
		synctest.Wait()
	}
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// kill ends the daemon the hard way, as far as a goroutine can be killed: it does
// not get to say or do anything.
func (w *world) kill() {
	w.cancel()
	<-w.ended
	w.parent.hangUp()
	synctest.Wait()
}

// stop asks the daemon to stop and returns what Run returned.
func (w *world) stop() error {
	w.parent.down <- watchdog.Message{Stop: &watchdog.Stop{}}
	err := <-w.ended
	w.parent.hangUp()
	w.cancel()
	synctest.Wait()
	return err
}

// inquire returns a fresh snapshot.
func (w *world) inquire() *control.Checkers {
	w.t.Helper()
	w.parent.down <- watchdog.Message{Inquire: &watchdog.Ping{Seq: 42}}
	synctest.Wait()
	asked := func(m watchdog.Message) bool { return m.Snapshot != nil && m.Snapshot.Seq == 42 }
	for _, m := range w.parent.take(asked) {
		return m.Snapshot.Checkers
	}
	w.t.Fatalf("no snapshot came")
	return nil
}

// plan returns what a configuration would do.
func (w *world) plan(cfg *config.Config) *control.Changes {
	w.t.Helper()
	w.parent.down <- watchdog.Message{Plan: &watchdog.Configure{Generation: 77, Config: cfg}}
	synctest.Wait()
	list := w.parent.take(func(m watchdog.Message) bool { return m.Planned != nil })
	if len(list) != 1 || list[0].Planned.Seq != 77 || list[0].Planned.Error != "" {
		w.t.Fatalf("planned %+v", list)
	}
	return list[0].Planned.Changes
}

// table checks the kernel's table, written as "web: a1 b0; dns: c1".
func (w *world) table(want string) {
	w.t.Helper()
	if got := tableText(w.kernel.Table()); got != want {
		w.t.Errorf("table %q, want %q", got, want)
	}
}

// ops checks what the kernel was told since the last time.
func (w *world) ops(want ...string) {
	w.t.Helper()
	got := strings.TrimSpace(w.kernel.Log())
	if text := strings.Join(want, "\n"); got != text {
		w.t.Errorf("operations\n%s\nwant\n%s", got, text)
	}
}

// acks checks which generations were acknowledged since the last time.
func (w *world) acks(want ...uint64) {
	w.t.Helper()
	var got []uint64
	for _, m := range w.parent.take(func(m watchdog.Message) bool { return m.Ack != nil }) {
		got = append(got, m.Ack.Generation)
		if m.Ack.Error != "" {
			w.t.Errorf("generation %d was refused: %s", m.Ack.Generation, m.Ack.Error)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("acknowledged %v, want %v", got, want)
	}
}

// events returns the events since the last time as "web/a unknown>up".
func (w *world) events() string {
	var words []string
	w.reasons = nil
	for _, m := range w.parent.take(func(m watchdog.Message) bool { return m.Event != nil }) {
		words = append(words, fmt.Sprintf("%s %s>%s", m.Event.Subject, m.Event.From, m.Event.To))
		w.reasons = append(w.reasons, m.Event.Reason)
	}
	return strings.Join(words, ", ")
}

// parent is the other end of the daemon's channel.
type parent struct {
	down chan watchdog.Message
	once sync.Once
	mu   sync.Mutex
	got  []watchdog.Message
}

// hangUp closes the channel, as a parent that dies does.
func (p *parent) hangUp() { p.once.Do(func() { close(p.down) }) }

func (p *parent) Send(m watchdog.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, m)
}

func (p *parent) Recv() (watchdog.Message, error) {
	m, ok := <-p.down
	if !ok {
		return m, io.EOF
	}
	return m, nil
}

func (p *parent) Flush(time.Duration) error { return nil }

// take removes the messages that match from what came, and returns them.
func (p *parent) take(match func(watchdog.Message) bool) []watchdog.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	var taken []watchdog.Message
	p.got = slices.DeleteFunc(p.got, func(m watchdog.Message) bool {
		if match(m) {
			taken = append(taken, m)
			return true
		}
		return false
	})
	return taken
}

func whatever(watchdog.Message) bool { return true }

// farmFake are the servers: each is what it is told to be.
type farmFake struct {
	mu      sync.Mutex
	answer  map[string]probe.Result // by server letter; default: up
	delay   map[string]time.Duration
	started map[string][]time.Time // of each query
	running map[Query]int
	overlap bool
	most    int // probes at the same time
	now     int
}

func newFarm() *farmFake {
	return &farmFake{
		answer: map[string]probe.Result{}, delay: map[string]time.Duration{},
		started: map[string][]time.Time{}, running: map[Query]int{},
	}
}

var (
	refused = probe.Result{Reason: probe.Refused, Detail: "connect: connection refused"}
	nofiles = probe.Result{Reason: probe.Local, Detail: "socket: too many open files"}
	healthy = probe.Result{OK: true, Detail: "connected"}
)

// set says how servers answer from now on.
func (f *farmFake) set(r probe.Result, servers ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range servers {
		f.answer[s] = r
	}
}

func (f *farmFake) probe(ctx context.Context, q Query, _ *Plan) probe.Result {
	name := letter(q.Target.Addr())
	f.mu.Lock()
	f.started[name] = append(f.started[name], time.Now())
	f.running[q]++
	f.now++
	f.most = max(f.most, f.now)
	f.overlap = f.overlap || f.running[q] > 1
	delay := f.delay[name]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running[q]--
		f.now--
		f.mu.Unlock()
	}()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			if ctx.Err() == context.Canceled {
				return probe.Result{Reason: probe.Canceled, Detail: "connect: canceled"}
			}
			return probe.Result{Reason: probe.Timeout, Detail: "connect: no answer"}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, ok := f.answer[name]; ok {
		return r
	}
	return healthy
}

// take returns when each server was probed since the last time.
func (f *farmFake) take() map[string][]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	started := f.started
	f.started = map[string][]time.Time{}
	return started
}

// load returns how many probes are under way, how many there were at most, and
// whether one ran twice at the same time.
func (f *farmFake) load() (now, most int, overlap bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, f.most, f.overlap
}

// starts returns how often a server was probed since the last time.
func (f *farmFake) starts(server string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.started[server])
	delete(f.started, server)
	return n
}

// Names: the real server "a" is 10.0.0.1:80, the virtual servers are these.
var vips = map[string]string{"web": "192.0.2.1:80", "dns": "192.0.2.2:80", "mail": "192.0.2.3:80", "other": "192.0.2.9:80"}

func address(server string) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, server[0] - 'a' + 1}), 80)
}

func letter(a netip.Addr) string { return string('a' + rune(a.As4()[3]) - 1) }

func key(service string) ipvs.ServiceKey {
	return ipvs.AddrService(ipvs.TCP, netip.MustParseAddrPort(vips[service]))
}

// tableOf makes a table out of "web: a1 b0; dns: c1".
func tableOf(text string) ipvs.Table {
	t := ipvs.Table{}
	for part := range strings.SplitSeq(text, ";") {
		name, servers, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			continue
		}
		e := t.Set(key(name), ipvs.Service{Scheduler: "rr"})
		for _, s := range strings.Fields(servers) {
			e.Dests[address(s)] = ipvs.Destination{Weight: int32(s[1] - '0')}
		}
	}
	return t
}

// tableText is the reverse.
func tableText(t ipvs.Table) string {
	var parts []string
	for _, k := range t.Keys() {
		name := k.String()
		for n := range vips {
			if key(n) == k {
				name = n
			}
		}
		var b strings.Builder
		b.WriteString(name + ":")
		for _, d := range t[k].Keys() {
			fmt.Fprintf(&b, " %s%d", letter(d.Addr()), t[k].Dests[d].Weight)
		}
		parts = append(parts, b.String())
	}
	return strings.Join(parts, "; ")
}

// configOf makes a configuration out of the same language: the wanted weights.
// Every server has a TCP check: every 5 s, 3 s limit, rise 2, fall 3.
func configOf(text string, change ...func(*config.Config)) *config.Config {
	c := &config.Config{Global: config.Global{ReconcileInterval: config.Duration(10 * time.Second)}}
	for part := range strings.SplitSeq(text, ";") {
		name, servers, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			continue
		}
		v := config.VirtualServer{
			Name: name, Address: netip.MustParseAddrPort(vips[name]), Protocol: config.TCP,
			Scheduler: "rr", Forwarding: config.NAT, Quorum: 1,
		}
		for _, s := range strings.Fields(servers) {
			v.RealServers = append(v.RealServers, config.RealServer{
				Name: s[:1], Address: address(s), Weight: int(s[1] - '0'), Forwarding: config.NAT, Alpha: true,
				Checks: []config.Check{{
					Kind: config.CheckTCP, Interval: config.Duration(5 * time.Second),
					Timeout: config.Duration(3 * time.Second), Rise: 2, Fall: 3,
				}},
			})
		}
		c.VirtualServers = append(c.VirtualServers, v)
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// eachCheck changes every check.
func eachCheck(f func(*config.Check)) func(*config.Config) {
	return func(c *config.Config) {
		for i := range c.VirtualServers {
			for j := range c.VirtualServers[i].RealServers {
				for k := range c.VirtualServers[i].RealServers[j].Checks {
					f(&c.VirtualServers[i].RealServers[j].Checks[k])
				}
			}
		}
	}
}

func sorry(server string) func(*config.Config) {
	return func(c *config.Config) {
		v := &c.VirtualServers[0]
		v.SorryServers = append(v.SorryServers, config.SorryServer{Name: server, Address: address(server)})
	}
}
