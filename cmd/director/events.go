package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"director/internal/control"
	"director/internal/watchdog"
)

// eventFilter says which events are shown.
type eventFilter struct {
	kinds, subjects []string
	since           time.Duration
	number          int
}

func (f *eventFilter) keep(list []control.Event) []control.Event {
	return slices.DeleteFunc(slices.Clone(list), func(e control.Event) bool {
		owner, _, _ := strings.Cut(e.Subject, "/")
		return len(f.kinds) > 0 && !slices.Contains(f.kinds, e.Kind) ||
			len(f.subjects) > 0 && !slices.Contains(f.subjects, e.Subject) && !slices.Contains(f.subjects, owner) ||
			f.since > 0 && time.Since(e.Time) > f.since
	})
}

func newEvents(o *options) *cobra.Command {
	var f eventFilter
	var asJSON, follow bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "tell what has happened, and why",
		Long: `Tell the changes of state that the daemon remembers, oldest first: at most the
newest 1000, also those from before it was restarted. When no daemon runs,
what the last one has left is told.`,
		Example: "  director events\n  director events --follow\n  director events --kind instance,alarm --since 1h\n  director events --subject web --json | jq .reason",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.number < 1 {
				return &usageError{fmt.Errorf("--number %d: must be at least 1", f.number)}
			}
			for _, k := range f.kinds {
				if !slices.Contains(control.EventKinds(), k) {
					return &usageError{fmt.Errorf("--kind %q: allowed are %s", k, strings.Join(control.EventKinds(), ", "))}
				}
			}
			if cmd.Flags().Changed("since") && f.since <= 0 {
				return &usageError{fmt.Errorf("--since %v: must be more than 0", f.since)}
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			show := func(list []control.Event) error { return showEvents(cmd, list, asJSON) }
			list, err := pastEvents(ctx, cmd.ErrOrStderr(), o, follow)
			if err != nil {
				return err
			}
			var last uint64
			if len(list) > 0 {
				last = list[len(list)-1].Seq
			}
			list = f.keep(list)
			if err := show(list[max(0, len(list)-f.number):]); err != nil || !follow {
				return err
			}
			return followEvents(ctx, cmd.ErrOrStderr(), o.socket(), last, func(list []control.Event) error { return show(f.keep(list)) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one event a line")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on, also when the daemon is restarted")
	cmd.Flags().IntVarP(&f.number, "number", "n", 50, "how many past events to tell at most")
	cmd.Flags().StringSliceVar(&f.kinds, "kind", nil, "only of these kinds: "+strings.Join(control.EventKinds(), ", "))
	cmd.Flags().StringSliceVar(&f.subjects, "subject", nil, "only about these names; that of an instance or virtual server means what belongs to it, too")
	cmd.Flags().DurationVar(&f.since, "since", 0, "only those that are not older")
	return cmd
}

func newExplain(o *options) *cobra.Command {
	var asJSON bool
	var w watching
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "tell how something is, and how it came to that",
		Long: `Tell all that is known of one thing, and its history: an instance, a sync group,
a virtual server, a real server (virtual-server/real-server), a tracker or a
BFD session. The history has what it depends on, too: its trackers, its
process, reloads.`,
		Example: "  director explain VI_1\n  director explain web/10.0.0.11:80",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return &usageError{fmt.Errorf("%s takes one name, got %q", cmd.CommandPath(), args)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return w.run(cmd, asJSON, func(ctx context.Context, out io.Writer) error {
				var s *control.Status
				var list []control.Event
				err := ask(ctx, o.socket(), 10*time.Second, func(ctx context.Context, c *control.Client) (err error) {
					if s, err = c.Status(ctx); err == nil {
						list, err = c.Events(ctx, control.EventQuery{})
					}
					return err
				})
				if err != nil {
					return err
				}
				if !asJSON {
					return control.Explain(out, s, args[0], list, viewFor(cmd))
				}
				part, known := s.About(args[0])
				if !known {
					return &failure{exitFailure, fmt.Errorf("there is nothing called %q", args[0])}
				}
				return w.print(out, struct {
					Status *control.Status `json:"status"`
					Events []control.Event `json:"events"`
				}{&part, part.EventsAbout(args[0], list)})
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	w.flags(cmd)
	return cmd
}

func showEvents(cmd *cobra.Command, list []control.Event, asJSON bool) error {
	out := cmd.OutOrStdout()
	if !asJSON {
		return control.RenderEvents(out, list, viewFor(cmd))
	}
	enc := json.NewEncoder(out)
	for i := range list {
		if err := enc.Encode(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// pastEvents asks the daemon, or reads what the last one has left.
func pastEvents(ctx context.Context, notes io.Writer, o *options, follow bool) (list []control.Event, err error) {
	err = ask(ctx, o.socket(), 10*time.Second, func(ctx context.Context, c *control.Client) (err error) {
		list, err = c.Events(ctx, control.EventQuery{})
		return err
	})
	if !errors.Is(err, control.ErrNotRunning) {
		return list, err
	}
	left, readErr := watchdog.ReadJournal(o.runtimeDir)
	if readErr != nil || len(left) == 0 && !follow {
		return nil, err
	}
	fmt.Fprintln(notes, "director is not running; this is what the last one has left")
	return left, nil
}

// followEvents shows events as they come until ctx ends. A daemon that does not
// answer is waited for: its numbers go on where they were.
func followEvents(ctx context.Context, notes io.Writer, socket string, last uint64, show func([]control.Event) error) error {
	away := false
	for ctx.Err() == nil {
		var list []control.Event
		err := ask(ctx, socket, control.MaxEventWait+10*time.Second, func(ctx context.Context, c *control.Client) (err error) {
			list, err = c.Events(ctx, control.EventQuery{After: last, Wait: control.MaxEventWait})
			return err
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !away {
				fmt.Fprintln(notes, "director:", err, "- waiting for it")
			}
			away = true
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
			continue
		}
		away = false
		if len(list) > 0 {
			last = list[len(list)-1].Seq
			if err := show(list); err != nil {
				if errors.Is(err, syscall.EPIPE) {
					return nil
				}
				return err
			}
		}
	}
	return nil
}
