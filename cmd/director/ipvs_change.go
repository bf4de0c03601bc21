package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"director/internal/configfile"
	"director/internal/control"
	"director/internal/ipvsctl"
	"director/ipvs"
	"director/ipvs/kernel"
)

func newIPVSConnections(i *ipvsOptions) *cobra.Command {
	var filter ipvsctl.Filter
	var client, server string
	var asJSON, resolve, counts, engines bool
	var w watching
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "show the connections that IPVS remembers",
		Long: `Show the connections that IPVS remembers, and with port 0 the clients that
persistence binds to their servers. With --json one connection a line; with
--watch as well, a list of all on one line each time.`,
		Example: "  director ipvs connections -t 192.0.2.80:443 --state ESTABLISHED\n  director ipvs connections --server 10.0.0.11 --counts\n" +
			"  director ipvs connections --client 198.51.100.0/24",
	}
	service := serviceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		key, one, err := service()
		if err != nil {
			return err
		}
		if key.FWMark != 0 {
			return &usageError{errors.New("-f: a connection does not tell the firewall mark of its service; choose by address")}
		}
		if one {
			filter.Virtual, filter.Protocol = key.Addr, key.Protocol.String()
		}
		if err := atMostOne(cmd, "counts", "persistent-conn"); err != nil {
			return err
		}
		if err := addressFilter(&filter, client, server); err != nil {
			return err
		}
		view := ipvsctl.View{}
		if engines {
			view.Columns = ipvsctl.Persistent
		}
		if resolve {
			view.Names = hostNames()
		}
		return i.with(func(k *kernel.Kernel) error {
			return w.run(cmd, asJSON, func(_ context.Context, to io.Writer) error {
				if w.on && asJSON && !counts {
					return connectionList(to, k, filter)
				}
				out := bufio.NewWriterSize(to, 64<<10)
				err := showConnections(out, k, filter, view, counts, asJSON)
				if flushErr := out.Flush(); err == nil {
					err = flushErr
				}
				return err
			})
		})
	}
	flags := cmd.Flags()
	flags.StringVar(&client, "client", "", "only of this client: an address or a network")
	flags.StringVar(&server, "server", "", "only to this real server: ADDRESS or ADDRESS:PORT")
	flags.StringVar(&filter.State, "state", "", "only in this state, such as ESTABLISHED")
	flags.BoolVar(&filter.WithoutBinding, "no-templates", false, "leave out the clients that persistence binds")
	flags.BoolVar(&counts, "counts", false, "count them by protocol and state instead")
	flags.BoolVar(&engines, "persistent-conn", false, "show the data of the persistence engine")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	flags.BoolVar(&resolve, "resolve", false, "print names of addresses and ports, where there are any")
	w.flags(cmd)
	return cmd
}

// connectionList writes connections as one list in JSON.
func connectionList(out io.Writer, k *kernel.Kernel, filter ipvsctl.Filter) error {
	list := []ipvsctl.Connection{}
	err := k.Connections(func(c ipvs.Connection) bool {
		if filter.Has(c) {
			list = append(list, ipvsctl.Of(c))
		}
		return true
	})
	if err != nil {
		return &failure{exitFailure, err}
	}
	return json.NewEncoder(out).Encode(list)
}

// addressFilter reads which client and which real server are meant.
func addressFilter(f *ipvsctl.Filter, client, server string) error {
	if client != "" {
		p, err := netip.ParsePrefix(client)
		if a, addrErr := netip.ParseAddr(client); addrErr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return &usageError{fmt.Errorf("--client %q: allowed is an address, or a network such as 198.51.100.0/24", client)}
		}
		f.Client = p.Masked()
	}
	if server != "" {
		at, err := netip.ParseAddrPort(server)
		if a, addrErr := netip.ParseAddr(strings.Trim(server, "[]")); addrErr == nil {
			at, err = netip.AddrPortFrom(a, 0), nil
		}
		if err != nil {
			return &usageError{fmt.Errorf("--server %q: allowed is ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT", server)}
		}
		f.Server = at
	}
	return nil
}

func showConnections(out io.Writer, k *kernel.Kernel, filter ipvsctl.Filter, view ipvsctl.View, counts, asJSON bool) error {
	enc := json.NewEncoder(out)
	numbers := ipvsctl.Counts{}
	if !counts && !asJSON {
		if err := ipvsctl.ConnectionsHeading(out, view.Columns == ipvsctl.Persistent); err != nil {
			return err
		}
	}
	var failed error
	err := k.Connections(func(c ipvs.Connection) bool {
		switch {
		case !filter.Has(c):
		case counts:
			numbers.Add(c)
		case asJSON:
			failed = enc.Encode(ipvsctl.Of(c))
		default:
			failed = view.Connection(out, c)
		}
		return failed == nil
	})
	if err == nil && counts && asJSON {
		err = enc.Encode(numbers.List())
	} else if err == nil && counts {
		_, err = io.WriteString(out, numbers.Text())
	}
	return errors.Join(err, failed)
}

func newIPVSZero(i *ipvsOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "zero",
		Short:   "set counters to zero: those of one service and its servers, or all",
		Example: "  director ipvs zero -t 192.0.2.80:80\n  director ipvs zero",
	}
	service := serviceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		key, one, err := service()
		if err != nil {
			return err
		}
		return i.with(func(k *kernel.Kernel) error {
			if one { // the kernel's answer names no object
				if _, err := readTable(k, key, true); err != nil {
					return err
				}
			}
			if n := i.running(); n > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "director runs here and shows %s: their counters begin anew there, too\n", count(n, "virtual server"))
			}
			if err := k.Zero(key); err != nil {
				return &failure{exitFailure, err}
			}
			return nil
		})
	}
	return cmd
}

// running asks how many virtual servers a running daemon has; none when none runs.
func (i *ipvsOptions) running() int {
	var s *control.Status
	err := ask(context.Background(), i.socket(), 2*time.Second, func(ctx context.Context, c *control.Client) (err error) {
		s, err = c.Status(ctx)
		return err
	})
	if err != nil || s.Checkers == nil {
		return 0
	}
	return len(s.Checkers.Services)
}

func newIPVSSave(i *ipvsOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "save",
		Short: "print the table so that restore or ipvsadm-restore can read it",
		Long: `Print the table as the commands of ipvsadm that make it, for director ipvs
restore, for ipvsadm-restore, or for director convert. Thresholds of
connections, which ipvsadm forgets to save, are saved.`,
		Example: "  director ipvs save >table && director ipvs restore --diff table\n  director ipvs save -t 192.0.2.80:80",
	}
	service := serviceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		key, one, err := service()
		if err != nil {
			return err
		}
		return i.with(func(k *kernel.Kernel) error {
			t, err := readTable(k, key, one)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), t.Table.String())
			return err
		})
	}
	return cmd
}

func newIPVSRestore(i *ipvsOptions) *cobra.Command {
	var clear, diff, dry, resolve bool
	cmd := &cobra.Command{
		Use:   "restore [FILE]",
		Short: "change the table by commands in the language of ipvsadm",
		Long: `Change the table by what director ipvs save or ipvsadm-save has written, or by
other commands in the language of ipvsadm, one a line: from FILE, or from
standard input. Every line is read and tried out against the table before
anything is changed; when one is wrong, all that are wrong are told and the
table stays. Only the outcome of the commands counts: it is reached in batches
and without detours.`,
		Example: "  ipvsadm-save -n | director ipvs restore --netns lab\n  director ipvs restore --diff /etc/ipvsadm.rules\n  director ipvs restore --dry-run --clear table",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{fmt.Errorf("%s takes one file, got %q", cmd.CommandPath(), args)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := atMostOne(cmd, "clear", "diff"); err != nil {
				return err
			}
			name := "standard input"
			read := func() ([]byte, error) { return configfile.From(cmd.InOrStdin(), name) }
			if len(args) > 0 && args[0] != "-" {
				name = args[0]
				read = func() ([]byte, error) { return configfile.ReadAny(name) }
			}
			text, err := read()
			if err != nil {
				return &failure{exitFailure, err}
			}
			names := ipvs.Names{}
			if resolve {
				names = hostNames().Parsing()
			}
			list, err := ipvs.ParseCommands(string(text), names)
			if err != nil {
				return refuseLines(cmd, name, err)
			}
			how := ipvsctl.Add
			switch {
			case clear:
				how = ipvsctl.Replace
			case diff:
				how = ipvsctl.Differ
			}
			return i.with(func(k *kernel.Kernel) error {
				have, err := k.Dump()
				if err != nil {
					return &failure{exitFailure, err}
				}
				todo, err := ipvsctl.PlanRestore(have, list, how)
				if err != nil {
					return refuseLines(cmd, name, err)
				}
				if dry {
					return printRestore(cmd.OutOrStdout(), todo)
				}
				if n := i.running(); n > 0 && (todo.Clear || len(todo.Ops) > 0) {
					fmt.Fprintf(cmd.ErrOrStderr(), "director runs here and has %s: it puts back what differs from its configuration, at the latest after its reconcile_interval\n",
						count(n, "virtual server"))
				}
				if err := todo.Run(k); err != nil {
					return &failure{exitFailure, err}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&clear, "clear", false, "remove every service first")
	cmd.Flags().BoolVar(&diff, "diff", false, "make the table exactly what the commands say, by the differences: what stays keeps its connections and counters")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print what would be done, and do nothing")
	cmd.Flags().BoolVar(&resolve, "resolve", false, "allow names of addresses and ports")
	return cmd
}

// refuseLines tells what is wrong with which line, as editors like it.
func refuseLines(cmd *cobra.Command, name string, err error) error {
	var wrong ipvs.CommandErrors
	if !errors.As(err, &wrong) {
		return &failure{exitFailure, err}
	}
	for _, e := range wrong {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d: %v\n", name, e.Line, e.Err)
	}
	return &failure{exitFailure, errors.New("nothing has been changed")}
}

func printRestore(out io.Writer, r ipvsctl.Restore) error {
	w := bufio.NewWriter(out)
	if r.Clear {
		fmt.Fprintln(w, ipvs.Command{Clear: true})
	}
	for _, op := range r.Ops {
		fmt.Fprintln(w, op)
	}
	return w.Flush()
}
