package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	var asJSON, all bool
	var w watching
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show processes, virtual addresses and pools, and why they are as they are",
		Long: `Show who has which address since when and why, and what is not in order. What is in order is told in
short; --all shows it as well.`,
		Example: "  director status\n  director status --all\n  director status --watch\n  director status --json | jq '.vrrp.instances[].state'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			view := viewFor(cmd)
			view.All = all
			return w.run(cmd, asJSON, func(ctx context.Context, out io.Writer) error {
				s, err := askStatus(ctx, o.socket())
				if err != nil {
					return err
				}
				if asJSON {
					return w.print(out, s)
				}
				view.Now = time.Now()
				return control.Render(out, s, view)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show also what is in order")
	w.flags(cmd)
	return cmd
}

// askStatus asks the daemon how it is.
func askStatus(ctx context.Context, socket string) (s *control.Status, err error) {
	err = ask(ctx, socket, 10*time.Second, func(ctx context.Context, c *control.Client) (err error) {
		s, err = c.Status(ctx)
		return err
	})
	return s, err
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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "put the changed configuration in force, or say why not",
		Long: `Have the daemon read its configuration again and wait until it is in force in
every process. What it changed at once is printed; director plan tells it
before. When it is invalid, or a process refuses it, nothing changes
and the reasons are printed.`,
		Example: "  director check && director reload\n  director reload --json | jq .changes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(context.Background(), o.socket(), limit, func(ctx context.Context, c *control.Client) error {
				r, err := c.Reload(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					if err := printJSON(cmd.OutOrStdout(), r); err != nil {
						return err
					}
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
				if asJSON {
					return nil
				}
				fmt.Fprintln(cmd.OutOrStdout(), "the new configuration is in force")
				if r.Changes == nil {
					return nil
				}
				return control.RenderChanges(cmd.OutOrStdout(), r.Changes, reloadLines, viewFor(cmd))
			})
		},
	}
	cmd.Flags().DurationVar(&limit, "timeout", 2*time.Minute, "how long to wait")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newStop(o *options) *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "stop the daemon and wait until it is gone",
		Long: `Stop the daemon and wait until it is gone: the addresses go to the peer first, then the IPVS table is
emptied, unless keep_ipvs_on_stop is set. A service manager is better told itself
(systemctl stop director), else it may start the daemon again.`,
		Example: "  director stop\n  director stop --timeout 10s",
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
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "print the version of this program, and of the daemon when it runs another",
		Example: "  director version\n  director version --json | jq -r .daemon",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var running string
			err := ask(context.Background(), o.socket(), time.Second, func(ctx context.Context, c *control.Client) (err error) {
				running, err = c.Version(ctx)
				return err
			})
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Program string `json:"program"`
					Daemon  string `json:"daemon,omitempty"` // empty: none answers
				}{versionText(), running})
			}
			fmt.Fprintln(cmd.OutOrStdout(), "director", versionText())
			if err == nil && running != versionText() {
				fmt.Fprintln(cmd.OutOrStdout(), "the running daemon is", running)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
