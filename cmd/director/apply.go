package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"director/internal/control"
)

// asker is who calls the command, as far as the kernel cannot know it.
func asker() control.Asker { return control.Asker{Claimed: os.Getenv("SUDO_USER")} }

func newApply(o *options) *cobra.Command {
	var within, limit time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "put another file in force, and undo it unless it is confirmed",
		Long: `Put FILE in force in place of the configured file, and wait until it is so in every process. When it is invalid, or a
process refuses it, nothing changes and the reasons are printed.

With --confirm it is on trial: unless director confirm comes within the time, what was in force before is so again, whatever
has become of this command, of the connection to it and of the daemon's child processes. On a terminal, Enter confirms.
When the daemon itself dies meanwhile, its next start takes the configured file, which is replaced on confirmation only: by
FILE's text, with its former text beside it in a file whose name ends in .before-apply. Until then a reload is refused.
director undo takes it back at once.

Without --confirm FILE is confirmed as soon as it is in force.`,
		Example: "  director plan new.toml; director apply new.toml --confirm 60s\n  director confirm",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("%s takes one file, got %d", cmd.CommandPath(), len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			file, text, err := readFile(args[0])
			if err != nil {
				return &failure{exitFailure, err}
			}
			if cmd.Flags().Changed("confirm") && (within < control.MinConfirm || within > control.MaxConfirm) {
				return &usageError{fmt.Errorf("--confirm %v: allowed is %v to %v", within, control.MinConfirm, control.MaxConfirm)}
			}
			var r control.ApplyResult
			err = ask(context.Background(), o.socket(), limit, func(ctx context.Context, c *control.Client) (err error) {
				r, err = c.Apply(ctx, control.ApplyQuery{File: file, Text: text, Confirm: within, Asker: asker()})
				return err
			})
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if err := applyResult(cmd, &r, asJSON, "nothing has changed"); err != nil || asJSON {
				return err
			}
			if r.Changes != nil {
				if err := control.RenderChanges(out, r.Changes, reloadLines, viewFor(cmd)); err != nil {
					return err
				}
			}
			if r.Trial == nil {
				fmt.Fprintf(out, "%s is in force, and is the text of %s; the former text is in %s\n", file, r.Replaced, r.Backup)
				return nil
			}
			fmt.Fprintf(out, "%s is in force and will be undone at %s: `director confirm` keeps it, `director undo` takes it back\n",
				file, r.Trial.Deadline.Format(time.TimeOnly))
			if isTerminal(cmd.InOrStdin()) {
				return awaitEnter(cmd, o, cmd.InOrStdin(), r.Trial)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&within, "confirm", 0, "put it on trial: undo it unless it is confirmed within this time, 5s to 24h")
	cmd.Flags().DurationVar(&limit, "timeout", 2*time.Minute, "how long to wait until it is in force")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, and do not ask for a confirmation")
	return cmd
}

// awaitEnter confirms when Enter is pressed, and tells when the trial has ended without.
func awaitEnter(cmd *cobra.Command, o *options, in io.Reader, t *control.Trial) error {
	fmt.Fprintln(cmd.OutOrStdout(), "Enter confirms it now; Ctrl-C leaves it on trial")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	entered := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(in).ReadString('\n')
		entered <- err
	}()
	select {
	case err := <-entered:
		if err != nil {
			return nil // the terminal is gone; the trial goes on
		}
		return endTrial(cmd, o, false, (*control.Client).Confirm)
	case <-ctx.Done():
		return nil
	case <-time.After(time.Until(t.Deadline)):
		return &failure{exitFailure, fmt.Errorf("%s was not confirmed in time and is undone", t.File)}
	}
}

func newConfirm(o *options) *cobra.Command {
	return newTrialEnd(o, (*control.Client).Confirm, &cobra.Command{
		Use:     "confirm",
		Short:   "keep what director apply has put on trial",
		Long:    "Keep what director apply has put on trial: the configured file gets its text.",
		Example: "  director apply new.toml --confirm 60s\n  director confirm",
	})
}

func newUndo(o *options) *cobra.Command {
	return newTrialEnd(o, (*control.Client).Undo, &cobra.Command{
		Use:     "undo",
		Short:   "take back what director apply has put on trial",
		Long:    "Take back what director apply has put on trial: what was in force before is so again.",
		Example: "  director apply new.toml --confirm 10m\n  director undo",
	})
}

// trialEnd is what ends a trial.
type trialEnd = func(*control.Client, context.Context, control.Asker) (control.ApplyResult, error)

// newTrialEnd makes cmd end a trial.
func newTrialEnd(o *options, end trialEnd, cmd *cobra.Command) *cobra.Command {
	var asJSON bool
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return endTrial(cmd, o, asJSON, end) }
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// endTrial confirms or undoes what is on trial.
func endTrial(cmd *cobra.Command, o *options, asJSON bool, end trialEnd) error {
	var r control.ApplyResult
	err := ask(context.Background(), o.socket(), 2*time.Minute, func(ctx context.Context, c *control.Client) (err error) {
		r, err = end(c, ctx, asker())
		return err
	})
	if err != nil {
		return err
	}
	if err := applyResult(cmd, &r, asJSON, "it did not work"); err != nil || asJSON {
		return err
	}
	out := cmd.OutOrStdout()
	if r.Replaced == "" {
		fmt.Fprintln(out, "what was in force before is so again")
		return nil
	}
	fmt.Fprintf(out, "confirmed: %s has the text that is in force; its former text is in %s\n", r.Replaced, r.Backup)
	return nil
}

// applyResult prints warnings and errors; the error has the exit status.
func applyResult(cmd *cobra.Command, r *control.ApplyResult, asJSON bool, failed string) error {
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), w)
	}
	if r.OK {
		return nil
	}
	for _, e := range r.Errors {
		fmt.Fprintln(cmd.ErrOrStderr(), e)
	}
	return &failure{exitFailure, errors.New(failed)}
}
