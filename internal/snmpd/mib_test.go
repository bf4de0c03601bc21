package snmpd

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
)

// mibFolder is where Debian's keepalived installs its MIB, and those of VRRP.
const mibFolder = "/usr/share/snmp/mibs"

// mibs are these MIBs: their files, and the name and place of their root.
var mibs = []struct {
	file, root string
	oid        agentx.OID
	least      int // objects
}{
	{"KEEPALIVED-MIB.txt", "keepalived", keepalivedMIB, 350},
	{"VRRP-MIB.txt", "vrrpMIB", rfc2787MIB, 30},
	{"VRRPv3-MIB.txt", "vrrpv3MIB", rfc6527MIB, 25},
}

// object is an object type of the MIB.
type object struct {
	name   string
	oid    agentx.OID
	syntax string
	access string
}

// readMIBs lists the object types of all of them by their OIDs.
func readMIBs(t *testing.T) map[string]object {
	t.Helper()
	all := make(map[string]object)
	for _, m := range mibs {
		n := len(all)
		maps.Copy(all, readMIB(t, filepath.Join(mibFolder, m.file), m.root, m.oid))
		if len(all)-n < m.least {
			t.Fatalf("only %d objects in %s", len(all)-n, m.file)
		}
	}
	return all
}

// readMIB lists the accessible object types of one.
func readMIB(t *testing.T, path, root string, oid agentx.OID) map[string]object {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]agentx.OID{root: oid}
	bare := regexp.MustCompile(`--[^\n]*`).ReplaceAllString(string(text), "")
	bare = regexp.MustCompile(`(DESCRIPTION|REFERENCE)\s*"[^"]*"`).ReplaceAllString(bare, "")
	for again := true; again; {
		again = false
		for _, m := range regexp.MustCompile(`(\w+)\s+(?:OBJECT IDENTIFIER|OBJECT-TYPE[^:]*?(?:\{[^}]*\}[^:]*?)*)\s*::=\s*\{\s*(\w+)\s+(\d+)\s*\}`).FindAllStringSubmatch(bare, -1) {
			parent, has := known[m[2]]
			if _, done := known[m[1]]; !has || done {
				continue
			}
			n, err := strconv.ParseUint(m[3], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			known[m[1]], again = parent.Append(uint32(n)), true
		}
	}
	all := make(map[string]object)
	for _, m := range regexp.MustCompile(`(\w+)\s+OBJECT-TYPE\s+SYNTAX\s+(\w+)(?s:.*?)MAX-ACCESS\s+(\S+)`).FindAllStringSubmatch(bare, -1) {
		if oid := known[m[1]]; oid != nil && m[3] != "not-accessible" && m[3] != "accessible-for-notify" {
			all[oid.String()] = object{m[1], oid, m[2], m[3]}
		}
	}
	return all
}

// answered lists the object types that are answered for.
func answered() []agentx.Object {
	s := state{config: &config.Config{}, status: &control.Status{}}
	a := agent()
	return s.objects(&a)
}

// TestPageListsWhatIsLeftOut holds docs/snmp.md: each accessible object of
// the MIBs is answered for, or is in the table of those that are not.
func TestPageListsWhatIsLeftOut(t *testing.T) {
	page, err := os.ReadFile("../../docs/snmp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "## What is left out")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("docs/snmp.md has no section of what is left out")
	}
	told := make(map[string]bool)
	for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(section, -1) {
		told[m[1]] = true
	}
	mib := readMIBs(t)
	have := make(map[string]bool)
	for _, o := range answered() {
		m, known := mib[o.Name.String()]
		if !known {
			t.Errorf("%v is no accessible object of the MIB", o.Name)
		}
		have[m.name] = true
		if told[m.name] {
			t.Errorf("%s is answered for and told to be left out", m.name)
		}
	}
	var missing []string
	for _, m := range mib {
		if !have[m.name] && !told[m.name] {
			missing = append(missing, fmt.Sprintf("%s (%v)", m.name, m.oid))
		}
		delete(told, m.name)
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("neither answered for nor in docs/snmp.md: %s", strings.Join(missing, ", "))
	}
	for name := range told {
		t.Errorf("docs/snmp.md leaves out %s, which the MIB does not have", name)
	}
	for _, m := range mibs {
		here, all := 0, 0
		for _, o := range mib {
			if o.oid.Under(m.oid) {
				all++
				if have[o.name] {
					here++
				}
			}
		}
		if row := fmt.Sprintf("| %d of %d |", here, all); !strings.Contains(string(page), row) {
			t.Errorf("docs/snmp.md does not say %q of %s", row, m.file)
		}
	}
}

// TestTypes compares the type of each value with the MIB's.
func TestTypes(t *testing.T) {
	v, s := sample(t)
	mib := readMIBs(t)
	types := map[string]agentx.ValueType{
		"DisplayString": agentx.TypeOctetString, "InetAddress": agentx.TypeOctetString,
		"INTEGER": agentx.TypeInteger, "Integer32": agentx.TypeInteger, "TruthValue": agentx.TypeInteger, "InetAddressType": agentx.TypeInteger,
		"VrrpState": agentx.TypeInteger, "InetScopeType": agentx.TypeInteger, "InterfaceIndex": agentx.TypeInteger, "RouteType": agentx.TypeInteger,
		"RuleAction": agentx.TypeInteger, "PrefType": agentx.TypeInteger, "RowStatus": agentx.TypeInteger, "TimeInterval": agentx.TypeInteger,
		"MacAddress": agentx.TypeOctetString, "IpAddress": agentx.TypeIPAddress,
		"Unsigned32": agentx.TypeGauge32, "Gauge32": agentx.TypeGauge32, "InetPortNumber": agentx.TypeGauge32, "InetAddressPrefixLength": agentx.TypeGauge32,
		"Realm": agentx.TypeGauge32, "Counter32": agentx.TypeCounter32, "Counter64": agentx.TypeCounter64,
	}
	a := agent()
	seen := make(map[string]bool)
	for _, o := range s.objects(&a) {
		m := mib[o.Name.String()]
		for row := range o.Rows {
			value := o.Value(row)
			if !value.There() {
				continue
			}
			seen[m.name] = true
			if want, known := types[m.syntax]; !known || value.Type != want {
				t.Errorf("%s is of type %d, the MIB has %s", m.name, value.Type, m.syntax)
			}
			if got := v.Get(o.Name.Append(o.Rows[row]...)); got.String() != value.String() {
				t.Errorf("Get of %s is %v, want %v", m.name, got, value)
			}
		}
		if !seen[m.name] {
			t.Errorf("the sample has no value of %s", m.name)
		}
	}
}
