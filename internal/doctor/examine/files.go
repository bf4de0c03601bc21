package examine

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"director/config"
	"director/internal/checkd"
	"director/internal/doctor"
)

// networkFiles are where a host's network is configured: ifupdown, netplan,
// NetworkManager, systemd-networkd, and the scripts of Red Hat and SUSE.
var networkFiles = []string{
	"etc/network/interfaces", "etc/network/interfaces.d/*", "etc/netplan/*.yaml",
	"etc/NetworkManager/system-connections/*", "run/NetworkManager/system-connections/*",
	"etc/systemd/network/*.network", "etc/systemd/network/*.network.d/*.conf", "run/systemd/network/*.network",
	"etc/sysconfig/network-scripts/ifcfg-*", "etc/sysconfig/network/ifcfg-*",
}

// serviceFiles are those of programs that are often behind a virtual address, with
// the words that begin a line in which an address is bound.
var serviceFiles = []struct {
	pattern string
	words   []string
}{
	{"etc/nginx/nginx.conf", []string{"listen"}},
	{"etc/nginx/conf.d/*.conf", []string{"listen"}},
	{"etc/nginx/sites-enabled/*", []string{"listen"}},
	{"etc/haproxy/*.cfg", []string{"bind", "listen", "frontend"}},
	{"etc/haproxy/conf.d/*.cfg", []string{"bind", "listen", "frontend"}},
	{"etc/apache2/ports.conf", []string{"Listen"}},
	{"etc/apache2/sites-enabled/*", []string{"Listen"}},
	{"etc/httpd/conf/*.conf", []string{"Listen"}},
	{"etc/httpd/conf.d/*.conf", []string{"Listen"}},
	{"etc/bind/named.conf*", []string{"listen-on", "listen-on-v6"}},
	{"etc/unbound/unbound.conf", []string{"interface:"}},
	{"etc/unbound/unbound.conf.d/*.conf", []string{"interface:"}},
	{"etc/squid/squid.conf", []string{"http_port", "https_port"}},
	{"etc/postfix/main.cf", []string{"inet_interfaces"}},
	{"etc/redis/*.conf", []string{"bind"}},
	{"etc/ssh/sshd_config", []string{"ListenAddress"}},
}

// files looks for virtual addresses in the configuration of others, and for what
// systemd does.
func (e *examination) files() {
	wanted := make(map[netip.Addr]bool)
	for n := range e.Config.Instances {
		in := &e.Config.Instances[n]
		for _, list := range [][]config.VirtualAddress{in.Addresses, in.Excluded} {
			for _, a := range list {
				wanted[a.Prefix.Addr()] = true
			}
		}
	}
	for _, pattern := range networkFiles {
		e.search(pattern, wanted, nil)
	}
	for _, s := range serviceFiles {
		e.search(s.pattern, wanted, s.words)
	}
	for _, unit := range []string{"keepalived.service", "ldirectord.service", "ipvsadm.service"} {
		found, _ := filepath.Glob(e.path("etc/systemd/system/*.wants/" + unit))
		if len(found) > 0 {
			e.facts.Units = append(e.facts.Units, unit)
		}
	}
	e.networkd()
}

// search looks for wanted addresses in files. With words only lines that begin with
// one of them count; without, any line that is no comment does, except one that names
// the address as somebody else's.
func (e *examination) search(pattern string, wanted map[netip.Addr]bool, words []string) {
	names, _ := filepath.Glob(e.path(pattern)) // fails for a malformed pattern only
	for _, name := range names {
		text, err := lines(name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				e.unseen(name, err)
			}
			continue
		}
		for i, l := range text {
			for _, a := range addressesIn(l, words) {
				if wanted[a] {
					e.facts.Mentions = append(e.facts.Mentions, doctor.Mention{Address: a, File: "/" + strings.TrimPrefix(strings.TrimPrefix(name, filepath.Clean(e.Root)), "/"),
						Line: i + 1, Text: strings.TrimSpace(l), Brings: words == nil})
				}
			}
		}
	}
}

// elsewhere are the words of lines that name an address without bringing it up.
var elsewhere = []string{"gateway", "gateway4", "gateway6", "via", "to", "dns", "dns-nameservers", "nameserver", "nameservers", "route", "network", "broadcast", "dhcp-server", "ntp", "pre-up", "server"}

// addressesIn returns the addresses of a line. Settings of a program that binds
// addresses it has not (HAProxy's transparent, IP_FREEBIND) are left out.
func addressesIn(line string, words []string) (all []netip.Addr) {
	line, _, _ = strings.Cut(line, "#")
	fields := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t=,;{}\"'()", r) })
	if len(fields) == 0 {
		return nil
	}
	first := fields[0]
	begins := func(list []string) bool {
		for _, w := range list {
			if strings.EqualFold(strings.TrimSuffix(w, ":"), strings.TrimSuffix(first, ":")) {
				return true
			}
		}
		return false
	}
	if words != nil && !begins(words) || words == nil && begins(elsewhere) {
		return nil
	}
	for _, f := range fields {
		if f == "transparent" || f == "freebind" {
			return nil
		}
		if p, err := netip.ParsePrefix(strings.Trim(f, "[]")); err == nil {
			all = append(all, p.Addr())
		} else if a, err := netip.ParseAddr(strings.Trim(f, "[]")); err == nil {
			all = append(all, a)
		} else if ap, err := netip.ParseAddrPort(f); err == nil {
			all = append(all, ap.Addr())
		} else if host, _, ok := strings.Cut(f, "@"); ok { // unbound: address@port
			if a, err := netip.ParseAddr(host); err == nil {
				all = append(all, a)
			}
		}
	}
	return all
}

// networkd reads whether systemd-networkd leaves routes and rules of others alone;
// the last word on it counts.
func (e *examination) networkd() {
	names := []string{e.path("etc/systemd/networkd.conf")}
	for _, folder := range []string{"usr/lib", "run", "etc"} {
		more, _ := filepath.Glob(e.path(folder + "/systemd/networkd.conf.d/*.conf"))
		names = append(names, more...)
	}
	n := &e.facts.Networkd
	for _, name := range names {
		text, err := lines(name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) && n.Runs {
				e.unseen(name, err)
			}
			continue
		}
		for _, l := range text {
			key, value, _ := strings.Cut(strings.ReplaceAll(l, " ", ""), "=")
			no := value == "no" || value == "false" || value == "off" || value == "0"
			switch key {
			case "ManageForeignRoutes":
				n.KeepsRoutes = no
			case "ManageForeignRoutingPolicyRules":
				n.KeepsRules = no
			}
		}
	}
}

// runtimeDir looks at the folder of the control socket.
func (e *examination) runtimeDir() {
	d := &e.facts.RuntimeDir
	d.Path, d.Socket = e.RuntimeDir, e.Socket
	info, err := os.Stat(e.RuntimeDir)
	switch {
	case err == nil:
		d.Exists, d.IsDir, d.Mode = true, info.IsDir(), uint32(info.Mode().Perm())
	case !errors.Is(err, fs.ErrNotExist):
		e.unseen(e.RuntimeDir, err)
	}
	switch err := checkd.CheckRecord(e.RuntimeDir); {
	case errors.Is(err, fs.ErrPermission):
		e.unseen("the record of owned services", err)
	case err != nil:
		d.RecordError = err.Error()
	}
}
