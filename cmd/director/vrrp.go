package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"director/internal/control"
)

// newVRRP returns the commands that move virtual addresses on purpose.
func newVRRP(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vrrp",
		Short: "hand virtual addresses over to the peer, and take them back",
		Long: `Move virtual routers on purpose: before a host is updated, or to see that the peer can
serve. INSTANCE is the name of a vrrp_instance or of a sync group; the members of a
group move together.

` + standingLasting,
		Example: "  director vrrp release web --reason \"kernel update\" --for 1h\n  director vrrp prefer web\n  director vrrp auto web",
	}
	cmd.AddCommand(
		newStanding(o, control.VerbRelease, "give up being MASTER, and stay the last resort", `Hand the addresses over now. The instance says good-bye with priority 0, so that a backup
needs only its skew time, and from then on advertises priority 1: it is MASTER again only
when no other router is left. `, "  director vrrp release web --reason \"kernel update\" --for 1h"),
		newStanding(o, control.VerbPrefer, "become MASTER, whatever the priorities are", `Take the addresses over. The instance advertises priority 254, and preempts a MASTER of lower
priority also where nopreempt or a preempt_delay is configured. What keeps it in FAULT, and
promotion gates, count as ever.`, "  director vrrp prefer web"),
		newStanding(o, control.VerbAuto, "go back to what the configuration says", `End what was ordered by release or prefer. Whether the addresses come back is then up to
priorities and preemption, as always.`, "  director vrrp auto web"),
	)
	for _, c := range cmd.Commands() {
		c.SilenceUsage = true
	}
	return cmd
}

const standingLasting = `What is ordered holds until the next order, or for the time of --for: through reloads, and
through the end and the start of every process of director.`

// standingFlags are what the commands share.
type standingFlags struct {
	control.Order
	asJSON bool
	limit  time.Duration
}

func newStanding(o *options, verb, short, long, example string) *cobra.Command {
	f := &standingFlags{Order: control.Order{Verb: verb}}
	if verb != control.VerbAuto {
		long += "\n\n" + standingLasting + ` The command waits until it has
happened; it ends with 5 when that takes longer than --timeout.`
	}
	cmd := &cobra.Command{
		Use: verb + " INSTANCE...", Short: short, Long: long, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("usage: %s", cmd.UseLine())}
			}
			f.Instances, f.Claimed = args, os.Getenv("SUDO_USER")
			return checkFor(cmd, f.For)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.OutOrStdout(), o.socket()) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	flags.StringVar(&f.Reason, "reason", "", "why, for those who look at status and events")
	if verb != control.VerbAuto {
		flags.DurationVar(&f.For, "for", 0, "end the order by itself after this time")
		flags.DurationVar(&f.limit, "timeout", 15*time.Second, "how long to wait until it has happened; the order stays in force")
	}
	return cmd
}

func (f *standingFlags) run(out io.Writer, socket string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	begun := time.Now()
	r, err := give(ctx, socket, f.Order)
	if err != nil {
		return err
	}
	missing := ""
	for deadline := begun.Add(f.limit); f.limit > 0; {
		var happened []string
		if happened, missing, err = f.outcome(ctx, socket, r, begun); err != nil {
			return err
		}
		if missing == "" {
			if !f.asJSON {
				for _, line := range happened {
					fmt.Fprintln(out, line)
				}
			}
			break
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if f.asJSON {
		if err := printJSON(out, r); err != nil {
			return err
		}
	} else if f.limit == 0 {
		for _, i := range r.Instances {
			now := control.VerbAuto
			if i.Now != nil {
				now = i.Now.Order
			}
			fmt.Fprintf(out, "%s: %s, was %s\n", i.Name, now, i.Was)
		}
	}
	if missing != "" {
		return &failure{exitLeft, fmt.Errorf("not done after %v: %s; the order stays in force", time.Since(begun).Round(time.Second), missing)}
	}
	return nil
}

// outcome tells where the instances are that the order was for, and what is missing.
func (f *standingFlags) outcome(ctx context.Context, socket string, r control.OrderResult, begun time.Time) (happened []string, missing string, err error) {
	var s *control.Status
	err = ask(ctx, socket, orderTimeout, func(ctx context.Context, c *control.Client) (err error) {
		s, err = c.Status(ctx)
		return err
	})
	if err != nil || s.VRRP == nil {
		return nil, "", err
	}
	for _, o := range r.Instances {
		for _, i := range s.VRRP.Instances {
			if i.Name != o.Name {
				continue
			}
			switch {
			case i.State == "FAULT":
				happened = append(happened, fmt.Sprintf("%s is in FAULT: %s", i.Name, i.Reason))
			case f.Verb == control.VerbRelease && i.State == "MASTER":
				missing = i.Name + " is MASTER: " + i.Reason
			case f.Verb == control.VerbRelease && i.Master == "":
				missing = i.Name + " waits for another router: none is heard yet"
			case f.Verb == control.VerbRelease:
				happened = append(happened, fmt.Sprintf("%s is %s, %s is MASTER after %v", i.Name, i.State, i.Master, time.Since(begun).Round(time.Millisecond)))
			case i.State != "MASTER":
				missing = i.Name + " is " + i.State + ": " + i.Reason
			default:
				happened = append(happened, fmt.Sprintf("%s is MASTER after %v", i.Name, time.Since(begun).Round(time.Millisecond)))
			}
		}
	}
	return happened, missing, nil
}
