package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Bounds of ApplyQuery.Confirm.
const (
	MinConfirm = 5 * time.Second
	MaxConfirm = 24 * time.Hour
)

// ApplyQuery asks to put another file in force.
type ApplyQuery struct {
	File string `json:"file"` // absolute
	Text []byte `json:"text"` // its content: the daemon may not see the files that its client sees
	// Confirm is within what time it must be confirmed, else it is undone; 0: it is
	// confirmed at once. Nanoseconds.
	Confirm time.Duration `json:"confirm"`
	Asker
}

// Asker is who asks for a change.
type Asker struct {
	// Author is the user as the kernel knows it. The daemon sets it.
	Author string `json:"author,omitempty"`
	// Claimed is who the client says that its user is beside that, as sudo knows it.
	Claimed string `json:"claimed,omitempty"`
}

// Who names the author: "root", or "root for alice" when sudo said so.
func (a Asker) Who() string { return who(a.Author, a.Claimed) }

// Trial is a configuration that is in force and waits for its confirmation.
type Trial struct {
	File     string    `json:"file"`
	Author   string    `json:"author"`
	Since    time.Time `json:"since"`
	Deadline time.Time `json:"deadline"` // when it is undone
	// Undoing says that it is being undone; Error is why that has not worked so far. It is
	// tried again.
	Undoing bool   `json:"undoing,omitempty"`
	Error   string `json:"error,omitempty"`
}

// ApplyResult tells what has become of an ApplyQuery, a confirmation or an undoing.
type ApplyResult struct {
	ReloadResult
	Trial *Trial `json:"trial,omitempty"` // that it began
	// Replaced is the configured file that has the applied text now, and Backup the one
	// that has its former text; empty when there was none.
	Replaced string `json:"replaced,omitempty"`
	Backup   string `json:"backup,omitempty"`
}

// Applier is the part of a Handler that puts other files in force.
type Applier interface {
	// Apply puts a file in force, on trial when that is asked for.
	Apply(ctx context.Context, q ApplyQuery) (ApplyResult, error)
	// Confirm ends a trial: the configured file becomes the one that is in force.
	Confirm(ctx context.Context, by Asker) (ApplyResult, error)
	// Undo ends a trial: what was in force before is so again.
	Undo(ctx context.Context, by Asker) (ApplyResult, error)
}

// The operations of an Applier; each answers an ApplyResult.
const (
	OpApply   Op = "apply"   // takes an ApplyQuery
	OpConfirm Op = "confirm" // takes an Asker
	OpUndo    Op = "undo"    // takes an Asker
)

// apply carries out one of them for the user with a number.
func (s *Listener) apply(req Request, uid uint32) (res Response, err error) {
	var q ApplyQuery
	var into any = &q
	if req.Op != OpApply {
		into = &q.Asker
	}
	if err := json.Unmarshal(req.Args, into); err != nil {
		return res, fmt.Errorf("control: malformed %s: %w", req.Op, err)
	}
	q.Author = userName(uid)
	var r ApplyResult
	switch req.Op {
	case OpApply:
		r, err = s.handler.Apply(s.ctx, q)
	case OpConfirm:
		r, err = s.handler.Confirm(s.ctx, q.Asker)
	default:
		r, err = s.handler.Undo(s.ctx, q.Asker)
	}
	res.Apply = &r
	return res, err
}

// Apply puts a file in force.
func (c *Client) Apply(ctx context.Context, q ApplyQuery) (ApplyResult, error) {
	return c.applies(ctx, OpApply, q)
}

// Confirm keeps what is in force on trial.
func (c *Client) Confirm(ctx context.Context, by Asker) (ApplyResult, error) {
	return c.applies(ctx, OpConfirm, by)
}

// Undo takes back what is in force on trial.
func (c *Client) Undo(ctx context.Context, by Asker) (ApplyResult, error) {
	return c.applies(ctx, OpUndo, by)
}

func (c *Client) applies(ctx context.Context, op Op, v any) (ApplyResult, error) {
	args, err := json.Marshal(v)
	if err != nil {
		return ApplyResult{}, err
	}
	res, err := c.call(ctx, Request{Op: op, Args: args})
	if err != nil {
		return ApplyResult{}, err
	}
	if res.Apply == nil {
		return ApplyResult{}, errors.New("director answered without a result")
	}
	return *res.Apply, nil
}

// trial tells of a configuration that waits for its confirmation.
func (v View) trial(p *page, t *Trial) {
	switch {
	case t == nil:
	case t.Error != "":
		p.line(styled(t.File+" of "+t.Author+" was not confirmed and cannot be undone yet: "+t.Error, bad))
	case t.Undoing:
		p.line(styled(t.File+" of "+t.Author+" is being undone", warn))
	default:
		p.line(styled(fmt.Sprintf("%s of %s is on trial and undone in %s: `director confirm` keeps it, `director undo` takes it back",
			t.File, t.Author, span(max(0, t.Deadline.Sub(v.Now)).Round(time.Second))), warn))
	}
}
