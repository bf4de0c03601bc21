// Command director is an LVS director with built-in VRRP: the daemon, and the
// commands with which its operator looks after it.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
)

// version is set by the build: -ldflags "-X main.version=...".
var version = ""

// The exit statuses, as the help text tells them.
const (
	exitOK         = 0
	exitFailure    = 1 // it did not work, the configuration is invalid, or doctor found something broken
	exitUsage      = 2 // the command line is wrong
	exitLeftOut    = 2 // convert: something could not be carried over
	exitFinal      = 3 // run: a child cannot do its work; starting again does not help
	exitNotRunning = 4 // no daemon answers
	exitLeft       = 5 // drain, ready: the time was over before it was done
)

const defaultConfig = "/etc/director/director.toml"

const longHelp = `director balances connections over real servers with the kernel's IPVS, and
keeps virtual addresses alive on two or more machines with VRRP.

Exit status:
  0  done as asked
  1  it did not work, was refused, or the configuration is invalid;
     doctor: something is broken
     plan: everything that is wrong, the command line too
  2  the command line is wrong
     plan: something would change; convert: something was left out
  3  run: the daemon gave up for an error that starting again cannot mend
  4  status, reload, stop, drain and others that ask the daemon: none answers
     at the control socket
  5  drain --wait: connections were left; ready --wait: it does not serve yet`

func main() {
	// A child has its role as the whole of its argument vector, so that ps shows
	// nothing else.
	if role, ok := watchdog.RoleOf(os.Args); ok {
		os.Exit(runChild(role))
	}
	os.Exit(execute(newRoot(), os.Args[1:]))
}

// failure is an error with an exit status of its own. Without a text, it has
// been told already.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// execute runs the command line and returns the exit status.
func execute(root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	var f *failure
	var invalid config.Errors
	var final *watchdog.FinalError
	status, usage := exitFailure, false
	switch {
	case errors.As(err, &f):
		status = f.status
	case errors.As(err, &final):
		status = exitFinal
	case errors.Is(err, control.ErrNotRunning):
		status = exitNotRunning
	case errors.As(err, &invalid):
		// Each on a line that begins with file:line, as editors like it.
		for _, e := range invalid {
			fmt.Fprintln(root.ErrOrStderr(), e.Error())
		}
		return exitFailure
	case errors.As(err, new(*usageError)):
		status, usage = exitUsage, true
	}
	if text := err.Error(); text != "" {
		// A child's error begins with its title, which is "director: vrrp", say.
		fmt.Fprintln(root.ErrOrStderr(), "director:", strings.TrimPrefix(text, "director: "))
	}
	if usage {
		fmt.Fprintln(root.ErrOrStderr(), "`director --help` tells more")
	}
	return status
}

// usageError is what is wrong with a command line.
type usageError struct{ err error }

func (u *usageError) Error() string { return u.err.Error() }

// noSubcommand are the arguments of a command that only holds others: what is left for it is the name of none.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("unknown command %q of %s", args[0], cmd.CommandPath())}
	}
	return nil
}

// options are what all commands share.
type options struct {
	configPath string
	runtimeDir string
	colour     colourMode
}

func (o *options) socket() string { return watchdog.SocketPath(o.runtimeDir) }

// newRoot builds the tree of commands.
func newRoot() *cobra.Command {
	o := &options{colour: colourAuto}
	var showVersion bool
	root := &cobra.Command{
		Use:           "director",
		Short:         "LVS director with built-in VRRP",
		Long:          longHelp,
		Example:       "  director check && director reload\n  director status\n  director explain web",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				fmt.Fprintln(cmd.OutOrStdout(), "director", versionText())
				return nil
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&showVersion, "version", false, "print the version of this program")
	runtimeDir := os.Getenv("DIRECTOR_RUNTIME_DIR")
	if runtimeDir == "" {
		runtimeDir = watchdog.DefaultRuntimeDir
	}
	root.PersistentFlags().StringVar(&o.runtimeDir, "runtime-dir", runtimeDir, "folder of the control socket and the locks (environment: DIRECTOR_RUNTIME_DIR)")
	root.PersistentFlags().Var(&o.colour, "color", "use colours: auto (on a terminal, unless NO_COLOR is set), always or never")
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [command]",
		Short: "help about a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return &usageError{fmt.Errorf("unknown command %q", strings.Join(args, " "))}
			}
			return about.Help()
		},
	})
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newRun(o), newCheck(o), newDoctor(o), newStatus(o), newEvents(o), newExplain(o), newReload(o), newStop(o), newVersion(o), newIPVS(o), newDemo(), newChild())
	root.AddCommand(newConvert())
	root.AddCommand(newPlan(o), newApply(o), newConfirm(o), newUndo(o))
	root.AddCommand(newSchema(), newInit())
	root.AddCommand(newOrders(o)...)
	root.AddCommand(newVRRP(o), newTop(o), newLogCommand(o))
	root.AddCommand(manual()...)
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			describeCompletion(c)
		}
		if c.Args == nil {
			c.Args = noArguments
		}
	}
	addCompletion(root, o)
	return root
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args)}
	}
	return nil
}

// configFlag adds -c to a command.
func configFlag(cmd *cobra.Command, o *options) {
	cmd.Flags().StringVarP(&o.configPath, "config", "c", defaultConfig, "configuration file")
}

// versionText is the version of this program: what the build says, else what the
// Go tool knows of the source.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (text == "" || text == "(devel)") {
			text = s.Value[:min(12, len(s.Value))]
		}
	}
	if text == "" || text == "(devel)" {
		return "unknown"
	}
	return text
}
