package config

import (
	"strings"
	"testing"
)

// TestKeepalivedLine tells the blocks of keepalived.conf from lines of TOML.
func TestKeepalivedLine(t *testing.T) {
	for _, tc := range []struct {
		text  string
		line  int
		words string
	}{
		{"! Configuration File for keepalived\n\nvrrp_instance VI_1 {\n", 3, "vrrp_instance VI_1"},
		{"vrrp_instance VI_1{\n  state MASTER\n}", 1, "vrrp_instance VI_1"},
		{"\tvirtual_server 192.0.2.80 80 {", 1, "virtual_server 192.0.2.80 80"},
		{"include x.conf\nvrrp_script chk\n{\n}", 2, "vrrp_script chk"},
		{"global_defs {   # all", 1, "global_defs"},
		{"@main vrrp_sync_group G {", 1, "vrrp_sync_group G"},
		{"global_defs\r\n{", 1, "global_defs"},
		{"[vrrp_instance.web]\npriority = ", 0, ""},
		{"vrrp_instance = {", 0, ""},
		{"vrrp_instance.web.priority = 1\n x", 0, ""},
		{"[vrrp_instance.web]\nstate = MASTER", 0, ""},
		{"# vrrp_instance VI_1 {\n[", 0, ""},
		{"virtual_ipaddress = [\n", 0, ""},
	} {
		if line, words := KeepalivedLine(tc.text); line != tc.line || words != tc.words {
			t.Errorf("%q: line %d, %q; want %d, %q", tc.text, line, words, tc.line, tc.words)
		}
	}
}

// TestKeepalivedKeys looks at keys that are called as in keepalived and belong elsewhere:
// where an answer names another table, that one has the key.
func TestKeepalivedKeys(t *testing.T) {
	have := make(map[string]bool)
	for _, f := range Fields() {
		have[f.Path] = true
	}
	named := 0
	for _, key := range []string{"vrrp_strict", "skip_check_adv_addr", "vrrp_version", "vrrp_promote_secondaries", "vrrp_garp_interval", "vrrp_gna_interval",
		"vrrp_garp_master_delay", "vrrp_garp_master_repeat", "vrrp_garp_master_refresh", "vrrp_garp_master_refresh_repeat", "vrrp_garp_lower_prio_delay",
		"vrrp_garp_lower_prio_repeat", "notification_email", "notification_email_from", "smtp_server", "smtp_helo_name", "smtp_connect_timeout", "smtp_alert", "notify_fifo"} {
		advice := newSchema().byKey["global"].table.unknownKey(key)
		if !strings.HasPrefix(advice, "unknown key: ") {
			t.Errorf("%s: %s", key, advice)
		}
		table, path, found := strings.Cut(advice, "]: ")
		if !found {
			continue
		}
		named++
		_, table, _ = strings.Cut(table, "[")
		if !have[table+"."+path] {
			t.Errorf("%s: there is no key %s.%s: %s", key, table, path, advice)
		}
	}
	if named < 12 {
		t.Errorf("only %d keys elsewhere", named)
	}
	if advice := newSchema().byKey["global"].table.unknownKey("nonsense"); strings.Contains(advice, "unknown key: ") {
		t.Error(advice)
	}
}
