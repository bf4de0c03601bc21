package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"director/config/pair"
)

// question is one thing that init has to know: a flag, and what is asked for it.
type question struct {
	flag  string
	short string // for the help
	ask   string // on the terminal; empty: it is only a flag
	// proposal is the answer of somebody who just presses Return; it may look at the
	// answers before. required: there is no such answer.
	proposal func(*answers) string
	required bool
	wanted   func(*answers) bool // nil: always
	set      func(*answers, string) error
}

// answers are the plan and what it is made of.
type answers struct {
	pair.Plan
	farm     pair.Farm
	wantsKey bool
}

func newInit() *cobra.Command {
	var force bool
	var dir string
	given := make(map[string]*string)
	cmd := &cobra.Command{
		Use:   "init",
		Short: "write the configurations of two hosts that back each other up",
		Long: `Write a working pair of configurations, one file for each of two hosts, from a few
answers: on a terminal they are asked for, and each may be given as a flag. Without
a terminal the flags have to say everything that has no usual answer.

The files are checked as "director check --peer" does. A file that exists is not
overwritten without --force. Nothing else is changed; what is left to do is printed.`,
		Example: "  director init\n  director init --a lb1=192.0.2.1 --b lb2=192.0.2.2 --interface eth0 --vip 192.0.2.10/24 --track nginx\n" +
			"  director init --a lb1=192.0.2.1 --b lb2=192.0.2.2 --interface eth0 --vip 192.0.2.10/24 \\\n" +
			"    --servers 10.0.0.11,10.0.0.12 --method nat --inside eth1=10.0.0.1/24 --check http:/health",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var lines *bufio.Scanner
			if isTerminal(cmd.OutOrStdout()) && isTerminal(cmd.InOrStdin()) {
				lines = bufio.NewScanner(cmd.InOrStdin())
			}
			a, err := interview(lines, cmd.OutOrStdout(), given, func(flag string) bool { return cmd.Flags().Changed(flag) })
			if err != nil {
				return err
			}
			return writePair(cmd.OutOrStdout(), a, dir, force)
		},
	}
	for _, q := range questions() {
		given[q.flag] = cmd.Flags().String(q.flag, "", q.short)
	}
	cmd.Flags().StringVar(&dir, "output", ".", "folder of the two files")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite files that exist")
	return cmd
}

// interview gathers the answers: from the flags, else from lines, else the proposals.
func interview(lines *bufio.Scanner, out io.Writer, given map[string]*string, changed func(string) bool) (*answers, error) {
	a := new(answers)
	var missing []string
	for _, q := range questions() {
		if q.wanted != nil && !q.wanted(a) && !changed(q.flag) {
			continue
		}
		proposal := ""
		if q.proposal != nil {
			proposal = q.proposal(a)
		}
		switch {
		case changed(q.flag):
			if err := q.set(a, *given[q.flag]); err != nil {
				return nil, &usageError{fmt.Errorf("--%s: %w", q.flag, err)}
			}
		case lines != nil && q.ask != "":
			if err := q.put(a, lines, out, proposal); err != nil {
				return nil, err
			}
		case proposal == "" && q.required:
			missing = append(missing, "--"+q.flag)
		default:
			if err := q.set(a, proposal); err != nil {
				return nil, &usageError{fmt.Errorf("--%s: %w", q.flag, err)}
			}
		}
	}
	if len(missing) > 0 {
		return nil, &usageError{fmt.Errorf("there is nobody to be asked, so that %s must be given", strings.Join(missing, ", "))}
	}
	if len(a.farm.Servers) > 0 {
		a.Farm = &a.farm
	}
	if a.wantsKey {
		key := make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return nil, err
		}
		a.Key = "hex:" + hex.EncodeToString(key)
	}
	return a, nil
}

// put asks until the answer is right.
func (q *question) put(a *answers, lines *bufio.Scanner, out io.Writer, proposal string) error {
	for {
		shown := ""
		if proposal != "" {
			shown = " [" + proposal + "]"
		}
		fmt.Fprintf(out, "%s%s: ", q.ask, shown)
		if !lines.Scan() {
			fmt.Fprintln(out)
			return errors.Join(errors.New("the questions were not answered, and nothing was written"), lines.Err())
		}
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			text = proposal
		}
		if text == "" && q.required {
			continue
		}
		err := q.set(a, text)
		if err == nil {
			return nil
		}
		fmt.Fprintln(out, "  ", err)
	}
}

// questions are in the order in which they are asked.
func questions() []question {
	fixed := func(s string) func(*answers) string { return func(*answers) string { return s } }
	host := func(n int) func(*answers, string) error {
		return func(a *answers, s string) error {
			name, address, ok := strings.Cut(s, "=")
			addr, err := netip.ParseAddr(strings.TrimSpace(address))
			if !ok || name == "" || err != nil {
				return fmt.Errorf("%q is not NAME=ADDRESS, such as lb%d=192.0.2.%d", s, n+1, n+1)
			}
			a.Hosts[n] = pair.Host{Name: strings.TrimSpace(name), Address: addr}
			return nil
		}
	}
	hasFarm := func(a *answers) bool { return len(a.farm.Servers) > 0 }
	return []question{
		{flag: "a", short: "NAME=ADDRESS of the first host, which is the better one", ask: "First host, which is the better one, as NAME=ADDRESS", required: true, set: host(0)},
		{flag: "b", short: "NAME=ADDRESS of the second host", ask: "Second host, as NAME=ADDRESS", required: true, set: host(1)},
		{flag: "interface", short: "the interface of both, where the virtual address is", ask: "Interface of both, where the virtual address is", required: true,
			proposal: func(a *answers) string { return deviceOf(a.Hosts[0].Address, a.Hosts[1].Address) },
			set:      func(a *answers, s string) error { a.Interface = s; return nil }},
		{flag: "vip", short: "the virtual address with its mask", ask: "Virtual address with its mask, such as 192.0.2.10/24", required: true,
			set: func(a *answers, s string) (err error) {
				if a.Address, err = netip.ParsePrefix(s); err != nil {
					return fmt.Errorf("%q is not an address with a mask, such as 192.0.2.10/24", s)
				}
				return nil
			}},
		{flag: "vrid", short: "the number of the virtual router, 1 to 255", ask: "Number of the virtual router, 1 to 255, that nobody else on this network has", required: true,
			proposal: func(a *answers) string {
				if !a.Address.IsValid() {
					return ""
				}
				return strconv.Itoa(int(pair.VRID(a.Address.Addr())))
			},
			set: func(a *answers, s string) error {
				n, err := strconv.ParseUint(s, 10, 8)
				if err != nil || n == 0 {
					return fmt.Errorf("%q is not a number from 1 to 255", s)
				}
				a.VRID = uint8(n)
				return nil
			}},
		{flag: "adverts", short: "multicast, or unicast where multicast is filtered, as in clouds", ask: "Adverts by multicast, or by unicast where that is filtered", proposal: fixed("multicast"),
			set: func(a *answers, s string) error {
				if s != "multicast" && s != "unicast" {
					return fmt.Errorf("%q is not known, allowed are multicast and unicast", s)
				}
				a.Unicast = s == "unicast"
				return nil
			}},
		{flag: "sign", short: "yes or no: sign adverts with a new key (default yes)", ask: "Sign adverts with a new key; the hosts' clocks have to agree", proposal: fixed("yes"),
			set: yesNo(func(a *answers, yes bool) { a.wantsKey = yes })},
		{flag: "nopreempt", short: "yes or no: a host that comes back leaves the address where it is (default no)", ask: "Leave the address where it is when a host comes back", proposal: fixed("no"),
			set: yesNo(func(a *answers, yes bool) { a.NoPreempt = yes })},
		{flag: "track", short: "a local process or TCP port that the master needs", ask: "A process or TCP port that the master needs, such as nginx or 443; empty: none",
			set: func(a *answers, s string) error {
				a.Process, a.Port = s, 0
				if n, err := strconv.ParseUint(s, 10, 16); err == nil && n > 0 {
					a.Process, a.Port = "", uint16(n)
				}
				return nil
			}},
		{flag: "servers", short: "servers to balance over, as ADDRESS[:PORT],...", ask: "Servers to balance over, as ADDRESS[:PORT], with commas; empty: none", set: setServers},
		{flag: "port", short: "the port that clients connect to", ask: "Port that clients connect to", proposal: fixed("80"), wanted: hasFarm,
			set: func(a *answers, s string) error {
				n, err := strconv.ParseUint(s, 10, 16)
				if err != nil || n == 0 {
					return fmt.Errorf("%q is not a port from 1 to 65535", s)
				}
				a.farm.Port = uint16(n)
				return nil
			}},
		{flag: "method", short: "nat, dr or tunnel", ask: "How packets reach the servers: nat, dr or tunnel", proposal: fixed("nat"), wanted: hasFarm,
			set: func(a *answers, s string) (err error) {
				a.farm.Method, err = pair.ParseMethod(s)
				return err
			}},
		{flag: "inside", short: "INTERFACE=ADDRESS/MASK that servers behind NAT have as their gateway", ask: "Their gateway, an address that moves too, as INTERFACE=ADDRESS/MASK; empty: none",
			wanted: func(a *answers) bool { return hasFarm(a) && a.farm.Method == "nat" },
			set: func(a *answers, s string) error {
				if s == "" {
					return nil
				}
				device, address, ok := strings.Cut(s, "=")
				prefix, err := netip.ParsePrefix(strings.TrimSpace(address))
				if !ok || err != nil {
					return fmt.Errorf("%q is not INTERFACE=ADDRESS/MASK, such as eth1=10.0.0.1/24", s)
				}
				a.farm.Device, a.farm.Inside = strings.TrimSpace(device), prefix
				return nil
			}},
		{flag: "check", short: "tcp, or http:PATH", ask: "How the servers are checked: tcp, or http:PATH", proposal: fixed("tcp"), wanted: hasFarm,
			set: func(a *answers, s string) error {
				path, http := strings.CutPrefix(s, "http:")
				if s != "tcp" && (!http || !strings.HasPrefix(path, "/")) {
					return fmt.Errorf("%q is not known, allowed are tcp and http:PATH, such as http:/health", s)
				}
				a.farm.Path = ""
				if http {
					a.farm.Path = path
				}
				return nil
			}},
	}
}

func yesNo(set func(*answers, bool)) func(*answers, string) error {
	return func(a *answers, s string) error {
		switch s = strings.ToLower(s); {
		case slices.Contains([]string{"yes", "y", "true"}, s):
			set(a, true)
		case slices.Contains([]string{"no", "n", "false"}, s):
			set(a, false)
		default:
			return fmt.Errorf("%q is not yes or no", s)
		}
		return nil
	}
}

func setServers(a *answers, s string) error {
	a.farm.Servers = nil
	for _, text := range strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' }) {
		if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
			a.farm.Servers = append(a.farm.Servers, netip.AddrPortFrom(addr, 0))
			continue
		}
		server, err := netip.ParseAddrPort(text)
		if err != nil {
			return fmt.Errorf("%q is not ADDRESS or ADDRESS:PORT", text)
		}
		a.farm.Servers = append(a.farm.Servers, server)
	}
	return nil
}

// writePair writes the two files and tells what is left to do.
func writePair(out io.Writer, a *answers, dir string, force bool) error {
	texts, err := a.Write()
	if err != nil {
		return &failure{exitFailure, fmt.Errorf("with these answers the two do not work: %w", err)}
	}
	var files [2]string
	for i, h := range a.Hosts {
		files[i] = filepath.Join(dir, h.Name+".toml")
		if _, err := os.Lstat(files[i]); err == nil && !force {
			return &failure{exitFailure, fmt.Errorf("%s exists; --force overwrites it", files[i])}
		}
	}
	for i, text := range texts {
		if err := replaceFile(files[i], text); err != nil {
			return &failure{exitFailure, err}
		}
	}
	fmt.Fprintf(out, "%s and %s are written. What is left to do:\n", files[0], files[1])
	for _, step := range a.Steps(files) {
		fmt.Fprintln(out, "  "+step)
	}
	return nil
}

// replaceFile writes a file that nobody else may read, in one step.
func replaceFile(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".director-init-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// isTerminal says that somebody can answer there.
// deviceOf returns the interface of this host that has one of two addresses, empty when
// none has.
func deviceOf(a, b netip.Addr) string {
	list, err := net.Interfaces()
	if err != nil {
		return "" // it is only a proposal
	}
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, addr := range addrs {
			if p, err := netip.ParsePrefix(addr.String()); err == nil && (p.Addr() == a || p.Addr() == b) {
				return i.Name
			}
		}
	}
	return ""
}
