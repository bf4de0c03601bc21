package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"director/internal/configfile"
	"director/internal/ipvsctl"
	"director/ipvs"
	"director/ipvs/kernel"
)

// ipvsOptions are what the commands below `director ipvs` share.
type ipvsOptions struct {
	*options
	configGiven func() bool
	namespace   string
}

func newIPVS(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ipvs",
		Short: "look at the kernel's IPVS table and change it by hand, as with ipvsadm",
		Long: `Look at the kernel's IPVS table and change it by hand, as with ipvsadm. The
commands ask the kernel themselves and need no daemon. They work on the network
namespace of --netns, else on the one whose IPVS the configuration names.`,
		Example: "  director ipvs list\n  director ipvs stats -t 192.0.2.80:80 --watch\n  director ipvs connections --server 10.0.0.11 --counts\n" +
			"  director ipvs save > table && director ipvs restore --diff table",
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	i := &ipvsOptions{options: o}
	i.configGiven = func() bool { return cmd.PersistentFlags().Changed("config") }
	cmd.PersistentFlags().StringVarP(&o.configPath, "config", "c", defaultConfig, "configuration file that names the network namespace")
	cmd.PersistentFlags().StringVar(&i.namespace, "netns", "", "network namespace, as `ip netns` names it")
	cmd.AddCommand(newIPVSList(i), newIPVSNumbers(i, "stats", "show the counters of services and servers", ipvsctl.Stats),
		newIPVSNumbers(i, "rate", "show the rates of the last seconds, each a second", ipvsctl.Rates),
		newIPVSConnections(i), newIPVSZero(i), newIPVSSave(i), newIPVSRestore(i))
	for _, c := range cmd.Commands() {
		if c.Args == nil {
			c.Args = noArguments
		}
	}
	return cmd
}

// open opens the IPVS that is meant.
func (i *ipvsOptions) open() (*kernel.Kernel, error) {
	name := i.namespace
	if name == "" {
		var err error
		if name, err = i.configured(); err != nil {
			return nil, err
		}
	}
	var k *kernel.Kernel
	var err error
	if name == "" {
		k, err = kernel.Open()
	} else {
		k, err = kernel.OpenNamespace(namespaceDir + name)
	}
	if err != nil {
		return nil, &failure{exitFailure, err}
	}
	return k, nil
}

// configured returns the network namespace whose IPVS the configuration means. The
// default file may be missing; one that is named may not.
func (i *ipvsOptions) configured() (string, error) {
	text, err := configfile.ReadAny(i.configPath)
	switch {
	case err != nil && i.configGiven():
		return "", &failure{exitFailure, err}
	case err != nil:
		return "", nil
	case !i.configGiven() && !bytes.Contains(text, []byte("network_namespace")):
		return "", nil // a large file takes a while to parse, and nearly none names one
	}
	cfg, _, err := parse(i.configPath, text)
	if err != nil {
		return "", err
	}
	if cfg.Global.IPVSNamespace != "" {
		return cfg.Global.IPVSNamespace, nil
	}
	return cfg.Global.NetworkNamespace, nil
}

// with opens the IPVS that is meant for the time of a call.
func (i *ipvsOptions) with(f func(*kernel.Kernel) error) error {
	k, err := i.open()
	if err != nil {
		return err
	}
	defer k.Close()
	return f(k)
}

// serviceFlags adds ipvsadm's options that name a service to a command, and returns what
// reads them: false when the command line names none.
func serviceFlags(cmd *cobra.Command) func() (ipvs.ServiceKey, bool, error) {
	flags := cmd.Flags()
	flags.StringP("tcp-service", "t", "", "only this service: ADDRESS:PORT of TCP")
	flags.StringP("udp-service", "u", "", "only this service: ADDRESS:PORT of UDP")
	flags.String("sctp-service", "", "only this service: ADDRESS:PORT of SCTP")
	flags.StringP("fwmark-service", "f", "", "only this service: a firewall mark")
	flags.BoolP("ipv6", "6", false, "with -f: the service of IPv6")
	return func() (ipvs.ServiceKey, bool, error) {
		text := "-D"
		for _, name := range []string{"tcp-service", "udp-service", "sctp-service", "fwmark-service"} {
			if flags.Changed(name) {
				text += " --" + name + " " + flags.Lookup(name).Value.String()
			}
		}
		if flags.Changed("ipv6") {
			text += " -6"
		}
		if text == "-D" {
			return ipvs.ServiceKey{}, false, nil
		}
		list, err := ipvs.ParseCommands(text, ipvs.Names{})
		var wrong ipvs.CommandErrors
		if errors.As(err, &wrong) {
			err = wrong[0].Err
		}
		if err != nil {
			return ipvs.ServiceKey{}, false, &usageError{err}
		}
		return list[0].Op.Key, true, nil
	}
}

// readTable reads the table, or one service of it.
func readTable(k *kernel.Kernel, only ipvs.ServiceKey, one bool) (ipvsctl.Table, error) {
	t := ipvsctl.Table{Version: k.Info().Version, Size: k.Info().TableSize, One: one}
	var keep func(ipvs.ServiceKey) bool
	if one {
		keep = func(key ipvs.ServiceKey) bool { return key == only }
	}
	var err error
	if t.Table, t.Stats, err = k.Read(keep); err != nil {
		return t, &failure{exitFailure, err}
	}
	if one && len(t.Table) == 0 {
		return t, &failure{exitFailure, fmt.Errorf("the table has no service %v", only)}
	}
	return t, nil
}

// listing is a command that shows the table, once or again and again.
type listing struct {
	view            ipvsctl.View
	asJSON, resolve bool
	watching
	service func() (ipvs.ServiceKey, bool, error)
	instead func(*kernel.Kernel) (text string, value any, err error) // nil: the table
}

func (l *listing) flags(cmd *cobra.Command) {
	l.service = serviceFlags(cmd)
	cmd.Flags().BoolVar(&l.asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&l.resolve, "resolve", false, "print names of addresses and ports, where there are any")
	l.watching.flags(cmd)
}

// run shows it.
func (l *listing) run(cmd *cobra.Command, i *ipvsOptions) error {
	only, one, err := l.service()
	if err != nil {
		return err
	}
	if l.resolve {
		l.view.Names = hostNames()
	}
	return i.with(func(k *kernel.Kernel) error {
		return l.watching.run(cmd, l.asJSON, func(_ context.Context, out io.Writer) error { return l.show(out, k, only, one) })
	})
}

// show shows it once.
func (l *listing) show(out io.Writer, k *kernel.Kernel, only ipvs.ServiceKey, one bool) error {
	if l.instead != nil {
		text, value, err := l.instead(k)
		switch {
		case err != nil:
			return &failure{exitFailure, err}
		case l.asJSON:
			return l.print(out, value)
		}
		_, err = io.WriteString(out, text)
		return err
	}
	t, err := readTable(k, only, one)
	if err != nil {
		return err
	}
	if l.asJSON {
		return l.print(out, t.Document())
	}
	_, err = out.Write(t.Text(l.view))
	return err
}

// hostNames are the names that this host knows.
func hostNames() *ipvsctl.Names {
	f, err := os.Open("/etc/services")
	if err != nil {
		return ipvsctl.NewNames(nil) // then ports stay numbers
	}
	defer f.Close()
	return ipvsctl.NewNames(f)
}

func newIPVSList(i *ipvsOptions) *cobra.Command {
	var l listing
	var thresholds, persistent, tunnels, timeouts, daemons bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "show services and servers",
		Example: "  director ipvs list\n  director ipvs list -t 192.0.2.80:80 --thresholds\n  director ipvs list --json | jq '.services[].address'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := atMostOne(cmd, "thresholds", "persistent-conn", "tun-info", "timeout", "daemon"); err != nil {
				return err
			}
			switch {
			case thresholds:
				l.view.Columns = ipvsctl.Thresholds
			case persistent:
				l.view.Columns = ipvsctl.Persistent
			case tunnels:
				l.view.Columns = ipvsctl.Tunnels
			case timeouts:
				l.instead = func(k *kernel.Kernel) (string, any, error) {
					t, err := k.Timeouts()
					return ipvsctl.Timeouts(t), map[string]int64{"tcp": int64(t.TCP.Seconds()), "tcpfin": int64(t.TCPFin.Seconds()), "udp": int64(t.UDP.Seconds())}, err
				}
			case daemons:
				l.instead = func(k *kernel.Kernel) (string, any, error) {
					list, err := k.SyncDaemons()
					return ipvsctl.Daemons(list), ipvsctl.DaemonList(list), err
				}
			}
			return l.run(cmd, i)
		},
	}
	l.flags(cmd)
	cmd.Flags().BoolVar(&thresholds, "thresholds", false, "show the limits of connections")
	cmd.Flags().BoolVar(&persistent, "persistent-conn", false, "show how many clients persistence binds")
	cmd.Flags().BoolVar(&tunnels, "tun-info", false, "show how packets are wrapped")
	cmd.Flags().BoolVar(&timeouts, "timeout", false, "show the timeouts of connections instead")
	cmd.Flags().BoolVar(&daemons, "daemon", false, "show the connection-sync daemons instead")
	return cmd
}

func newIPVSNumbers(i *ipvsOptions, name, short string, columns ipvsctl.Columns) *cobra.Command {
	l := listing{view: ipvsctl.View{Columns: columns}}
	cmd := &cobra.Command{
		Use:     name,
		Short:   short,
		Example: fmt.Sprintf("  director ipvs %s\n  director ipvs %s -t 192.0.2.80:80 --watch", name, name),
		RunE:    func(cmd *cobra.Command, _ []string) error { return l.run(cmd, i) },
	}
	l.flags(cmd)
	cmd.Flags().BoolVar(&l.view.Exact, "exact", false, "write large numbers out instead of rounding them; JSON always does")
	return cmd
}

// atMostOne refuses a command line with more than one of some flags.
func atMostOne(cmd *cobra.Command, names ...string) error {
	first := ""
	for _, name := range names {
		switch {
		case !cmd.Flags().Changed(name):
		case first != "":
			return &usageError{fmt.Errorf("--%s and --%s do not go together", first, name)}
		default:
			first = name
		}
	}
	return nil
}
