package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConvert converts files by the command line.
func TestConvert(t *testing.T) {
	dir := folder(t)
	files := map[string]string{
		"whole.conf": "vrrp_instance A {\n  interface eth0 # outside\n  @lb2 priority 90\n  @lb1 priority 110\n  virtual_router_id 1\n  virtual_ipaddress { 192.0.2.1 }\n}\n",
		"lost.conf":  "global_defs {\n  enable_dbus\n}\nvrrp_instance A {\n  interface eth0\n  virtual_router_id 1\n  virtual_ipaddress { 192.0.2.1 }\n}\n",
		"wrong.conf": "vrrp_instance A {\n  interfac eth0\n}\n",
		"own.toml":   working,
		"notes.txt":  "buy milk\n",
		"table.txt":  "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n",
		"ha.cf":      "virtual=192.0.2.1:80\n\treal=10.0.0.1:80 masq\n\tchecktype=connect\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, tc := range []struct {
		args   []string
		status int
		out    string // part of standard output
		report string // part of standard error
	}{
		{[]string{at("whole.conf"), "--id", "lb1"}, exitOK, "priority = 110", "all of it was carried over"},
		{[]string{at("whole.conf"), "--id", "lb2"}, exitOK, "priority = 90", "(keepalived)"},
		{[]string{at("lost.conf")}, exitLeftOut, "enable_dbus", "lost.conf:2: left out: enable_dbus:"},
		{[]string{at("wrong.conf")}, exitFailure, "", "wrong.conf:2: interfac: unknown keyword"},
		{[]string{at("own.toml")}, exitFailure, "", "there is nothing to convert"},
		{[]string{at("notes.txt")}, exitFailure, "", "is in no known language"},
		{[]string{at("none")}, exitFailure, "", "no such file"},
		{[]string{at("table.txt")}, exitOK, "[virtual_server.http]", "(ipvsadm)"},
		{[]string{at("ha.cf")}, exitOK, `type = "tcp"`, "(ldirectord)"},
		{[]string{at("ha.cf"), "--from", "ipvsadm"}, exitFailure, "", "ha.cf:1:"},
		{[]string{at("ha.cf"), "--from", "haproxy"}, exitUsage, "", "allowed are keepalived, ldirectord, ipvsadm"},
		{[]string{at("ha.cf"), "--report", "xml"}, exitUsage, "", "allowed are text and json"},
		{nil, exitUsage, "", "takes one file"},
	} {
		status, out, report := call(append([]string{"convert"}, tc.args...)...)
		if status != tc.status || !strings.Contains(out, tc.out) || !strings.Contains(report, tc.report) || tc.out == "" && out != "" {
			t.Errorf("%q: status %d, want %d\n%s\n%s", tc.args, status, tc.status, out, report)
		}
	}

	// What is written is right, private, and not written over.
	file := at("out.toml")
	if status, out, report := call("convert", at("whole.conf"), "-o", file); status != exitOK || out != "" {
		t.Fatal(status, out, report)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if status, out, report := call("check", file); status != exitOK {
		t.Error(status, out, report)
	}
	if status, _, report := call("convert", at("ha.cf"), "-o", file); status != exitFailure || !strings.Contains(report, "is there already") {
		t.Error(status, report)
	}
	if status, _, report := call("convert", at("ha.cf"), "-o", file, "--force"); status != exitOK {
		t.Error(status, report)
	}

	status, _, report := call("convert", at("lost.conf"), "--report", "json")
	var got struct {
		Format  string
		LeftOut int `json:"left_out"`
		Remarks []struct {
			File, Keyword, Kind string
			Line                int
		}
	}
	if err := json.Unmarshal([]byte(report), &got); err != nil || status != exitLeftOut {
		t.Fatal(status, err, report)
	}
	if got.Format != "keepalived" || got.LeftOut != 1 || len(got.Remarks) != 1 || got.Remarks[0].Keyword != "enable_dbus" || got.Remarks[0].Line != 2 || got.Remarks[0].Kind != "left_out" {
		t.Errorf("%+v", got)
	}
}
