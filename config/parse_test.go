package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write what is expected into testdata")

// netipTypes compares the types of net/netip, which hide their fields.
var netipTypes = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

const trailer = "\n#=>\n" // what follows in a file of testdata is expected, one comment a line

// TestFiles parses every file of testdata. A file ends in the errors and
// warnings that are expected of it; beside a good one lies the model, as JSON.
func TestFiles(t *testing.T) {
	for kind, count := range map[string]int{"good": 10, "bad": 33} {
		files, err := filepath.Glob("testdata/*." + kind + ".toml")
		if err != nil || len(files) < count {
			t.Errorf("%d %s files, want %d at least (%v)", len(files), kind, count, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) { testFile(t, file, kind) })
		}
	}
}

func testFile(t *testing.T, file, kind string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	document, want, _ := bytes.Cut(text, []byte(trailer))
	name := filepath.Base(file)
	cfg, warnings, err := ParseWithWarnings(name, text)
	if (err != nil) != (kind == "bad") {
		t.Errorf("error %v in a %s file", err, kind)
	}
	var got strings.Builder
	var errs Errors
	if errors.As(err, &errs) {
		for _, e := range errs {
			got.WriteString("# " + e.Error() + "\n")
			if e.Line < 1 || e.Col < 1 {
				t.Errorf("error without its place: %+v", e)
			}
		}
	}
	for _, w := range warnings {
		got.WriteString("# " + w.String() + "\n")
	}
	model, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	modelFile := strings.TrimSuffix(file, ".toml") + ".json"
	if *update {
		if err := os.WriteFile(file, append(bytes.TrimRight(document, "\n"), (trailer+got.String())...), 0o644); err != nil {
			t.Fatal(err)
		}
		if kind == "good" {
			if err := os.WriteFile(modelFile, append(model, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
	if kind == "good" {
		wantModel, err := os.ReadFile(modelFile)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(wantModel), string(model)+"\n"); d != "" {
			t.Errorf("model (-want +got):\n%s", d)
		}
	}
}

// TestErrorPlaces looks at line, column and the rest of the errors one by one: an
// unknown key is named where the key stands, a wrong value where the value does,
// and what is missing where its table begins.
func TestErrorPlaces(t *testing.T) {
	const text = "\ufeffglobal = { log_levl = 1,\n  log_format = \"xml\" }\n\n" +
		"[vrrp_script.a]\n  interval = 1\n"
	_, err := Parse("dir/x.toml", []byte(text))
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatal(err)
	}
	for i := range errs {
		errs[i].Msg = ""
	}
	want := Errors{
		{File: "dir/x.toml", Line: 1, Col: 12, Key: "global.log_levl"},
		{File: "dir/x.toml", Line: 2, Col: 16, Key: "global.log_format"},
		{File: "dir/x.toml", Line: 4, Col: 1, Key: "vrrp_script.a.script"},
		{File: "dir/x.toml", Line: 5, Col: 14, Key: "vrrp_script.a.interval"},
	}
	if d := cmp.Diff(want, errs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestFaultyValueIsDefault says what the validation sees in place of a value that
// could not be decoded.
func TestFaultyValueIsDefault(t *testing.T) {
	cfg := parse(&report{}, "[vrrp_instance.a]\npriority = true\nstate = 1\nversion = 9\ngarp.repeat = 1000\n"+
		"virtual_ipaddress = [5, \"192.0.2.1\"]\n")
	in := cfg.Instances[0]
	if in.Priority != 100 || in.InitialState != "BACKUP" || in.Version != 3 || in.Garp.Repeat != 5 ||
		len(in.Addresses) != 2 || in.Addresses[1].Prefix.String() != "192.0.2.1/32" {
		t.Errorf("%+v", in)
	}
}

// TestTooManyAddresses fills an advert to the last place and beyond.
func TestTooManyAddresses(t *testing.T) {
	for n, want := range map[int]string{
		255: "",
		256: "x.toml:4: vrrp_instance.a.virtual_ipaddress: 256 IPv4 addresses are too many, allowed are 1 to 255: " +
			"an advert holds no more; put the others into virtual_ipaddress_excluded",
	} {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("%q", netip.AddrFrom4([4]byte{192, 0, 2 + byte(i/250), 1 + byte(i%250)})))
		}
		_, err := Parse("x.toml", []byte("[vrrp_instance.a]\ninterface = \"eth0\"\nvirtual_router_id = 1\n"+
			"virtual_ipaddress = ["+strings.Join(list, ",")+"]"))
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%d addresses: %s", n, got)
		}
	}
}

// TestLargeFarm parses a large document to the end, without a warning.
func TestLargeFarm(t *testing.T) {
	cfg, warnings, err := ParseWithWarnings("farm.toml", farm(10000))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	last := cfg.VirtualServers[99].RealServers[99]
	if last.Name != "10.0.39.15:80" || last.Weight != 10 || last.Forwarding != DR || len(last.Checks) != 1 {
		t.Errorf("%+v", last)
	}
}

// TestPositions finds keys as the text writes them, and nothing else.
func TestPositions(t *testing.T) {
	find := Positions("x.toml", []byte("[vrrp_script.\"a.b\"]\ninterval = \"1s\"\nscript =   \"x\"\n[vrrp_instance.web]\nnotify = { all = \"y\" }\n"))
	for _, tc := range []struct {
		path      string // parts with a slash between
		line, col int
	}{
		{"vrrp_script/a.b/script", 3, 12},
		{"vrrp_script/a.b", 1, 1},
		{"vrrp_instance/web/notify/all", 5, 18},
		{"vrrp_instance/web/notify/fault", 0, 0},
		{"vrrp_instance/none/notify/all", 0, 0},
	} {
		if got, want := find(strings.Split(tc.path, "/")...), (Position{"x.toml", tc.line, tc.col}); got != want {
			t.Errorf("%s: %v, want %v", tc.path, got, want)
		}
	}
	if at := Positions("x.toml", []byte("[x"))("x"); at != (Position{File: "x.toml"}) {
		t.Errorf("a text with an error: %v", at)
	}
}
