// Package notify tells of changes of state: to scripts (notify_master,
// notify_backup, notify_fault, notify_stop and notify of a VRRP instance or sync
// group, quorum_up and quorum_down of a virtual server), by mail, to a webhook, as
// SNMP traps and into a FIFO.
//
// Whoever is told is a consumer with ordered queues of its own, and a slow one
// delays nobody else. Scripts have a queue for each subject: those of one subject
// run one at a time, in the order of the changes, while those of other subjects
// run beside them, and so do requests to the webhook. Mail has one queue. A queue
// that is behind tells the newest state of a subject only, and says which states
// it left out.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/script"
)

// Notifier tells of events. It is safe for use by several goroutines.
type Notifier struct {
	run    Runner
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	configs []held            // oldest first
	told    map[string]string // the newest state queued, by subject
	running int               // queues at work
	closed  bool
	closing chan struct{} // closed by Close
	idle    chan struct{} // closed when the last queue has ended after Close

	started time.Time // of the SNMP engine

	queues  map[string]*queue // of scripts
	scripts control.NotifyChannel
	boxes   []*outbox
	fifos   *fifos
}

// held is a generation of the configuration whose events can still come.
type held struct {
	generation uint64
	config     *config.Config
	instances  map[string]*config.Instance
	groups     map[string]*config.SyncGroup
	services   map[string]*config.VirtualServer
	channels   []channel // beside the boxes; nil where the configuration has none
}

// New returns a Notifier that runs commands by run.
func New(run Runner, log *slog.Logger) *Notifier {
	ctx, cancel := context.WithCancelCause(context.Background())
	n := &Notifier{
		run: run, log: log, ctx: ctx, started: time.Now(),
		cancel: func() { cancel(errors.New("director stops")) },
		queues: make(map[string]*queue), told: make(map[string]string),
		closing: make(chan struct{}), idle: make(chan struct{}),
		fifos:   &fifos{open: make(map[string]*os.File), made: make(map[string]os.FileInfo)},
		scripts: control.NotifyChannel{Channel: "script"},
	}
	n.boxes = []*outbox{newOutbox(n, "mail", 1), newOutbox(n, "webhook", hooksAtOnce), newOutbox(n, "fifo", 1), newOutbox(n, "snmp", 1)}
	n.boxes[2].quiet, n.boxes[2].neverFolds = true, true
	return n
}

// Apply makes a generation known, beside those known already. Events name the
// generation under which they happened. What waits is told by the channels of
// the newest generation, or by its own where that has none.
func (n *Notifier) Apply(generation uint64, c *config.Config) {
	h := held{generation: generation, config: c, channels: make([]channel, len(n.boxes)),
		instances: make(map[string]*config.Instance, len(c.Instances)),
		groups:    make(map[string]*config.SyncGroup, len(c.Groups)),
		services:  make(map[string]*config.VirtualServer, len(c.VirtualServers))}
	for i := range c.Groups {
		h.groups[c.Groups[i].Name] = &c.Groups[i]
	}
	for i := range c.Instances {
		h.instances[c.Instances[i].Name] = &c.Instances[i]
	}
	for i := range c.VirtualServers {
		h.services[c.VirtualServers[i].Name] = &c.VirtualServers[i]
	}
	if m := c.Notify.Mail; m != nil {
		h.channels[0] = newMailer(m, c.Global.RouterID)
	}
	if w := c.Notify.Webhook; w != nil {
		h.channels[1] = newWebhook(w, c.Global.RouterID)
	}
	if f := c.Notify.FIFO; f != nil {
		h.channels[2] = &fifo{path: f.Path, kept: n.fifos}
	}
	if s := c.Notify.SNMP; s != nil {
		h.channels[3] = newTrapper(s, c.Global.RouterID, n.started)
	}
	n.apply(h)
}

func (n *Notifier) apply(h held) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(h.generation)
	n.configs = append(n.configs, h)
	n.newest()
}

// Forget drops a generation. What is queued already is still told.
func (n *Notifier) Forget(generation uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(generation)
	n.newest()
}

func (n *Notifier) forget(generation uint64) {
	n.configs = slices.DeleteFunc(n.configs, func(h held) bool { return h.generation == generation })
}

// newest hands the boxes the channels of the newest generation.
func (n *Notifier) newest() {
	if len(n.configs) == 0 {
		return
	}
	for i, b := range n.boxes {
		b.use(n.configs[len(n.configs)-1].channels[i])
	}
}

// Handle queues what is to be told of one event and returns at once. A state that
// was the last one told already is not told again: a child that was started anew
// begins in the state of the former.
func (n *Notifier) Handle(e control.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || e.From == e.To {
		return
	}
	if e.Alarm != nil && e.Alarm.Level == control.LevelWarning {
		return // it is logged and shown
	}
	key := about(e)
	lasting := e.Kind == "instance" || e.Kind == "group" || e.Kind == "service" || e.Kind == "server" ||
		e.Kind == "script" || e.Kind == "tracker" || e.Kind == "bfd"
	if lasting && e.To == n.told[key] {
		return
	}
	h := n.whose(e)
	if h == nil {
		return
	}
	mine := false // somebody has an interest, in this change or the next
	var commands []script.Command
	switch e.Kind {
	case "instance":
		mine = true
		commands = instanceCommands(h.config, h.instances[e.Subject].Notify, e)
	case "group":
		mine = true
		commands = groupCommands(h.config, h.groups[e.Subject].Notify, e)
	case control.KindAlarm:
		commands = h.alarmCommands(e)
	case "service":
		mine = true
		commands = serviceCommands(h.config, h.services[e.Subject], e)
	case "server":
		rs := h.server(e)
		mine = len(rs.NotifyUp) > 0 || len(rs.NotifyDown) > 0
		commands = serverCommands(h.config, h.service(e), rs, e)
	}
	if len(commands) > 0 {
		n.queueScripts(key, e, commands)
	}
	for i, b := range n.boxes {
		if ch := h.channels[i]; ch != nil && ch.wants(h, e) {
			mine = true
			b.add(&note{event: e, held: h, via: ch})
		}
	}
	if mine && lasting {
		n.told[key] = e.To
	}
}

// about names what an event tells the state of: its subject, and of alarms, of
// which a subject may have several, the alarm as well.
func about(e control.Event) string {
	key := e.Kind + "/" + e.Subject
	if e.Kind == control.KindAlarm {
		key += "/" + e.Code
		if e.Alarm != nil {
			key += "/" + e.Alarm.Family + "/" + e.Alarm.Path
		}
	}
	return key
}

// whose returns the generation that an event belongs to: its own, else the newest
// that knows the subject; nil without one.
func (n *Notifier) whose(e control.Event) *held {
	var found *held
	for i := range n.configs {
		h := &n.configs[i]
		if !h.knows(e) {
			continue
		}
		if h.generation == e.Generation {
			found = h
			break
		}
		found = h
	}
	if found == nil {
		return nil
	}
	h := *found // the list moves, this one stays
	return &h
}

// knows reports whether the subject of e is in the configuration.
func (h *held) knows(e control.Event) bool {
	switch e.Kind {
	case control.KindAlarm:
		return h.instance(e) != nil || h.service(e) != nil
	case "instance", "address", "gate":
		return h.instance(e) != nil
	case "group":
		return h.groups[e.Subject] != nil
	case "service", "server":
		return h.service(e) != nil
	}
	return true
}

// ofService says that an event is an alarm of a virtual server.
func ofService(e control.Event) bool { return e.Alarm != nil && e.Alarm.Service != "" }

// instance returns the instance that an event is about, nil without one.
func (h *held) instance(e control.Event) *config.Instance {
	if e.Kind != "instance" && e.Kind != "address" && e.Kind != "gate" && (e.Kind != control.KindAlarm || ofService(e)) {
		return nil
	}
	name, _, _ := strings.Cut(e.Subject, "/")
	return h.instances[name]
}

// service returns the virtual server that an event is about, nil without one.
func (h *held) service(e control.Event) *config.VirtualServer {
	if e.Kind != "service" && e.Kind != "server" && e.Kind != "maintenance" && e.Kind != "ipvs" && !ofService(e) {
		return nil
	}
	name, _, _ := strings.Cut(e.Subject, "/")
	return h.services[name]
}

// server returns the real server that an event is about, an empty one without one.
func (h *held) server(e control.Event) *config.RealServer {
	_, name, _ := strings.Cut(e.Subject, "/")
	if vs := h.service(e); vs != nil {
		for i := range vs.RealServers {
			if vs.RealServers[i].Name == name {
				return &vs.RealServers[i]
			}
		}
	}
	return new(config.RealServer)
}

// Status says how each consumer fares: those that the configuration has, and
// those that have had something to do.
func (n *Notifier) Status() []control.NotifyChannel {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []control.NotifyChannel
	s := n.scripts
	for _, q := range n.queues {
		s.Queued++
		if q.next != nil {
			s.Queued++
		}
	}
	if s.Sent+s.Failed > 0 || s.Queued > 0 {
		list = append(list, s)
	}
	for _, b := range n.boxes {
		if s := b.status(); b.channel != nil || s.Sent+s.Failed+s.Dropped > 0 || s.Queued > 0 {
			list = append(list, s)
		}
	}
	return list
}

// began and ended count the queues at work. The caller holds the lock.
func (n *Notifier) began() { n.running++ }

func (n *Notifier) ended() {
	n.running--
	if n.closed && n.running == 0 {
		close(n.idle)
	}
}

// Close takes no more events and waits until all queues are empty, at most for
// timeout; then scripts and deliveries that run are ended and the rest is given
// up. A delivery that fails meanwhile is not tried again.
func (n *Notifier) Close(timeout time.Duration) error {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		close(n.closing)
		if n.running == 0 {
			close(n.idle)
		}
	}
	n.mu.Unlock()
	defer n.cancel()
	defer n.fifos.close()
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	select {
	case <-n.idle:
		return nil
	case <-limit.C:
	}
	n.mu.Lock()
	var left []string
	for key, q := range n.queues {
		left = append(left, key)
		q.next = nil
	}
	for _, b := range n.boxes {
		if len(b.lanes) > 0 {
			left = append(left, b.name)
		}
	}
	n.mu.Unlock()
	n.cancel()
	slices.Sort(left)
	// A script that is being ended gets SIGTERM, and SIGKILL two seconds later.
	ending := time.NewTimer(3 * time.Second)
	defer ending.Stop()
	select {
	case <-n.idle:
	case <-ending.C:
	}
	return fmt.Errorf("notify: not finished after %v: %s", timeout, strings.Join(left, ", "))
}
