package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"director/internal/demo"
)

func newDemo() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "two directors, two web servers, one address: see the main job done",
		Long: `Play the main job on machines made of network namespaces: a client asks for pages
without pause while a web server, a process, a whole machine fail and return,
and the configuration changes. A timeline tells what happens; what director
promises is checked, and the exit status is 1 when a promise is not kept.

Nothing of this machine is touched. Where the kernel has no IPVS the demo boots one
that has, as an ordinary process (User Mode Linux).`,
		Example: "  director demo\n  director demo --keep",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			out := cmd.OutOrStdout()
			o := demo.Options{Keep: keep, Colour: colours(cmd, out), Stdout: out, Width: demo.Width()}
			screen := isTerminal(out)
			if screen && o.Width == 0 {
				o.Width, _, _ = term.GetSize(int(out.(*os.File).Fd())) // 0, the default, when nobody knows
			}
			if screen && isTerminal(os.Stdin) {
				o.Terminal = os.Stdin
			}
			err := demo.Run(ctx, o)
			var inside *demo.InsideError
			switch {
			case errors.As(err, &inside):
				return &failure{status: inside.Status}
			case errors.Is(err, demo.ErrInterrupted):
				return &failure{128 + int(syscall.SIGINT), err}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the machines standing at the end, to look around in them")
	return cmd
}
