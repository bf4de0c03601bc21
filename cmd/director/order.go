package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"director/internal/control"
)

// orderFlags are what the commands for maintenance share.
type orderFlags struct {
	control.Order
	everywhere, wait, asJSON bool
	limit                    time.Duration
}

const orderNames = `
SERVICE is a virtual server's name or address: web, 192.0.2.1:80/tcp, "fwmark 3".
SERVER is a real server's name, its address with or without the port, a pattern
such as "app*" in quotes, or all. With --everywhere SERVICE is left out, and
the real servers are looked for in every virtual server: a machine often stands
in many.`

const orderLasting = `
What is ordered holds until the next order: through reloads, and through the end and the
start of every process of director. It ends when the server leaves the
configuration. A peer is not told: give the order there as well.`

// newOrders returns the commands for maintenance.
func newOrders(o *options) []*cobra.Command {
	drain := newOrder(o, control.VerbDrain, "drain", "give real servers no new connections, and let those that are there end", `Take real servers out of service gently: they get no new connections (weight 0), while
connections and persistent clients that are there go on.

With --deadline a server is taken out altogether, as by maintain, as soon as it has no
active connection and no persistent client any more, and at the deadline in any
case. Without, it stays with weight 0. With --wait the command counts down until no
connection is left, and ends with

  0  no connection was left
  1  the order was ended by somebody else, or by its own time
  5  the deadline came first, or the time of --timeout`,
		"  director drain web app1 --reason \"kernel update\" --deadline 10m --wait\n  director drain --everywhere 10.0.0.11 --for 2h\n  director drain web \"rack2-*\"")
	drain.cmd.Flags().DurationVar(&drain.Deadline, "deadline", 0, "take it out of service when no connection is left, and after this time in any case")

	maintain := newOrder(o, control.VerbMaintain, "maintain", "take real servers out of service at once", `Take real servers out of service at once: they leave the kernel's table, or stay there
with weight 0 where inhibit_on_failure is set. Their checks go on, so that
status tells when they are well again, but what becomes of them is no news and
sets off no notification.`,
		"  director maintain web app1 --reason \"disk\"\n  director maintain --everywhere 10.0.0.11 --for 1h")

	ready := newOrder(o, control.VerbReady, "ready", "put real servers back under their health's control", `End what was ordered for real servers by drain, maintain or weight. They serve as soon
as their checks say that they are well. With --wait the command ends when they do: 0, or 5
when the time of --timeout comes first.`,
		"  director ready web app1 --wait\n  director ready --everywhere 10.0.0.11")

	weight := newOrder(o, control.VerbWeight, "weight", "give real servers another weight", `Give real servers another weight than the configuration does: a number, or hundredths of the
configured one (50%). What checks say about the weight, such as an agent, counts
on top. A weight of 0 is a drain without an end.`,
		"  director weight web app1 10\n  director weight web \"canary*\" 5% --for 30m")
	return []*cobra.Command{drain.cmd, maintain.cmd, ready.cmd, weight.cmd}
}

type orderCommand struct {
	*orderFlags
	cmd *cobra.Command
}

func newOrder(o *options, verb, name, short, long, example string) orderCommand {
	f := &orderFlags{Order: control.Order{Verb: verb}}
	use := name + " SERVICE SERVER..."
	if verb == control.VerbWeight {
		use += " WEIGHT"
	}
	long += "\n" + orderNames
	if verb != control.VerbReady {
		long += "\n" + orderLasting
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: func(cmd *cobra.Command, args []string) error { return f.take(cmd, args) },
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, o.socket()) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.everywhere, "everywhere", false, "in every virtual server; SERVICE is left out")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	flags.StringVar(&f.Reason, "reason", "", "why, for those who look at status and events")
	if verb != control.VerbReady {
		flags.DurationVar(&f.For, "for", 0, "end the order by itself after this time")
		flags.BoolVar(&f.Force, "force", false, "also when no server would serve any more, the quorum would be lost, or it cannot be written down")
	}
	if verb == control.VerbDrain || verb == control.VerbReady {
		flags.BoolVar(&f.wait, "wait", false, "wait for the end, and tell how it goes")
		flags.DurationVar(&f.limit, "timeout", 0, "with --wait: how long to wait at most; the order stays in force")
	}
	return orderCommand{f, cmd}
}

// checkFor tells what is wrong with the flag --for of an order: none at all would not mean at once, but for ever.
func checkFor(cmd *cobra.Command, span time.Duration) error {
	if cmd.Flags().Changed("for") && span <= 0 {
		return &usageError{fmt.Errorf("--for %v: is how long the order holds, more than 0; without it, it holds until it is taken back", span)}
	}
	return nil
}

// take takes the arguments.
func (f *orderFlags) take(cmd *cobra.Command, args []string) error {
	least := 2
	if f.everywhere {
		least--
	}
	if f.Verb == control.VerbWeight {
		least++
	}
	if len(args) < least {
		return &usageError{fmt.Errorf("usage: %s", cmd.UseLine())}
	}
	if err := checkFor(cmd, f.For); err != nil {
		return err
	}
	if f.limit != 0 && !f.wait {
		return &usageError{errors.New("--timeout is how long to --wait")}
	}
	if f.Verb == control.VerbWeight {
		f.Weight, args = args[len(args)-1], args[:len(args)-1]
	}
	if !f.everywhere {
		f.Service, args = args[0], args[1:]
	}
	f.Servers = args
	f.Claimed = os.Getenv("SUDO_USER")
	return nil
}

// orderTimeout is how long the daemon may take to carry an order out.
const orderTimeout = 30 * time.Second

// patience is how long --wait bears a daemon that does not answer.
const patience = time.Minute

func (f *orderFlags) run(cmd *cobra.Command, socket string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r, err := give(ctx, socket, f.Order)
	if err != nil {
		return err
	}
	if !f.wait {
		return showOrder(cmd, r, f.asJSON)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "director: note:", n)
	}
	var over <-chan time.Time
	if f.limit > 0 {
		t := time.NewTimer(f.limit)
		defer t.Stop()
		over = t.C
	}
	return f.follow(ctx, cmd, socket, r, over)
}

// give hands an order to the daemon.
func give(ctx context.Context, socket string, o control.Order) (r control.OrderResult, err error) {
	err = ask(ctx, socket, orderTimeout, func(ctx context.Context, c *control.Client) (err error) {
		r, err = c.Order(ctx, o)
		return err
	})
	return r, err
}

func showOrder(cmd *cobra.Command, r control.OrderResult, asJSON bool) error {
	if !asJSON {
		return control.RenderOrder(cmd.OutOrStdout(), r, viewFor(cmd))
	}
	return printJSON(cmd.OutOrStdout(), r)
}

// follow tells how the servers are until what was ordered is done. A daemon that does
// not answer meanwhile is waited for: the order outlives it.
func (f *orderFlags) follow(ctx context.Context, cmd *cobra.Command, socket string, r control.OrderResult, over <-chan time.Time) error {
	out := cmd.OutOrStdout()
	live := isTerminal(out)
	show := f.Order
	show.Verb, show.Weight, show.For, show.Deadline = control.VerbShow, "", 0, 0
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var shown string
	lines := 0
	var away time.Time // since when nobody answers
	for {
		state, done := f.progress(r)
		if !f.asJSON && (live || state != shown) {
			var page bytes.Buffer
			if live && lines > 0 {
				fmt.Fprintf(&page, "\x1b[%dA\x1b[J", lines)
			}
			if err := control.RenderOrder(&page, control.OrderResult{Servers: r.Servers}, viewFor(cmd)); err != nil {
				return err
			}
			if _, err := out.Write(page.Bytes()); err != nil {
				return err
			}
			lines, shown = bytes.Count(page.Bytes(), []byte{'\n'}), state
		}
		if done {
			if f.asJSON {
				if err := showOrder(cmd, r, true); err != nil {
					return err
				}
			}
			return f.outcome(r)
		}
		select {
		case <-tick.C:
		case <-over:
			return &failure{exitLeft, fmt.Errorf("not done after %v; the order stays in force", f.limit)}
		case <-ctx.Done():
			return &failure{exitFailure, errors.New("not waited for the end; the order stays in force")}
		}
		next, err := give(ctx, socket, show)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			r, away = next, time.Time{}
		case away.IsZero():
			away = time.Now()
			fmt.Fprintln(cmd.ErrOrStderr(), "director:", err, "- waiting")
		case time.Since(away) > patience:
			return err
		}
	}
}

// progress tells how far an order is, as a text that changes with it, and whether it is
// done.
func (f *orderFlags) progress(r control.OrderResult) (state string, done bool) {
	done = true
	for _, s := range r.Servers {
		state += fmt.Sprintf("%s %d %d %d;", s.Override.What(), s.Active, s.Persistent, s.KernelWeight)
		if f.Verb == control.VerbReady {
			done = done && s.Installed && s.KernelWeight > 0
		} else {
			done = done && (s.Override == nil || s.Override.Order != control.VerbDrain || !s.Override.Drained.IsZero())
		}
	}
	return state, done
}

// outcome is how a drain ended.
func (f *orderFlags) outcome(r control.OrderResult) error {
	if f.Verb == control.VerbReady {
		return nil
	}
	for _, s := range r.Servers {
		name := s.Service + "/" + s.Name
		switch o := s.Override; {
		case o == nil || o.Order == control.VerbWeight || o.Order == control.VerbMaintain && o.After == "":
			return &failure{exitFailure, fmt.Errorf("%s does not drain any more: it is %s", name, o.What())}
		case o.After == control.AfterDeadline:
			return &failure{exitLeft, fmt.Errorf("%s: the deadline cut off %d connections", name, o.Left)}
		}
	}
	return nil
}
