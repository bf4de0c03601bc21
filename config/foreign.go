package config

import (
	"regexp"
	"strings"
)

// keepalivedLine matches a line with which a block of keepalived.conf begins, and that
// is never TOML: a word, perhaps a name, and a brace that may stand on the next line.
var keepalivedLine = regexp.MustCompile(`(?m)^[ \t]*(?:@\^?\w+[ \t]+)?((?:(?:global_defs|static_(?:ipaddress|routes|rules)` +
	`|vrrp_(?:sync_group|script|track_process|track_file)|track_(?:process|file)|linkbeat_interfaces|interface_up_down_delays)` +
	`|(?:vrrp_instance|bfd_instance|virtual_server_group|virtual_server|SSL)\b)(?:[ \t]+[^\s={\[]+)*)[ \t]*\{?[ \t\r]*(?:[!#].*)?$`)

// KeepalivedLine finds the first line of a text that opens a block in the language of
// keepalived.conf. It returns its number, from 1, and its words; 0 when there is none,
// so that the text is something else.
func KeepalivedLine(text string) (line int, words string) {
	at := keepalivedLine.FindStringSubmatchIndex(text)
	if at == nil {
		return 0, ""
	}
	return 1 + strings.Count(text[:at[2]], "\n"), text[at[2]:at[3]]
}

// keepalivedKeys says of keys that keepalived's users have in their files, and that
// are not called otherwise but are elsewhere or nowhere here, what to do with them.
func keepalivedKeys(key string) string {
	switch strings.ToLower(key) {
	case "vrrp_strict", "strict_mode":
		return "leave it out: director always checks adverts as the RFC wants it, and adds no firewall rules for that"
	case "skip_check_adv_addr", "vrrp_skip_check_adv_addr":
		return "leave it out: adverts with other addresses count, and raise an alarm"
	case "check_unicast_src", "vrrp_check_unicast_src":
		return "leave it out: an instance with unicast_peer always hears these alone"
	case "enable_script_security", "script_security":
		return "leave it out: scripts are always checked, see script_user"
	case "dynamic_interfaces", "linkbeat_use_polling", "global_tracking", "native_ipv6":
		return "leave it out: it is always so"
	case "timer_expired_backup", "thread_timer_expired":
		return "leave it out: a process that did not run reads what has arrived before it decides"
	case "vrrp_iptables", "vrrp_ipsets", "nftables", "iptables":
		return `leave it out: the firewall rules of accept = false are in "nft list table inet director"`
	case "vrrp_version", "vrrp_promote_secondaries":
		return "it is a key of each [vrrp_instance.NAME]: " + strings.TrimPrefix(strings.ToLower(key), "vrrp_")
	case "vrrp_garp_interval", "vrrp_gna_interval", "garp_interval", "gna_interval":
		return "it is a key of each [vrrp_instance.NAME.garp]: interval"
	case "vrrp_garp_master_delay", "vrrp_garp_master_repeat", "vrrp_garp_master_refresh", "vrrp_garp_master_refresh_repeat", "vrrp_garp_lower_prio_delay", "vrrp_garp_lower_prio_repeat":
		return "it is a key of each [vrrp_instance.NAME.garp]: " + strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(key), "vrrp_garp_"), "master_")
	case "notification_email":
		return "it is a key of [notify.mail]: to"
	case "notification_email_from":
		return "it is a key of [notify.mail]: from"
	case "smtp_server":
		return "it is a key of [notify.mail]: server"
	case "smtp_helo_name":
		return "it is a key of [notify.mail]: helo"
	case "smtp_connect_timeout":
		return "it is a key of [notify.mail]: connect_timeout"
	case "smtp_alert", "smtp_alert_vrrp", "smtp_alert_checker":
		return "leave it out: with [notify.mail] each change is mailed, events chooses which"
	case "notify_fifo", "vrrp_notify_fifo", "lvs_notify_fifo":
		return "it is a key of [notify.fifo]: path"
	case "debug":
		return `leave it out: [global] has log_level = "debug"`
	}
	return ""
}
