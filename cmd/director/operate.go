package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"director/internal/control"
)

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func newStatus(o *options) *cobra.Command {
	var asJSON, watch, all bool
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show processes, virtual addresses and pools, and why they are as they are",
		Long: `Show who has which address since when and why, and what is not in order. What is in order is told in
short; --all shows it as well.`,
		Example: "  director status\n  director status --all\n  director status --watch\n  director status --json | jq '.vrrp.instances[].state'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			out := cmd.OutOrStdout()
			isTerminal, colour := terminal(out)
			show := func(w io.Writer) error {
				return showStatus(ctx, w, o.socket(), asJSON, watch, control.View{Colour: colour, All: all})
			}
			if !watch {
				return show(out)
			}
			if interval < 100*time.Millisecond {
				return &usageError{fmt.Errorf("--interval %v: must be at least 100ms", interval)}
			}
			separator := "\n"
			if asJSON {
				separator = ""
			}
			return repeat(ctx, out, isTerminal && !asJSON, separator, interval, show)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show also what is in order")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "print it again and again; with --json one line each time")
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "time between two prints of --watch")
	return cmd
}

// showStatus asks the daemon once and prints the answer.
func showStatus(ctx context.Context, out io.Writer, socket string, asJSON, line bool, view control.View) error {
	var s *control.Status
	if err := ask(ctx, socket, 10*time.Second, func(ctx context.Context, c *control.Client) (err error) {
		s, err = c.Status(ctx)
		return err
	}); err != nil {
		return err
	}
	if !asJSON {
		view.Now = time.Now()
		return control.Render(out, s, view)
	}
	enc := json.NewEncoder(out)
	if !line {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(s)
}

// repeat calls show until ctx ends, and writes what it shows: on a cleared screen,
// or one after another with a separator between. A daemon that does not answer is
// no reason to give up.
func repeat(ctx context.Context, out io.Writer, clear bool, separator string, interval time.Duration, show func(io.Writer) error) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		var page bytes.Buffer // written at once, so that the screen does not flicker
		if err := show(&page); err != nil && ctx.Err() == nil {
			page.Reset()
			fmt.Fprintln(&page, "director:", err)
		}
		begin, end := "", separator
		if clear {
			begin, end = "\x1b[H\x1b[2J", ""
		}
		if _, err := io.WriteString(out, begin+page.String()+end); err != nil {
			if errors.Is(err, syscall.EPIPE) {
				return nil
			}
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// ask connects to the daemon and calls f with a time limit.
func ask(ctx context.Context, socket string, limit time.Duration, f func(context.Context, *control.Client) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	c, err := control.Dial(ctx, socket)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(ctx, c)
}

// reloadLines is how many lines of each kind of change a reload prints.
const reloadLines = 20

func newReload(o *options) *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "put the changed configuration in force, or say why not",
		Long: `Have the daemon read its configuration again and wait until it is in force in
every process. What it changed at once is printed; director plan tells it
before. When it is invalid, or a process refuses it, nothing changes
and the reasons are printed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(context.Background(), o.socket(), limit, func(ctx context.Context, c *control.Client) error {
				r, err := c.Reload(ctx)
				if err != nil {
					return err
				}
				for _, w := range r.Warnings {
					fmt.Fprintln(cmd.ErrOrStderr(), w)
				}
				if !r.OK {
					for _, e := range r.Errors {
						fmt.Fprintln(cmd.ErrOrStderr(), e)
					}
					return &failure{exitFailure, errors.New("the reload was refused, nothing has changed")}
				}
				fmt.Fprintln(cmd.OutOrStdout(), "the new configuration is in force")
				if r.Changes == nil {
					return nil
				}
				return control.RenderChanges(cmd.OutOrStdout(), r.Changes, reloadLines, viewFor(cmd.OutOrStdout()))
			})
		},
	}
	cmd.Flags().DurationVar(&limit, "timeout", 2*time.Minute, "how long to wait")
	return cmd
}

func newStop(o *options) *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "stop the daemon and wait until it is gone",
		RunE: func(*cobra.Command, []string) error {
			return ask(context.Background(), o.socket(), limit, func(ctx context.Context, c *control.Client) error {
				return c.Stop(ctx)
			})
		},
	}
	cmd.Flags().DurationVar(&limit, "timeout", 2*time.Minute, "how long to wait")
	return cmd
}

func newVersion(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version of this program, and of the daemon when it runs another",
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(cmd.OutOrStdout(), "director", versionText())
			var running string
			err := ask(context.Background(), o.socket(), time.Second, func(ctx context.Context, c *control.Client) (err error) {
				running, err = c.Version(ctx)
				return err
			})
			if err == nil && running != versionText() {
				fmt.Fprintln(cmd.OutOrStdout(), "the running daemon is", running)
			}
			return nil
		},
	}
}
