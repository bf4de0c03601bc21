package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"director/config"
	"director/internal/checkd"
	"director/internal/configfile"
	"director/internal/control"
	"director/internal/vrrpd"
	"director/internal/watchdog"
)

// serviceStateDir is where systemd keeps the state of the service.
const serviceStateDir = "/var/lib/director"

// exitChanges is the status of a plan that has changes.
const exitChanges = 2

func newPlan(o *options) *cobra.Command {
	var asJSON bool
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "tell what a reload would change, and change nothing",
		Long: `Tell exactly what a reload of FILE would change, by default of the file in use: which keys differ, each operation on the
kernel's IPVS table in the language of ipvsadm, which virtual routers and sockets start, end or change, and which addresses,
routes and rules come and go. The running daemon works it out against the kernel as it is now. Nothing is changed.

When no daemon runs, it tells what a start would do, by default with
` + defaultConfig + `.

Exit status:
  0  nothing would change
  1  it cannot be told, or the configuration would be refused
  2  something would change`,
		Example: "  director plan\n  director plan ./new.toml\n  director plan --json new.toml | jq -r '.changes.ipvs[]'",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &failure{exitFailure, fmt.Errorf("%s takes one file, got %q", cmd.CommandPath(), args)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var q control.PlanQuery
			if len(args) > 0 {
				var err error
				if q.File, q.Text, err = readFile(args[0]); err != nil {
					return &failure{exitFailure, err}
				}
			}
			var plan control.Plan
			err := ask(context.Background(), o.socket(), limit, func(ctx context.Context, c *control.Client) (err error) {
				plan, err = c.Plan(ctx, q)
				return err
			})
			if errors.Is(err, control.ErrNotRunning) {
				fmt.Fprintln(cmd.ErrOrStderr(), "director is not running; this is what a start would do")
				plan, err = planStart(o, q.File)
			}
			if err != nil {
				return &failure{exitFailure, err}
			}
			return showPlan(cmd, &plan, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().DurationVar(&limit, "timeout", 2*time.Minute, "how long to wait")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &failure{exitFailure, err} })
	return cmd
}

// readFile returns the absolute path of a file and its content.
func readFile(name string) (path string, text []byte, err error) {
	if path, err = filepath.Abs(name); err == nil {
		text, err = configfile.ReadAny(path)
	}
	return path, text, err
}

// showPlan prints a plan; its error has the exit status.
func showPlan(cmd *cobra.Command, plan *control.Plan, asJSON bool) error {
	for _, w := range plan.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), w)
	}
	out := cmd.OutOrStdout()
	var err error
	switch {
	case asJSON:
		err = printJSON(out, plan)
	case len(plan.Errors) == 0:
		err = control.RenderPlan(out, plan, viewFor(cmd))
	}
	if err != nil {
		return err
	}
	for _, e := range plan.Errors {
		fmt.Fprintln(cmd.ErrOrStderr(), e)
	}
	switch {
	case len(plan.Errors) > 0:
		return &failure{exitFailure, errors.New("the configuration would be refused")}
	case !plan.Changes.None():
		return &failure{status: exitChanges}
	}
	return nil
}

// planStart works out what a start would do.
func planStart(o *options, file string) (control.Plan, error) {
	if file == "" {
		file = defaultConfig
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return control.Plan{}, err
	}
	if err := enterNamespace(path); err != nil {
		return control.Plan{}, err
	}
	return watchdog.ForeseeStart(watchdog.Options{
		ConfigPath: path, Parse: parse, Find: positions, Foresee: foresee(o.runtimeDir), Leftovers: leftovers(o.runtimeDir),
	})
}

// foresee works out what a child would do that was started with a configuration.
func foresee(runtimeDir string) func(watchdog.Role, *config.Config) (*control.Changes, error) {
	return func(r watchdog.Role, c *config.Config) (*control.Changes, error) {
		if r == watchdog.RoleVRRP {
			return vrrpd.Foresee(c), nil
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		state := stateDir()
		if state == "" && runtimeDir == watchdog.DefaultRuntimeDir {
			state = serviceStateDir
		}
		return checkd.Foresee(ctx, checkd.Options{RuntimeDir: runtimeDir, StateDir: state}, c)
	}
}

// leftovers reports whether a child must run to take away what a former run left.
func leftovers(runtimeDir string) func(watchdog.Role) bool {
	return func(r watchdog.Role) bool { return r == watchdog.RoleCheckers && checkd.OwnsServices(runtimeDir) }
}
