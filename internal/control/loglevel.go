package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// OpLog answers Log; takes a LogQuery.
const OpLog Op = "log"

// LogAuto is the level that ends what was ordered: the configuration's counts again.
const LogAuto = "auto"

// LogQuery asks for the log levels, or orders another one until the daemon ends.
type LogQuery struct {
	Level string `json:"level,omitempty"` // debug, info, warn, error; LogAuto; empty: nothing is changed
	// Processes are those that it is for (parent, vrrp, checkers, web, snmp); empty: all.
	Processes []string `json:"processes,omitempty"`
	// For is after how long it ends by itself; 0: with the daemon. Nanoseconds.
	For time.Duration `json:"for,omitempty"`
	// Claimed is who the client says that its user is, and Author the user as the kernel
	// knows it, which the daemon sets.
	Claimed string `json:"claimed,omitempty"`
	Author  string `json:"author,omitempty"`
}

// Who names who asks.
func (q *LogQuery) Who() string { return who(q.Author, q.Claimed) }

// LogLevel is what one process logs.
type LogLevel struct {
	Process    string    `json:"process"`
	Level      string    `json:"level"`      // in force
	Configured string    `json:"configured"` // what the configuration or the command line says
	Ordered    bool      `json:"ordered,omitempty"`
	Author     string    `json:"author,omitempty"`
	Until      time.Time `json:"until,omitzero"` // when an order ends by itself
}

// logLevels answers OpLog for the user with a number.
func (s *Listener) logLevels(args json.RawMessage, uid uint32) ([]LogLevel, error) {
	var q LogQuery
	if err := json.Unmarshal(args, &q); err != nil {
		return nil, fmt.Errorf("control: malformed question for log levels: %w", err)
	}
	q.Author = userName(uid)
	return s.handler.LogLevels(s.ctx, q)
}

// LogLevels asks for the log levels of the processes, or orders others.
func (c *Client) LogLevels(ctx context.Context, q LogQuery) ([]LogLevel, error) {
	args, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	res, err := c.call(ctx, Request{Op: OpLog, Args: args})
	if err == nil && len(res.Log) == 0 {
		err = errors.New("director answered without log levels")
	}
	return res.Log, err
}

// RenderLogLevels writes log levels as text for a person.
func RenderLogLevels(w io.Writer, list []LogLevel, v View) error {
	p := &page{colour: v.Colour}
	t := table{head: []string{"PROCESS", "LEVEL", "CONFIGURED", "ENDS"}}
	for _, l := range list {
		st, ends := plain, "-"
		if l.Ordered {
			st, ends = warn, "with the daemon"
			if !l.Until.IsZero() {
				ends = "in " + v.remaining(l.Until)
			}
			ends += ", by " + l.Author
		}
		t.add(text(l.Process), styled(l.Level, st), text(l.Configured), text(ends))
	}
	p.table("", t)
	_, err := w.Write(p.out.Bytes())
	return err
}

// logLevels tells which processes log otherwise than the configuration says.
func (v View) logLevels(p *page, list []LogLevel) {
	for len(list) > 0 {
		first := list[0]
		same := func(l LogLevel) bool {
			return l.Level == first.Level && l.Author == first.Author && l.Until.Equal(first.Until)
		}
		var names []string
		for _, l := range list {
			if same(l) {
				names = append(names, l.Process)
			}
		}
		list = slices.DeleteFunc(slices.Clone(list), same)
		ends := "until the daemon ends"
		if !first.Until.IsZero() {
			ends = "for another " + v.remaining(first.Until)
		}
		p.line(styled(fmt.Sprintf("log level %s of %s, by %s, %s; configured is %s: `director log level auto` goes back to that",
			first.Level, strings.Join(names, ", "), first.Author, ends, first.Configured), warn))
	}
}
