package watchdog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"director/checkers/probe"
	"director/config"
	"director/internal/script"
	"director/internal/secret"
)

// maxScriptOutput is how much of a track script's output a child is told.
const maxScriptOutput = 256

// CheckScripts looks at the commands of a configuration as this host would run
// them. A command that would run as root although somebody else can change it is
// an error, of type config.Errors. Warnings are those that cannot run: the program
// is missing or not executable, or the user does not exist, all of which may be
// put right later; and the files of passwords that cannot be read, or that
// everybody can read. find tells where the configuration names them.
func CheckScripts(find config.Finder, c *config.Config) ([]config.Warning, error) {
	var list []config.Warning
	var unsafe config.Errors
	byDefault := false // a command runs as root because nobody said otherwise
	// Many objects share a program or a certificate: each is looked at once.
	type run struct{ user, program string }
	runs := make(map[run]error)
	type files struct{ ca, cert, key string }
	certificatesOf := make(map[files]error)
	check := func(user string, argv []string, path ...string) {
		if len(argv) == 0 {
			return
		}
		if user == "" {
			user = c.Global.ScriptUser
		}
		byDefault = byDefault || user == "" && os.Geteuid() == 0
		shared := run{user, argv[0]}
		err, known := runs[shared]
		if !known {
			err = script.Check(script.Command{Argv: argv, User: user})
			runs[shared] = err
		}
		if err != nil {
			at := find(path...)
			key := config.DottedKey(path)
			if refused := new(script.UnsafeError); errors.As(err, &refused) {
				unsafe = append(unsafe, config.Error{File: at.File, Line: at.Line, Col: at.Col, Key: key, Msg: err.Error()})
				return
			}
			list = append(list, config.Warning{File: at.File, Line: at.Line, Col: at.Col, Key: key, Msg: err.Error()})
		}
	}
	for _, s := range c.Scripts {
		check(s.User, s.Command, "vrrp_script", s.Name, "script")
	}
	scripts := func(kind, name string, n config.Notify) {
		for _, own := range n.Commands() {
			check(own.User, own.Argv, kind, name, "notify", own.Key)
		}
	}
	for _, i := range c.Instances {
		scripts("vrrp_instance", i.Name, i.Notify)
		for _, g := range i.Gates {
			check(g.User, g.Command, "vrrp_instance", i.Name, "promotion_gate")
		}
	}
	for _, g := range c.Groups {
		scripts("vrrp_sync_group", g.Name, g.Notify)
	}
	checks := func(own []config.Check, path ...string) {
		for j, ch := range own {
			at := append(slices.Clone(path), "check", "["+strconv.Itoa(j)+"]")
			check(ch.User, ch.Command, append(slices.Clone(at), "script")...)
			shared := files{ch.CAFile, ch.ClientCert, ch.ClientKey}
			err, known := certificatesOf[shared]
			if !known {
				err = certificates(&ch)
				certificatesOf[shared] = err
			}
			if err != nil {
				p := find(at...)
				list = append(list, config.Warning{File: p.File, Line: p.Line, Col: p.Col, Key: config.DottedKey(at),
					Msg: err.Error() + ": until this is put right the check says nothing"})
			}
		}
	}
	for _, v := range c.VirtualServers {
		checks(v.Checks, "virtual_server", v.Name)
		for j, rs := range v.RealServers {
			own := len(rs.Checks) > 0 && !v.Lends(rs.Checks)
			if !own && len(rs.NotifyUp) == 0 && len(rs.NotifyDown) == 0 {
				continue // most servers
			}
			at := []string{"virtual_server", v.Name, "real_server", "[" + strconv.Itoa(j) + "]"}
			for _, own := range rs.Commands(&v) {
				check(own.User, own.Argv, append(slices.Clone(at), own.Key)...)
			}
			if own {
				checks(rs.Checks, at...)
			}
		}
		for j, ss := range v.SorryServers {
			checks(ss.Checks, "virtual_server", v.Name, "sorry_server", "["+strconv.Itoa(j)+"]")
		}
		for _, own := range v.Commands() {
			check(own.User, own.Argv, "virtual_server", v.Name, own.Key)
		}
	}
	for _, o := range c.OutsideSecrets() {
		msg := secret.Doubt(o.SecretSource)
		if o.AtUse {
			if _, err := secret.Read(o.SecretSource); err != nil {
				msg = err.Error()
			}
		}
		if msg != "" {
			at := find(o.Path...)
			list = append(list, config.Warning{File: at.File, Line: at.Line, Col: at.Col, Key: o.Key(), Msg: msg})
		}
	}
	if byDefault {
		list = append(list, config.Warning{File: find().File, Key: "global.script_user",
			Msg: "scripts that name no user run as root: create a user director_script or name one here, \"root\" if that is meant"})
	}
	slices.SortStableFunc(list, func(a, b config.Warning) int { return cmp.Compare(a.Line, b.Line) })
	slices.SortStableFunc(unsafe, func(a, b config.Error) int { return cmp.Compare(a.Line, b.Line) })
	if len(unsafe) > 0 {
		return list, unsafe
	}
	return list, nil
}

// certificates says why the files with a check's certificates cannot be used.
func certificates(c *config.Check) error {
	if c.CAFile == "" && c.ClientCert == "" {
		return nil
	}
	return (&probe.TLSFiles{CA: c.CAFile, Cert: c.ClientCert, Key: c.ClientKey}).Check()
}

// WithScriptUser returns c with the user that scripts without one run as on this
// host, when c does not name it.
func WithScriptUser(c *config.Config) (*config.Config, error) {
	if c.Global.ScriptUser != "" {
		return c, nil
	}
	name, err := script.DefaultUser()
	if err != nil {
		return nil, fmt.Errorf("global.script_user: %w", err)
	}
	named := *c
	named.Global.ScriptUser = name
	return &named, nil
}

// scripts are the track scripts that run, by name.
type scripts struct {
	active  map[string]*scriptRun
	ctx     context.Context
	cancel  context.CancelFunc
	running *sync.WaitGroup
}

func newScripts() scripts {
	ctx, cancel := context.WithCancel(context.Background())
	return scripts{make(map[string]*scriptRun), ctx, cancel, new(sync.WaitGroup)}
}

// end ends the scripts that still run; they get SIGTERM, and SIGKILL two seconds
// later.
func (s scripts) end() {
	s.cancel()
	s.running.Wait()
}

// scriptRun is a script that runs.
type scriptRun struct {
	by *process
	// waiting asked for it meanwhile: checks of one script and target that are made at
	// different times, and a process that has replaced the one that asked first.
	waiting []scriptRequest
}

type scriptRequest struct {
	c     *child
	run   *process
	ask   *RunScript
	limit time.Duration
}

// command finds what a child's request names. The child may be ahead of the generation in force, or not yet there.
func (p *parent) command(c *child, ask *RunScript) (command script.Command, key string, ok bool) {
	for _, g := range []*generation{c.want, p.force} {
		if g == nil || ask.Check != nil && g.number != ask.Generation {
			continue
		}
		if command, key, ok = g.command(ask); ok {
			return command, key, true
		}
	}
	return script.Command{}, "", false
}

// runScript runs a script of the configuration for a child. The same script
// never runs twice at a time. A second request of the same process for a track
// script is answered at once; one for a check's script gets the result of the first,
// if the time limit is the same. Any other waits for the end of the first.
func (p *parent) runScript(c *child, run *process, ask *RunScript) {
	if p.phase == stopping {
		run.ch.Send(Message{ScriptDone: &ScriptDone{ID: ask.ID, Name: ask.Name, Result: p.stopReason()}})
		return
	}
	command, key, ok := p.command(c, ask)
	if !ok {
		run.ch.Send(Message{ScriptDone: &ScriptDone{ID: ask.ID, Name: ask.Name, Result: "no such script in the configuration"}})
		return
	}
	if active := p.scripts.active[key]; active != nil {
		if active.by == run && ask.Check == nil {
			run.ch.Send(Message{ScriptDone: &ScriptDone{ID: ask.ID, Name: ask.Name, Result: "still running"}})
			return
		}
		active.waiting = append(active.waiting, scriptRequest{c, run, ask, command.Timeout})
		return
	}
	active := &scriptRun{by: run}
	p.scripts.active[key] = active
	p.scripts.running.Go(func() {
		r := script.Run(p.scripts.ctx, command)
		p.post(func() {
			delete(p.scripts.active, key)
			done := ScriptDone{
				Name: ask.Name, OK: r.OK, Ran: r.Err == nil, Exit: r.ExitStatus, Result: r.String(),
				Output: script.LastBytes(r.Output, maxScriptOutput), Duration: r.Duration,
			}
			for _, asked := range append([]scriptRequest{{c, run, ask, command.Timeout}}, active.waiting...) {
				switch {
				case asked.c.run != asked.run: // it has gone
				case asked.run == run && asked.limit == command.Timeout:
					its := done
					its.ID = asked.ask.ID
					run.ch.Send(Message{ScriptDone: &its})
				default:
					p.runScript(asked.c, asked.run, asked.ask)
				}
			}
		})
	})
}
