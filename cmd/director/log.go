package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"director/internal/control"
	"director/internal/logging"
)

// newLogCommand returns the commands about the running daemon's log.
func newLogCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "log",
		Short:   "change what the running daemon logs",
		Long:    `Change what the running daemon logs, without a change of the configuration.`,
		Example: "  director log level debug --for 10m --process vrrp\n  director log level auto",
		Args:    noSubcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLogLevelCommand(o))
	return cmd
}

func newLogLevelCommand(o *options) *cobra.Command {
	var q control.LogQuery
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "level [debug|info|warn|error|auto]",
		Short: "show the log level of each process, or put another in force",
		Long: `Show the log level of each process, or put another in force. It holds until auto goes back to
what the configuration says, for the time of --for, or until the daemon ends; a process that is
started again keeps it. status shows it, and events who has ordered it.`,
		Example: "  director log level\n  director log level debug --for 10m --process vrrp,checkers\n  director log level auto",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{fmt.Errorf("level takes one word, got %q", args)}
			}
			if len(args) == 0 {
				return nil
			}
			q.Level = args[0]
			if q.Level == control.LogAuto {
				return nil
			}
			if _, err := logging.ParseLevel(q.Level); err != nil {
				return &usageError{fmt.Errorf("%w, or %s", err, control.LogAuto)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("for") && (q.Level == "" || q.Level == control.LogAuto || q.For < time.Second) {
				return &usageError{fmt.Errorf("--for %v: is how long a level holds, at least 1s", q.For)}
			}
			q.Claimed = os.Getenv("SUDO_USER")
			var list []control.LogLevel
			err := ask(context.Background(), o.socket(), 10*time.Second, func(ctx context.Context, c *control.Client) (err error) {
				list, err = c.LogLevels(ctx, q)
				return err
			})
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(cmd.OutOrStdout(), list)
			}
			return control.RenderLogLevels(cmd.OutOrStdout(), list, viewFor(cmd))
		},
	}
	cmd.Flags().DurationVar(&q.For, "for", 0, "go back by itself after this time")
	cmd.Flags().StringSliceVar(&q.Processes, "process", nil, "only of these: parent, vrrp, checkers, web, snmp")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
