package main

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInit writes a pair by flags, and asks for nothing.
func TestInit(t *testing.T) {
	dir := folder(t)
	args := func(more ...string) []string {
		return append([]string{"init", "--output", dir, "--a", "lb1=192.0.2.1", "--b", "lb2=192.0.2.2", "--interface", "eth0", "--vip", "192.0.2.10/24"}, more...)
	}
	first, second := filepath.Join(dir, "lb1.toml"), filepath.Join(dir, "lb2.toml")
	if status, out, errs := call(args()...); status != exitOK || !strings.Contains(out, "director check --peer "+second+" "+first) {
		t.Fatalf("%d\n%s\n%s", status, out, errs)
	}
	if status, out, errs := call("check", "--strict", first, "--peer", second); status != exitOK || !strings.Contains(out, "valid: 1 VRRP instance") {
		t.Errorf("%d\n%s\n%s", status, out, errs)
	}
	was, err := os.ReadFile(first)
	if err != nil || !bytes.Contains(was, []byte("key = \"hex:")) {
		t.Fatalf("%v\n%s", err, was)
	}
	if info, err := os.Stat(first); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if status, _, errs := call(args()...); status != exitFailure || !strings.Contains(errs, first+" exists; --force overwrites it") {
		t.Errorf("%d %s", status, errs)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := call(args()...); status != exitFailure {
		t.Errorf("the second file exists: %d", status)
	}
	if _, err := os.Stat(first); err == nil {
		t.Error("one of two files was written")
	}
	if status, _, errs := call(args("--force", "--sign", "no")...); status != exitOK {
		t.Errorf("%d %s", status, errs)
	}
	if now, err := os.ReadFile(first); err != nil || bytes.Contains(now, []byte("authentication")) {
		t.Errorf("%v\n%s", err, now)
	}
	for _, tc := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"init", "--a", "lb1=192.0.2.1"}, exitUsage, "--b, --interface, --vip, --vrid must be given"},
		{args("--vrid", "300"), exitUsage, "--vrid: \"300\" is not a number from 1 to 255"},
		{args("--adverts", "broadcast"), exitUsage, "allowed are multicast and unicast"},
		{args("--servers", "www"), exitUsage, "is not ADDRESS or ADDRESS:PORT"},
		{args("--servers", "10.0.0.1", "--method", "masq"), exitUsage, "allowed are nat, dr, tunnel"},
		{args("--servers", "10.0.0.1", "--check", "https"), exitUsage, "allowed are tcp and http:PATH"},
		{args("--force", "--servers", "10.0.0.1:81", "--method", "dr"), exitFailure, "only NAT can change a port"},
		{args("--force", "--output", dir+"/none"), exitFailure, "no such file or directory"},
	} {
		if status, _, errs := call(tc.args...); status != tc.status || !strings.Contains(errs, tc.want) {
			t.Errorf("%v: %d, want %d\n%s", tc.args, status, tc.status, errs)
		}
	}
}

// TestInterview answers on a terminal: wrong answers are asked for again, and Return is
// the usual one.
func TestInterview(t *testing.T) {
	ask := func(text ...string) (*answers, string, error) {
		var out bytes.Buffer
		given := make(map[string]*string)
		for _, q := range questions() {
			given[q.flag] = new(string)
		}
		*given["interface"] = "eth0"
		a, err := interview(bufio.NewScanner(strings.NewReader(strings.Join(text, "\n")+"\n")), &out, given, func(flag string) bool { return flag == "interface" })
		return a, out.String(), err
	}
	a, out, err := ask("lb1", "lb1=192.0.2.1", "", "lb2=192.0.2.2", "192.0.2.10", "192.0.2.10/24", "", "unicast", "maybe", "no", "y", "443",
		"10.0.0.11, 10.0.0.12", "8080", "", "", "http:/health")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if a.VRID != 10 || !a.Unicast || a.Key != "" || !a.NoPreempt || a.Port != 443 || len(a.Farm.Servers) != 2 || a.Farm.Port != 8080 || a.Farm.Method != "nat" || a.Farm.Path != "/health" {
		t.Errorf("%+v %+v", a.Plan, a.Farm)
	}
	for _, part := range []string{"lb1\" is not NAME=ADDRESS", "is not an address with a mask", "Number of the virtual router, 1 to 255, that nobody else on this network has [10]: ", "\"maybe\" is not yes or no"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is not in\n%s", part, out)
		}
	}
	if strings.Contains(out, "Interface of both") {
		t.Errorf("a flag was asked for:\n%s", out)
	}
	if _, err := a.Write(); err != nil {
		t.Error(err)
	}
	if _, _, err := ask("lb1=192.0.2.1"); err == nil || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("an end in the middle: %v", err)
	}
}
