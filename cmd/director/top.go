package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"director/internal/control"
	"director/internal/top"
)

func newTop(o *options) *cobra.Command {
	var settings top.Settings
	var b top.Batch
	var batch, once bool
	var order, namespace string
	cmd := &cobra.Command{
		Use:   "top",
		Short: "watch connections, packets and bytes, live",
		Long: `Watch what goes through the virtual servers: new connections, packets and bytes a second, connections
that are open, the health of their real servers, and above them who is MASTER and how the
daemon's processes are. On a terminal; h tells the keys.

Rates are the kernel's averages over the last seconds. They are read from the kernel by this
command, and only of what is on the screen; the daemon is asked for states alone. When it
is lost, the numbers go on, and it is waited for.

With --batch, --once or --json, or where standard output is no terminal, it is printed as text
or JSON.`,
		Example: "  director top\n  director top --sort bytes --filter \"web down\" --expand\n  director top --batch --interval 10s >>traffic.log\n" +
			"  director top --json | jq '.services[] | {name, rates}'",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if settings.Order, err = top.ParseOrder(order); err != nil {
				return &usageError{fmt.Errorf("--sort: %w", err)}
			}
			if settings.Interval < top.MinInterval || settings.Interval > top.MaxInterval {
				return &usageError{fmt.Errorf("--interval %v: allowed is %v to %v", settings.Interval, top.MinInterval, top.MaxInterval)}
			}
			if b.Count < 0 {
				return &usageError{fmt.Errorf("--number %d: must not be negative", b.Count)}
			}
			out := cmd.OutOrStdout()
			settings.Colour = colours(cmd, out)
			source := &top.Live{Socket: o.socket(), Namespace: namespace}
			defer source.Close()
			if isTerminal(out) && !batch && !once && !b.JSON && b.Count == 0 {
				if !isTerminal(cmd.InOrStdin()) || os.Getenv("TERM") == "dumb" {
					return &failure{exitFailure, errors.New("this terminal cannot show it live: --batch prints it")}
				}
				if first := source.Sample(top.Want{}); refused(first) {
					return first.Lost
				}
				return top.Run(cmd.InOrStdin().(*os.File), out.(*os.File), source, settings)
			}
			if once || b.Count == 0 && !batch {
				b.Count = 1
			}
			return printTop(cmd, source, settings, b)
		},
	}
	flags := cmd.Flags()
	flags.DurationVarP(&settings.Interval, "interval", "d", 2*time.Second, "time between two looks; the kernel counts anew every two seconds")
	flags.StringVar(&order, "sort", top.ByConnections.String(), "what to sort by: connections (new ones), packets, bytes, active, inactive, state (worst first) or name")
	flags.BoolVarP(&settings.Reverse, "reverse", "r", false, "sort the other way round")
	flags.StringVar(&settings.Filter, "filter", "", "only services that have all these words in their names, addresses, states or servers")
	flags.BoolVarP(&settings.Expand, "expand", "e", false, "show the real servers of all services")
	flags.BoolVarP(&batch, "batch", "b", false, "print it again and again instead")
	flags.IntVarP(&b.Count, "number", "n", 0, "print it so many times; 0: until it is interrupted")
	flags.BoolVar(&once, "once", false, "print it once")
	flags.BoolVar(&b.JSON, "json", false, "print JSON; with --batch or -n one line each time")
	flags.StringVar(&namespace, "netns", "", "network namespace whose IPVS is read, as `ip netns` names it; default: the daemon's")
	return cmd
}

// refused says that the daemon does not tell this user anything: unlike one that is away it will not do so later either.
func refused(s top.Sample) bool { return errors.Is(s.Lost, fs.ErrPermission) }

// printTop prints the view. One that is wanted once is no use without the daemon and the
// kernel; of a series something may come yet.
func printTop(cmd *cobra.Command, source top.Source, s top.Settings, b top.Batch) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	first := source.Sample(top.Want{})
	useless := first.Lost != nil && (first.Kernel != nil || errors.Is(first.Lost, control.ErrNotRunning) && len(first.Stats) == 0)
	if refused(first) || b.Count == 1 && useless {
		return first.Lost
	}
	err := top.Print(ctx, cmd.OutOrStdout(), source, s, b)
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
