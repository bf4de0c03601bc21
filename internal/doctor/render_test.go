package doctor

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of docs/doctor.md anew")

func TestRender(t *testing.T) {
	f := healthy()
	f.Sysctl["net/ipv4/ip_forward"] = "0"
	f.Units = []string{"keep\x1b[31malived"}
	f.Unseen = []Unseen{{"rules of nftables", "operation not permitted (root may)"}}
	r := diagnose(t, base, f)
	var plain, coloured strings.Builder
	if err := Render(&plain, r, false); err != nil {
		t.Fatal(err)
	}
	if err := Render(&coloured, r, true); err != nil {
		t.Fatal(err)
	}
	const want = `broken  ip-forward  d.toml:8 virtual_server.web.forwarding
  net.ipv4.ip_forward is off, and there are real servers behind NAT
  why  the replies of real servers behind NAT, and what is routed over a virtual address, pass through this host, and the kernel drops what it may not forward
  cure sysctl -w net.ipv4.ip_forward=1

unwise  rival-at-boot  d.toml
  systemd starts keep[31malived at boot
  why  at the next boot it runs beside director, or in its place
  cure systemctl disable keep[31malived

Not looked at:
  rules of nftables: operation not permitted (root may)

What sysctl sets lasts until the next boot: write it into /etc/sysctl.d/90-director.conf as well.

d.toml: 1 broken, 1 unwise, 0 to note; no daemon answers
`
	if plain.String() != want {
		t.Errorf("printed\n%s", plain.String())
	}
	for _, part := range []string{"\x1b[31mbroken\x1b[0m", "\x1b[33munwise\x1b[0m", "\x1b[31m1 broken\x1b[0m"} {
		if !strings.Contains(coloured.String(), part) {
			t.Errorf("not in colour: %q", part)
		}
	}
	plain.Reset()
	if err := Render(&plain, diagnose(t, base, healthy()), false); err != nil || plain.String() != "d.toml: nothing broken, 0 unwise, 0 to note; no daemon answers\n" {
		t.Errorf("healthy: %v\n%s", err, plain.String())
	}
}

// The page for operators lists every check as it is.
func TestDocumentation(t *testing.T) {
	const page, begin, end = "../../docs/doctor.md", "<!-- checks: begin -->\n", "<!-- checks: end -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no %q and %q", page, begin, end)
	}
	var table strings.Builder
	table.WriteString("| id | at worst | looks at | why |\n|---|---|---|---|\n")
	ids := make(map[string]bool)
	for _, c := range Checks() {
		if ids[c.ID] || c.ID == "" || c.Looks == "" || c.Why == "" || c.Worst.rank() < 0 {
			t.Errorf("check %+v is not complete, or there twice", c)
		}
		ids[c.ID] = true
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", c.ID, c.Worst, c.Looks, c.Why)
	}
	whole := before + begin + table.String() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(whole), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if whole != string(text) {
		t.Errorf("%s is not up to date: go test ./internal/doctor -run TestDocumentation -update", page)
	}
}

// No finding is worse than the table says.
func TestWorst(t *testing.T) {
	for _, tc := range cases {
		text := tc.text
		if text == "" {
			text = base
		}
		f := healthy()
		if tc.facts != nil {
			tc.facts(f)
		}
		for _, x := range diagnose(t, text, f).Findings {
			for _, c := range Checks() {
				if c.ID == x.ID && x.Severity.rank() < c.Worst.rank() {
					t.Errorf("%s: %s is %s, the table says at worst %s", tc.name, x.ID, x.Severity, c.Worst)
				}
			}
		}
	}
}
