package config

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// referencePage is docs/reference.md: what the tags of the model, the comments of
// etc/director.toml and the pages of keepalived's keywords say, key by key.
const referencePage = "../docs/reference.md"

// referenceTable is what no tag says of a table.
type referenceTable struct {
	name   string // of its type
	page   string // where its use is told
	reload string // what a changed value needs to take effect
}

// referenceChapters are the tables in the order of the page.
func referenceChapters() []struct {
	title  string
	tables []referenceTable
} {
	const (
		atOnce   = "takes effect at a reload."
		instance = "takes effect at a reload: the virtual router keeps its state and its timers."
		tracker  = "takes effect at a reload: a tracker that is the same keeps its state; a changed one is asked anew and keeps its verdict until then."
		item     = "takes effect at a reload: what differs is added or removed, the rest is not touched."
		pool     = "takes effect at a reload: the health of servers, connections and counters stay."
		use      = "takes effect at a reload."
	)
	return []struct {
		title  string
		tables []referenceTable
	}{
		{"The daemon", []referenceTable{
			{"Global", "operating.md", atOnce + " Changes of `network_namespace` and `ipvs_network_namespace` are refused until the daemon is started again; `start_delay` and `delay_after_boot` count at its start."},
			{"Process", "operating.md#a-busy-host", "takes effect at a reload, in the running process."},
		}},
		{"Virtual routers", []referenceTable{
			{"Instance", "vrrp.md", instance + " `interface` and `virtual_router_id` say which virtual router it is: with another one, that of before ends with priority 0 and a new one begins as BACKUP."},
			{"VirtualAddress", "addresses.md", item},
			{"UnicastPeer", "vrrp.md#unicast", instance},
			{"Heartbeat", "split-brain.md#heartbeat-paths", instance},
			{"Gate", "split-brain.md#promotion-gates", instance},
			{"GateTarget", "split-brain.md#promotion-gates", instance},
			{"Garp", "vrrp.md#announcements", instance},
			{"Authentication", "authentication.md", instance + " Both hosts need it at nearly the same time, except with HMAC, where keys change one after the other."},
			{"HMACKey", "authentication.md", instance},
			{"Notify", "notifications.md", "takes effect at a reload, from the next change of state on."},
			{"SyncGroup", "vrrp.md#sync-groups", "takes effect at a reload: the members keep their states as far as the new group allows."},
			{"BFDTrigger", "bfd.md", use},
		}},
		{"Tracking", []referenceTable{
			{"Script", "tracking.md", tracker},
			{"InterfaceTracker", "tracking.md", tracker},
			{"FileTracker", "tracking.md", tracker},
			{"ProcessTracker", "tracking.md", tracker},
			{"TargetTracker", "tracking.md", tracker},
			{"Track", "tracking.md", use},
			{"TrackInterface", "tracking.md", use},
			{"TrackFile", "tracking.md", use},
			{"TrackProcess", "tracking.md", use},
			{"BFD", "bfd.md", "takes effect at a reload: a session with other addresses begins anew, others go on."},
		}},
		{"Addresses, routes and rules", []referenceTable{
			{"StaticAddress", "addresses.md", item},
			{"Route", "addresses.md", item},
			{"NextHop", "addresses.md", item},
			{"Rule", "addresses.md", item},
		}},
		{"Virtual servers", []referenceTable{
			{"VirtualServer", "ipvs.md", pool + " With another address, protocol or mark it is another service: connections of the former one end."},
			{"VirtualServerGroup", "ipvs.md", pool},
			{"GroupMember", "ipvs.md", pool},
			{"RealServer", "ipvs.md", pool + " With another address it is another server; the former one is [drained](maintenance.md) where the service says so."},
			{"SorryServer", "pools.md", pool},
			{"TunnelOptions", "ipvs.md", pool},
			{"Check", "checks.md", "takes effect at a reload: a check that asks the same as before keeps its state, another one begins anew."},
			{"CheckURL", "checks.md", "takes effect at a reload: the check begins anew."},
			{"IPVSSync", "ipvs.md#connection-sync", "takes effect at a reload: the kernel's daemons are started again where they differ."},
			{"IPVSTimeouts", "ipvs.md#connection-sync", "takes effect at a reload, for connections that are idle from then on."},
		}},
		{"Notifications", []referenceTable{
			{"Channels", "notifications.md", atOnce},
			{"Mail", "notifications.md", "takes effect at a reload: what waits goes to the new server."},
			{"Webhook", "notifications.md", "takes effect at a reload: what waits goes to the new address."},
			{"FIFO", "notifications.md", atOnce},
			{"SNMP", "notifications.md", atOnce},
		}},
		{"Readiness, and the view from outside", []referenceTable{
			{"Readiness", "readiness.md", atOnce},
			{"ReadinessPeer", "readiness.md", atOnce},
			{"Web", "monitoring.md", "takes effect at a reload: the web process is started again, which concerns nothing else."},
			{"SNMPAgent", "snmp.md", "takes effect at a reload: the SNMP process is started again, which concerns nothing else."},
		}},
	}
}

// cell is a text as a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// valueCell is what a key may be, without what the head of the page says of all.
func valueCell(f *field) string {
	text := strings.TrimSuffix(f.allowed(), `, as a string with a unit such as "1.5s"`)
	return cell(strings.ReplaceAll(text, " as a string", ""))
}

// referenceOf writes the section of one table; at are the places where it stands.
func referenceOf(b *strings.Builder, t *table, at []string, about referenceTable, docs map[docKey]string, names map[docKey][]string, links map[string]string) {
	fmt.Fprintf(b, "\n### `%s`\n\n", at[0])
	if len(at) > 1 {
		fmt.Fprintf(b, "And `%s`. ", strings.Join(at[1:], "`, `"))
	}
	page, _, _ := strings.Cut(about.page, "#")
	fmt.Fprintf(b, "How to use it: [%s](%s). A change %s\n", page, about.page, about.reload)
	fmt.Fprint(b, "\n| key | value | default | meaning | keepalived |\n|---|---|---|---|---|\n")
	told := make(map[string]string) // one comment for several keys
	for _, f := range t.fields {
		k := docKey{f.owner, f.key}
		value := valueCell(f)
		if f.table != nil {
			value = map[kind]string{kindNamed: "tables with names", kindList: "list of tables", kindTable: "table", kindTablePtr: "table"}[f.kind] +
				", " + links[f.table.name]
			if f.Short != "" {
				value += ", or " + valueCell(f.table.byKey[f.Short])
			}
		}
		def := ""
		switch {
		case f.Required:
			def = "**required**"
		case f.DefaultFrom != "":
			def = cell(f.DefaultFrom)
		case f.Default != "":
			def = "`" + cell(f.Default) + "`"
		case f.kind == kindBool:
			def = "`false`"
		default:
			def = "none"
		}
		meaning := cell(docs[k])
		if first := told[meaning]; first != "" {
			meaning = "See `" + first + "`."
		} else if meaning != "" {
			told[meaning] = f.key
		}
		if meaning == "" {
			b.WriteString("(nothing explains the next key)\n")
		}
		if f.When != "" {
			meaning = strings.TrimSpace(meaning + " Only with " + cell(f.whenText()) + ".")
		}
		keepalived := ""
		for i, name := range names[k] {
			if i > 0 {
				keepalived += ", "
			}
			keepalived += "`" + name + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", f.key, value, def, meaning, keepalived)
	}
}

// TestReference: docs/reference.md is what the code says of every key.
func TestReference(t *testing.T) {
	root := newSchema()
	docs, names := documentation(string(readAnnotated(t)), root), keepalivedNames(t, root)
	tables, places := make(map[string]*table), make(map[string][]string)
	var walk func(*table)
	walk = func(at *table) {
		for _, f := range at.fields {
			if f.table == nil {
				continue
			}
			tables[f.table.name] = f.table
			if !slices.Contains(places[f.table.name], f.table.header) {
				places[f.table.name] = append(places[f.table.name], f.table.header)
			}
			walk(f.table)
		}
	}
	walk(root)
	links := make(map[string]string) // to the sections, whose titles are the shortest places
	for name, at := range places {
		slices.SortStableFunc(at, func(a, b string) int { return len(a) - len(b) })
		anchor := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(at[0]), "")
		links[name] = fmt.Sprintf("[`%s`](#%s)", at[0], anchor)
	}
	var b strings.Builder
	fmt.Fprint(&b, `# Every key

Generated from the code, the comments of [director.toml](../etc/director.toml) and the tables of [keepalived's keywords](keywords-vrrp.md): each table of director's language with
its keys, what a key may be, its default, what it does and which of keepalived's keywords become it. A table that stands at several places is told once.
[configuration.md](configuration.md) tells how a file is written and checked, [setups.md](setups.md) has whole ones.

A *duration* is a string with a unit: `+"`\"100ms\"`, `\"1.5s\"`, `\"10m\"`"+`. Where a list is allowed, its only element may stand without brackets. A reload with an error changes nothing;
`+"`director plan`"+` tells beforehand what a reload would do.
`)
	for _, chapter := range referenceChapters() {
		fmt.Fprintf(&b, "\n## %s\n", chapter.title)
		for _, about := range chapter.tables {
			tbl := tables[about.name]
			if tbl == nil {
				t.Errorf("there is no table %s", about.name)
				continue
			}
			delete(tables, about.name)
			referenceOf(&b, tbl, places[about.name], about, docs, names, links)
		}
	}
	for name := range tables {
		t.Errorf("the table %s stands in no chapter", name)
	}
	if strings.Contains(b.String(), "(nothing explains") {
		t.Error("etc/director.toml does not explain a key that the page marks")
	}
	if len(names) < 120 {
		t.Errorf("keepalived's names are known for %d keys only", len(names))
	}
	if *update {
		if err := os.WriteFile(referencePage, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), b.String()); diff != "" {
		t.Errorf("%s is not what the code says, go test ./config -run TestReference -update writes it (-page +code):\n%s", referencePage, diff)
	}
}
