package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"director/config"
	"director/internal/control"
	"director/internal/secret"
	"director/internal/watchdog"
)

func newCheck(o *options) *cobra.Command {
	var peer string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "check a configuration file",
		Long: `Check a configuration file without touching anything. Every error and warning
is printed as file:line: what; the exit status is 1 when there is an error. A file
whose name ends in .conf is in the language of keepalived.

With --peer the file is compared with that of the other host: what must agree and
does not is an error, such as the virtual router ID or the password.`,
		Example: "  director check -c ./director.toml && director reload\n  director check /etc/keepalived/keepalived.conf\n" +
			"  director check --peer /tmp/director.toml.of.lb2",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.configPath = args[0]
			}
			text, err := os.ReadFile(o.configPath)
			if err != nil {
				return &failure{exitFailure, err}
			}
			cfg, warnings, err := parse(o.configPath, text)
			for _, w := range warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), w.String())
			}
			if err != nil {
				return err
			}
			find := positions(o.configPath, text)
			if err := config.FillSecrets(find, cfg, secret.Read); err != nil {
				return err
			}
			if cfg, err = watchdog.WithScriptUser(cfg); err != nil {
				return &failure{exitFailure, err}
			}
			warnings, err = watchdog.CheckScripts(find, cfg)
			for _, w := range warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), w.String())
			}
			if err != nil {
				return err
			}
			if peer != "" {
				if err := comparePeer(cmd, config.Side{Name: o.configPath, Find: find, Config: cfg}, peer); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: valid: %s, %s\n", o.configPath,
				count(len(cfg.Instances), "VRRP instance"), count(len(cfg.VirtualServers), "virtual server"))
			return nil
		},
	}
	configFlag(cmd, o)
	cmd.Flags().StringVar(&peer, "peer", "", "the file of the other host, to compare with")
	return cmd
}

// comparePeer compares a valid configuration with that of the other host.
func comparePeer(cmd *cobra.Command, own config.Side, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return &failure{exitFailure, err}
	}
	cfg, _, err := parse(path, text)
	if err != nil {
		return err
	}
	errs, warnings := config.ComparePeers(own, config.Side{Name: path, Find: positions(path, text), Config: cfg})
	for _, w := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), w.String())
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

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

func newReload(o *options) *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "put the changed configuration in force, or say why not",
		Long: `Have the daemon read its configuration again and wait until it is in force in
every process. When it is invalid, or a process refuses it, nothing changes
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
				return nil
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
