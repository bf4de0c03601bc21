package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"director/checkers"
	"director/internal/control"
	"director/internal/top"
)

const (
	// completionLimit is how long a shell may wait for names of the running daemon.
	completionLimit = 500 * time.Millisecond
	// completionServers bounds the real servers that are offered of all virtual servers.
	completionServers = 2000
)

// namer lists names out of what the daemon tells, for a word that begins with something.
type namer func(o *control.Overview, args []string, begun string) []string

// overview asks the running daemon for the names a shell wants to offer. Without one, or
// when it does not answer at once, nothing is offered and nothing is said.
func (o *options) overview(services ...string) *control.Overview {
	var view *control.Overview
	_ = ask(context.Background(), o.socket(), completionLimit, func(ctx context.Context, c *control.Client) (err error) {
		view, err = c.Overview(ctx, control.OverviewQuery{Services: services})
		return err
	})
	if view == nil {
		return &control.Overview{}
	}
	return view
}

// completes offers names of the running daemon, without those that were typed before.
func (o *options) completes(names namer, services func(args []string, begun string) []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		var wanted []string
		if services != nil {
			wanted = services(args, begun)
		}
		return offer(names(o.overview(wanted...), args, begun), args, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// offer leaves those names that begin as the word does and were not typed before.
func offer(names, typed []string, begun string) []string {
	names = slices.DeleteFunc(names, func(n string) bool {
		return n == "" || !strings.HasPrefix(n, begun) || slices.Contains(typed, n)
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// routers are the names of virtual routers and sync groups.
func routers(o *control.Overview, _ []string, _ string) []string {
	var list []string
	for _, i := range o.Instances {
		list = append(list, i.Name)
	}
	return append(list, o.Groups...)
}

func serviceNames(o *control.Overview) []string {
	var list []string
	for _, s := range o.Services {
		list = append(list, s.Name)
	}
	return list
}

// subjects are the names of all that explain and events can be asked for. Behind the name
// of a virtual server and a slash come its real servers.
func subjects(o *control.Overview, _ []string, begun string) []string {
	if service, _, behind := strings.Cut(begun, "/"); behind {
		var list []string
		for _, r := range serversOf(o, service) {
			list = append(list, service+"/"+r)
		}
		return list
	}
	return slices.Concat(routers(o, nil, ""), serviceNames(o), o.Trackers)
}

// subjectService is the virtual server whose real servers subjects needs.
func subjectService(_ []string, begun string) []string {
	if service, _, behind := strings.Cut(begun, "/"); behind {
		return []string{service}
	}
	return nil
}

// serversOf are the names of the real servers of one virtual server.
func serversOf(o *control.Overview, service string) []string {
	var list []string
	for _, s := range o.Services {
		if s.Name != service {
			continue
		}
		for _, r := range s.Servers {
			list = append(list, r.Name)
		}
	}
	return list
}

// completeOrder offers what drain and its like take: a virtual server, and then its real
// servers; with --everywhere those of all.
func (o *options) completeOrder(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if everywhere, _ := cmd.Flags().GetBool("everywhere"); everywhere {
		view := o.overview()
		total := 0
		for _, s := range view.Services {
			total += s.Total
		}
		if total > completionServers {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var list []string
		for _, s := range o.overview(serviceNames(view)...).Services {
			for _, r := range s.Servers {
				list = append(list, r.Name)
			}
		}
		return offer(list, args, begun), cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) == 0 {
		return offer(serviceNames(o.overview()), nil, begun), cobra.ShellCompDirectiveNoFileComp
	}
	list := serversOf(o.overview(args[0]), args[0])
	if len(list) > 1 {
		list = append(list, "all")
	}
	return offer(list, args[1:], begun), cobra.ShellCompDirectiveNoFileComp
}

// usualWeights are offered where a weight is due; any other may be typed.
var usualWeights = []string{"0", "10%", "25%", "50%", "75%"}

// completeWeight offers what weight takes: a virtual server and its real servers as
// completeOrder does, and behind the first of those the weight. Further servers are
// offered to who begins to type one.
func (o *options) completeWeight(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	least := 2
	if everywhere, _ := cmd.Flags().GetBool("everywhere"); everywhere {
		least--
	}
	if len(args) < least {
		return o.completeOrder(cmd, args, begun)
	}
	last := args[len(args)-1]
	if _, err := checkers.ParseWeight(last); len(args) > least && err == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp // the weight is there
	}
	list := slices.DeleteFunc(slices.Clone(usualWeights), func(w string) bool { return !strings.HasPrefix(w, begun) })
	if begun != "" && last != "all" {
		servers, _ := o.completeOrder(cmd, args, begun)
		list = append(list, servers...)
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// listOf lets a flag that takes several values with commas between complete its last one.
func listOf(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		before, last := "", begun
		if i := strings.LastIndexByte(begun, ','); i >= 0 {
			before, last = begun[:i+1], begun[i+1:]
		}
		list, directive := f(cmd, nil, last)
		typed := strings.Split(before, ",")
		var out []string
		for _, name := range list {
			if strings.HasPrefix(name, last) && !slices.Contains(typed, name) {
				out = append(out, before+name)
			}
		}
		return out, directive
	}
}

// words offers fixed values.
func words(list ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
}

// files has the shell offer files whose names end in one of the extensions; up to most
// of them.
func files(most int, extensions ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) >= most:
			return nil, cobra.ShellCompDirectiveNoFileComp
		case len(extensions) == 0:
			return nil, cobra.ShellCompDirectiveDefault
		}
		return slices.Clone(extensions), cobra.ShellCompDirectiveFilterFileExt
	}
}

// namespaces offers the network namespaces that `ip netns` knows.
func namespaces(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var list []string
	entries, _ := os.ReadDir(namespaceDir) // none: nothing is offered
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// kernelServices offers the kernel's services of one protocol that the daemon has, or
// firewall marks.
func (o *options) kernelServices(protocol string) cobra.CompletionFunc {
	return o.completes(func(view *control.Overview, _ []string, _ string) []string {
		var list []string
		for _, s := range view.Services {
			for _, a := range s.Addresses {
				if address, ok := strings.CutSuffix(a, "/"+protocol); ok {
					list = append(list, address)
				} else if mark, ok := strings.CutPrefix(a, protocol+" "); ok {
					list = append(list, strings.TrimSuffix(mark, " ipv6"))
				}
			}
		}
		return list
	}, nil)
}

// describeCompletion gives the command for the shells' scripts the words of this program.
func describeCompletion(c *cobra.Command) {
	c.Short = "print the completion script for a shell"
	c.Long = `Print the script with which a shell completes commands, flags, and the names of
what the running daemon has: virtual routers, virtual servers and their real
servers, trackers, files. The packages install those of bash, zsh and fish.`
	c.Example = "  director completion bash >/etc/bash_completion.d/director\n  director completion zsh >/usr/local/share/zsh/site-functions/_director\n" +
		"  director completion fish >/etc/fish/completions/director.fish"
	c.Args = noSubcommand
	c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, shell := range c.Commands() {
		if shell.Name() == "powershell" {
			c.RemoveCommand(shell)
			continue
		}
		shell.Short = "print the completion script for " + shell.Name()
		shell.Example = "  director completion " + shell.Name()
	}
}

// addCompletion tells for each command of the tree what a shell offers for its arguments
// and flags; those that take nothing get nothing.
func addCompletion(root *cobra.Command, o *options) {
	configs := []string{"toml", "conf"}
	order := o.completeOrder
	router := o.completes(routers, nil)
	arguments := map[string]cobra.CompletionFunc{
		"director check": files(1, configs...), "director plan": files(1, configs...), "director apply": files(1, configs...),
		"director convert": files(1, "conf", "cf"), "director ipvs restore": files(1),
		"director drain": order, "director maintain": order, "director ready": order, "director weight": o.completeWeight,
		"director vrrp release": router, "director vrrp prefer": router, "director vrrp auto": router,
		"director log level": words("debug", "info", "warn", "error", control.LogAuto),
		"director explain": func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.completes(subjects, subjectService)(cmd, args, begun)
		},
	}
	processes := o.completes(func(view *control.Overview, _ []string, _ string) []string {
		var list []string
		for _, p := range view.Processes {
			list = append(list, p.Role)
		}
		return list
	}, nil)
	flags := map[string]cobra.CompletionFunc{
		"config": files(1<<10, configs...), "peer": files(1<<10, configs...),
		"log-level": words("debug", "info", "warn", "error"), "log-format": words("text", "json"), "report": words("text", "json"),
		"color": words(string(colourAuto), string(colourAlways), string(colourNever)),
		"netns": namespaces, "sort": words(top.Orders()...), "process": listOf(processes),
		"kind": listOf(words("address", "alarm", "apply", "bfd", "file", "gate", "group", "instance", "ipvs", "loglevel", "maintenance", "process", "reload", "script",
			"server", "service", "tracker")),
		"subject":     listOf(o.completes(eventSubjects, subjectService)),
		"tcp-service": o.kernelServices("tcp"), "udp-service": o.kernelServices("udp"), "sctp-service": o.kernelServices("sctp"),
		"fwmark-service": o.kernelServices("fwmark"),
	}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if f := arguments[c.CommandPath()]; f != nil {
			c.ValidArgsFunction = f
		} else if c.ValidArgsFunction == nil && !c.HasSubCommands() {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		for name, f := range flags {
			if c.LocalFlags().Lookup(name) != nil {
				_ = c.RegisterFlagCompletionFunc(name, f) // fails for one that has it already
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
}

// eventSubjects are subjects, and the processes.
func eventSubjects(o *control.Overview, args []string, begun string) []string {
	list := subjects(o, args, begun)
	for _, p := range o.Processes {
		list = append(list, p.Role)
	}
	return list
}
