package watchdog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"director/config"
	"director/internal/control"
)

// trial is a configuration of another file than the configured one, from the request to
// put it in force until it is confirmed or undone.
type trial struct {
	control.Trial
	query  control.ApplyQuery
	before *generation // what was in force
	reply  func(control.ApplyResult)
	timer  *time.Timer
	began  bool // it is in force
	// writing says that the configured file is being replaced.
	writing bool
}

// undoRetry is the time after which an undoing that has failed is tried again.
const undoRetry = 5 * time.Second

// trialName is the file in the runtime directory that tells of a trial, for the start
// after a death of the daemon.
const trialName = "apply-trial.json"

// refused is the result of what was not done.
func refused(reasons ...string) control.ApplyResult {
	return control.ApplyResult{ReloadResult: control.ReloadResult{At: time.Now(), Errors: reasons}}
}

// apply puts another file in force, on trial when the query says so.
func (p *parent) apply(q control.ApplyQuery, reply func(control.ApplyResult)) {
	switch {
	case p.phase == stopping:
		reply(refused(p.stopReason()))
	case p.trial != nil:
		reply(refused(p.onTrial()))
	case p.phase != running || p.reloads.busy || p.transition != nil:
		reply(refused("another configuration is coming into force, ask again"))
	case q.Confirm != 0 && (q.Confirm < p.o.leastConfirm || q.Confirm > control.MaxConfirm):
		reply(refused(fmt.Sprintf("a confirmation within %v: allowed is %v to %v", q.Confirm, p.o.leastConfirm, control.MaxConfirm)))
	case filepath.Ext(q.File) != filepath.Ext(p.o.ConfigPath):
		reply(refused(fmt.Sprintf("%s would replace %s, and the ending of a file's name tells its language: allowed is one in %s",
			q.File, p.o.ConfigPath, filepath.Ext(p.o.ConfigPath))))
	default:
		t := &trial{query: q, before: p.force, reply: reply}
		t.File, t.Author = q.File, q.Who()
		p.trial = t
		p.log.Info("apply begins", "config", q.File, "author", t.Author)
		p.change(func() (*config.Config, []config.Warning, error) { return t.read(p.o) })
	}
}

// onTrial says why nothing else can come into force now.
func (p *parent) onTrial() string {
	t := p.trial
	if !t.began {
		return fmt.Sprintf("%s of %s is coming into force", t.File, t.Author)
	}
	return fmt.Sprintf("%s of %s is on trial until %s, confirm or undo it first", t.File, t.Author, t.Deadline.Format(time.TimeOnly))
}

// read makes a configuration of the text, and makes sure that it can stand in the
// configured file.
func (t *trial) read(o Options) (*config.Config, []config.Warning, error) {
	at := o
	at.ConfigPath = t.query.File
	cfg, warnings, err := loadText(at, t.query.Text)
	if err != nil {
		return nil, warnings, err
	}
	there, _, err := loadText(o, t.query.Text)
	if err != nil || !reflect.DeepEqual(cfg, there) {
		return nil, warnings, fmt.Errorf("%s means something else as %s, which it would replace: does it include other files?", t.query.File, o.ConfigPath)
	}
	if err := replaceable(o.ConfigPath); err != nil {
		return nil, warnings, err
	}
	return cfg, warnings, nil
}

// applied takes the outcome of the reload that put the file in force, or took it back.
func (p *parent) applied(result control.ReloadResult) {
	t := p.trial
	switch {
	case t.Undoing:
		p.undone(result)
	case !result.OK:
		p.trial = nil
		t.reply(control.ApplyResult{ReloadResult: result})
	default:
		t.began, t.Since = true, result.At
		t.Deadline = t.Since.Add(t.query.Confirm)
		if t.query.Confirm == 0 {
			p.confirm(t.query.Asker, func(r control.ApplyResult) {
				r.Changes, r.Warnings = result.Changes, result.Warnings
				t.reply(r)
			})
			break
		}
		p.remember(t)
		p.trialEvent(t, "requested", "on trial", t.Author, fmt.Sprintf("undone at %s unless it is confirmed", t.Deadline.Format(time.TimeOnly)))
		t.timer = p.after(t.query.Confirm, func() {
			if p.trial == t && !t.writing {
				p.undo(control.Asker{}, nil)
			}
		})
		told := t.Trial
		t.reply(control.ApplyResult{ReloadResult: result, Trial: &told})
	}
}

// trialEvent tells of a trial.
func (p *parent) trialEvent(t *trial, from, to, author, reason string) {
	p.event(control.Event{Kind: "apply", Subject: t.File, From: from, To: to, Reason: reason, Author: author, Generation: p.force.number})
}

// confirm makes the configured file the one that is in force.
func (p *parent) confirm(by control.Asker, reply func(control.ApplyResult)) {
	t := p.trial
	switch {
	case t == nil:
		reply(refused("nothing is on trial"))
		return
	case !t.began || t.Undoing || t.writing:
		reply(refused(fmt.Sprintf("%s of %s is changing, ask again", t.File, t.Author)))
		return
	}
	t.writing = true
	go func() {
		backup, err := replaceFile(p.o.ConfigPath, t.query.Text)
		p.post(func() { p.confirmed(t, by, backup, err, reply) })
	}()
}

func (p *parent) confirmed(t *trial, by control.Asker, backup string, err error, reply func(control.ApplyResult)) {
	t.writing = false
	if err != nil {
		p.log.Error("the configured file stays as it is", "config", p.o.ConfigPath, "reason", err)
		reply(refused(err.Error()))
		if t.query.Confirm == 0 || !time.Now().Before(t.Deadline) {
			p.undo(control.Asker{}, nil)
		}
		return
	}
	p.endTrial(t)
	p.forgetOrders(t.before.config)
	p.force.trial = false
	if c := p.child(RoleCheckers); c.run != nil {
		c.run.ch.Send(Message{Confirmed: true})
	}
	p.file = stampOf(p.o.ConfigPath)
	p.trialEvent(t, "on trial", "confirmed", by.Who(), fmt.Sprintf("%s has its text, %s the former", p.o.ConfigPath, backup))
	reply(control.ApplyResult{ReloadResult: control.ReloadResult{At: time.Now(), OK: true}, Replaced: p.o.ConfigPath, Backup: backup})
}

// endTrial forgets a trial.
func (p *parent) endTrial(t *trial) {
	p.trial = nil
	if t.timer != nil {
		t.timer.Stop()
	}
	if err := os.Remove(filepath.Join(p.dir.path, trialName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Warn("the note of a trial stays", "reason", err)
	}
}

// undo puts in force again what was so before. Without an author, the time is over.
func (p *parent) undo(by control.Asker, reply func(control.ApplyResult)) {
	t := p.trial
	if reply == nil {
		reply = func(control.ApplyResult) {}
	}
	switch {
	case t == nil:
		reply(refused("nothing is on trial"))
		return
	case !t.began || t.writing || t.Undoing && (p.reloads.busy || by.Author == ""):
		reply(refused(fmt.Sprintf("%s of %s is changing, ask again", t.File, t.Author)))
		return
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	t.Undoing, t.query.Asker, t.reply = true, by, reply
	p.log.Warn("what was applied is undone", "config", t.File, "author", by.Who())
	p.change(func() (*config.Config, []config.Warning, error) { return t.before.config, nil, nil })
}

// undone takes the outcome of an undoing. One that failed is tried again: the former
// configuration has worked.
func (p *parent) undone(result control.ReloadResult) {
	t := p.trial
	if result.OK {
		reason := "it was not confirmed in time"
		if t.query.Author != "" {
			reason = "as asked"
		}
		p.endTrial(t)
		p.trialEvent(t, "on trial", "undone", t.query.Who(), reason)
		t.reply(control.ApplyResult{ReloadResult: result})
		return
	}
	t.Error = result.Errors[0]
	t.reply(control.ApplyResult{ReloadResult: result})
	t.reply = func(control.ApplyResult) {}
	p.after(p.o.undoRetry, func() {
		if p.trial == t && p.phase == running && !p.reloads.busy {
			p.change(func() (*config.Config, []config.Warning, error) { return t.before.config, nil, nil })
		}
	})
}

// abandonTrial ends a trial at the end of the daemon: the next start takes the
// configured file.
func (p *parent) abandonTrial() {
	if t := p.trial; t != nil && t.began && !t.writing {
		p.endTrial(t)
		p.trialEvent(t, "on trial", "undone", "", "director stops; the next start takes "+p.o.ConfigPath)
	}
}

// remember notes a trial for the next daemon.
func (p *parent) remember(t *trial) {
	text, err := json.Marshal(t.Trial)
	if err == nil {
		err = os.WriteFile(filepath.Join(p.dir.path, trialName), append(text, '\n'), 0o600)
	}
	if err != nil {
		p.log.Warn("a trial is not noted", "reason", err)
	}
}

// recallTrial tells of a trial that a daemon which died has left.
func (p *parent) recallTrial() {
	text, err := os.ReadFile(filepath.Join(p.dir.path, trialName))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	t := &trial{}
	if err == nil {
		err = json.Unmarshal(text, &t.Trial)
	}
	p.endTrial(t)
	if err != nil {
		p.log.Warn("the note of a trial cannot be read", "reason", err)
		return
	}
	p.trialEvent(t, "on trial", "undone", "", fmt.Sprintf("director died before %s confirmed it; %s is in force", t.Author, p.o.ConfigPath))
}

// Apply implements control.Handler.
func (h handler) Apply(ctx context.Context, q control.ApplyQuery) (control.ApplyResult, error) {
	return ask(ctx, h.p, func(reply func(control.ApplyResult)) { h.p.apply(q, reply) })
}

// Confirm implements control.Handler.
func (h handler) Confirm(ctx context.Context, by control.Asker) (control.ApplyResult, error) {
	return ask(ctx, h.p, func(reply func(control.ApplyResult)) { h.p.confirm(by, reply) })
}

// Undo implements control.Handler.
func (h handler) Undo(ctx context.Context, by control.Asker) (control.ApplyResult, error) {
	return ask(ctx, h.p, func(reply func(control.ApplyResult)) { h.p.undo(by, reply) })
}
