package convert

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"director/config"
	"director/ipvs"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is expected into testdata")

// TestFiles converts every file of testdata. Beside each lies what is expected: the
// result as .toml, or all that is wrong as .report.
func TestFiles(t *testing.T) {
	for format, pattern := range map[Format]string{Ldirectord: "*.ldirectord", Ipvsadm: "*.ipvsadm"} {
		files, err := filepath.Glob("testdata/" + pattern)
		if err != nil || len(files) < 3 {
			t.Errorf("%s: %d files (%v)", pattern, len(files), err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if is, err := Recognise(text); is != format && !strings.Contains(file, "bad") {
					t.Errorf("recognised as %q, %v", is, err)
				}
				result, err := Convert(file, text, format, Options{})
				if bad := strings.Contains(file, "bad"); (err != nil) != bad {
					t.Fatalf("error %v", err)
				}
				var errs config.Errors
				if errors.As(err, &errs) {
					golden(t, file+".report", errs.Error()+"\n")
					return
				}
				var report strings.Builder
				for _, r := range result.Remarks {
					fmt.Fprintln(&report, r.Loss, r.Warning)
				}
				golden(t, file+".report", report.String())
				golden(t, file+".toml", string(result.Text))
			})
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// TestRecognise tells the languages apart.
func TestRecognise(t *testing.T) {
	for text, want := range map[string]Format{
		"! comment\nglobal_defs {\n}": Keepalived, "include /etc/keepalived/*.conf": Keepalived, "$A=1\n": Keepalived, "@lb1 vrrp_instance A {\n": Keepalived,
		"# x\nvirtual=192.0.2.1:80\n\treal=10.0.0.1:80 gate": Ldirectord, "checktimeout=3\nvirtual = 5\n": Ldirectord, "virtual6=[2001:db8::1]:80": Ldirectord,
		"-A -t 192.0.2.1:80 -s rr": Ipvsadm, "/sbin/ipvsadm -A -t 192.0.2.1:80": Ipvsadm, "\n--add-service -t 192.0.2.1:80": Ipvsadm,
		"[global]\nlog_level = \"info\"": "", "": "", "hello": "", "[[static_address]]": "", "virtual = { a = 1 }": "",
	} {
		got, err := Recognise([]byte(text))
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
		if strings.HasPrefix(text, "[") && !errors.Is(err, ErrOwn) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Convert("x", nil, "", Options{}); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// TestNames converts texts with names of hosts and ports.
func TestNames(t *testing.T) {
	o := Options{Names: ipvs.Names{
		Host: func(name string, f ipvs.Family) (netip.Addr, error) {
			if name != "web1" || f != ipvs.IPv4 {
				return netip.Addr{}, errors.New("no such host")
			}
			return netip.MustParseAddr("10.0.0.1"), nil
		},
		Port: func(name string, p ipvs.Protocol) (uint16, error) {
			if name != "http" || p != ipvs.TCP {
				return 0, errors.New("no such service")
			}
			return 80, nil
		},
	}}
	for format, text := range map[Format]string{
		Ldirectord: "virtual=192.0.2.1:http\n\treal=web1:http gate\n\tchecktype=connect\n",
		Ipvsadm:    "-A -t 192.0.2.1:http\n-a -t 192.0.2.1:http -r web1:http -g\n",
	} {
		r, err := Convert("x", []byte(text), format, o)
		if err != nil {
			t.Fatal(format, err)
		}
		if !strings.Contains(string(r.Text), `"10.0.0.1:80"`) || r.LeftOut() {
			t.Errorf("%s: %v\n%s", format, r.Remarks, r.Text)
		}
		if _, err := Convert("x", []byte(strings.ReplaceAll(text, "web1", "web2")), format, o); err == nil {
			t.Error(format, "a name that nobody knows")
		}
	}
}

// FuzzConvert converts anything in each language: it must not panic, and an error is the
// text's own, never one of what was written.
func FuzzConvert(f *testing.F) {
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) < 10 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = Recognise([]byte(text))
		for _, format := range []Format{Ldirectord, Ipvsadm} {
			result, err := Convert("x", []byte(text), format, Options{})
			var errs config.Errors
			if err != nil && !errors.As(err, &errs) {
				t.Fatalf("%s: %v\n%s", format, err, text)
			}
			for _, e := range errs {
				if e.Line < 1 || e.Msg == "" || e.File != "x" || strings.ContainsAny(e.Error(), "\n\r") {
					t.Errorf("%+v", e)
				}
			}
			if err == nil && len(result.Text) == 0 {
				t.Error("nothing was written")
			}
		}
	})
}
