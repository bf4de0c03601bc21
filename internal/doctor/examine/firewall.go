package examine

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"director/internal/doctor"
)

// firewall reads the rules of nftables and finds out what they do with the packets
// that matter. A kernel into which nf_tables is not loaded has none, and is not asked:
// the question would load it.
func (e *examination) firewall() {
	e.facts.Firewall = make(map[string]doctor.Fate)
	for _, legacy := range []string{"ip_tables_names", "ip6_tables_names"} {
		if names, err := os.ReadFile("/proc/thread-self/net/" + legacy); err == nil && len(names) > 0 {
			e.facts.Unseen = append(e.facts.Unseen, doctor.Unseen{What: "rules of the old iptables", Why: "director reads nftables only; `iptables-legacy -S` shows them"})
			break
		}
	}
	if !e.hasNftables() {
		return
	}
	rules, err := readRules()
	if err != nil {
		e.facts.Firewall = nil
		e.unseen("rules of nftables", err)
		return
	}
	for _, p := range doctor.Traffic(e.Config) {
		fate, err := rules.fate(headers(p))
		if err != nil {
			e.unseen("rules of nftables", err)
			return
		}
		e.facts.Firewall[p.Name()] = fate
	}
	for _, c := range rules.chains {
		e.facts.Translate = e.facts.Translate || c.kind == nftables.ChainTypeNAT && c.hook == hookPostrouting && len(c.rules) > 0
	}
}

// hasNftables says whether nf_tables is loaded or part of the kernel. Where there is no
// list of what is part of it, the kernel's symbols tell.
func (e *examination) hasNftables() bool {
	if _, err := os.Stat("/sys/module/nf_tables"); err == nil {
		return true
	}
	if e.facts.Modules.Known {
		builtin, _ := moduleList(e.path("lib/modules/" + e.facts.Modules.Release + "/modules.builtin"))
		return builtin["nf_tables"]
	}
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return true // a kernel without them: asking is the only way
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasSuffix(s.Text(), " nft_do_chain") {
			return true
		}
	}
	return false
}

// The kernel's numbers of the hooks (linux/netfilter.h).
const (
	hookNone        = -1
	hookPrerouting  = 0
	hookInput       = 1
	hookOutput      = 3
	hookPostrouting = 4
)

// ruleset is the rules of a host.
type ruleset struct {
	chains []*chain
	sets   func(family nftables.TableFamily, table, name string) ([]nftables.SetElement, error)
}

type chain struct {
	family nftables.TableFamily
	table  string
	name   string
	kind   nftables.ChainType
	hook   int
	device string // of netdev
	drops  bool   // its policy
	rules  []rule
}

func (c *chain) String() string {
	return fmt.Sprintf("%s %s %s", familyNames[c.family], c.table, c.name)
}

var familyNames = map[nftables.TableFamily]string{
	nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6",
	nftables.TableFamilyNetdev: "netdev", nftables.TableFamilyBridge: "bridge", nftables.TableFamilyARP: "arp",
}

// readRules reads the rules of the calling thread's network namespace.
func readRules() (*ruleset, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	list, err := c.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list chains: %w", err)
	}
	r := &ruleset{}
	for _, n := range list {
		if familyNames[n.Table.Family] == "" || n.Table.Family == nftables.TableFamilyBridge || n.Table.Family == nftables.TableFamilyARP {
			continue
		}
		ch := &chain{family: n.Table.Family, table: n.Table.Name, name: n.Name, kind: n.Type, hook: hookNone, device: n.Device,
			drops: n.Policy != nil && *n.Policy == nftables.ChainPolicyDrop}
		if n.Hooknum != nil {
			ch.hook = int(*n.Hooknum)
		}
		all, err := c.GetRules(n.Table, n)
		if err != nil {
			return nil, fmt.Errorf("list the rules of %s: %w", ch, err)
		}
		for _, one := range all {
			ch.rules = append(ch.rules, rule(one.Exprs))
		}
		r.chains = append(r.chains, ch)
	}
	type key struct {
		family      nftables.TableFamily
		table, name string
	}
	known := make(map[key][]nftables.SetElement)
	r.sets = func(family nftables.TableFamily, table, name string) ([]nftables.SetElement, error) {
		k := key{family, table, name}
		if elements, ok := known[k]; ok {
			return elements, nil
		}
		elements, err := c.GetSetElements(&nftables.Set{Table: &nftables.Table{Name: table, Family: family}, Name: name})
		if err != nil {
			return nil, fmt.Errorf("list the set %s of %s: %w", name, table, err)
		}
		known[k] = elements
		return elements, nil
	}
	return r, nil
}

// headers makes of a packet that is asked about what rules look at.
func headers(p doctor.Packet) packet {
	h := packet{in: p.In, device: p.Device, ipv6: p.IPv6, protocol: p.Protocol, port: p.Port, source: p.Source, target: p.Target}
	if l, err := netlink.LinkByName(p.Device); err == nil && p.Device != "" {
		h.index = l.Attrs().Index
	}
	return h
}

// fate walks a packet through all base chains on its way: it passes when all of them
// can let it, and is dropped when one can drop it.
func (r *ruleset) fate(p packet) (doctor.Fate, error) {
	hooks := []int{hookOutput, hookPostrouting}
	if p.in {
		hooks = []int{hookPrerouting, hookInput}
	}
	fate := doctor.Fate{Accepts: true}
	for _, c := range r.chains {
		ours := c.family == nftables.TableFamilyINet || c.family == nftables.TableFamilyIPv4 && !p.ipv6 || c.family == nftables.TableFamilyIPv6 && p.ipv6
		if c.hook == hookNone || !ours || !slices.Contains(hooks, c.hook) || c.kind == nftables.ChainTypeNAT {
			continue
		}
		w := walk{ruleset: r, packet: p}
		end, err := w.chain(c, 0)
		if err != nil {
			return fate, err
		}
		if end.falls {
			if c.drops {
				end.drop(fmt.Sprintf("the policy of chain %s", c))
			} else {
				end.accepts = true
			}
		}
		if end.drops && (!fate.Drops || !end.accepts && fate.Accepts) {
			fate.Where, fate.Chain = end.where, c.String()
		}
		fate.Accepts = fate.Accepts && end.accepts
		fate.Drops = fate.Drops || end.drops
	}
	return fate, nil
}

// packet is what is known of one.
type packet struct {
	in             bool
	device         string // empty: any
	index          int    // of the device; 0: not known
	ipv6           bool
	protocol       uint8
	port           uint16 // destination, of UDP
	source, target netip.Addr
}
