package keepalived

// tables returns all keywords that keepalived has, by the block that they stand
// in; the blocks without a name of their own, such as the lists of addresses, have
// none. The block "" is the top level.
func tables() map[string]map[string]keyword {
	all := make(map[string]map[string]keyword)
	for block, list := range map[string][]keyword{
		"":                   rootKeywords(),
		"global_defs":        globalKeywords(),
		"vrrp_script":        scriptKeywords(),
		"track_file":         trackFileKeywords(),
		"vrrp_track_process": trackProcessKeywords(),
		"bfd_instance":       bfdKeywords(),
		"track_group":        {{"group", niche, given, true}},
		"garp_group":         garpGroupKeywords(),
		"vrrp_sync_group":    groupKeywords(),
		"vrrp_instance":      instanceKeywords(),
		"authentication":     authenticationKeywords(),
		"auth_hmac":          hmacKeywords(),
		"virtual_server":     serviceKeywords(),
		"real_server":        serverKeywords(),
		"SSL":                sslKeywords(),
		"url":                urlKeywords(),
		"host":               hostKeywords(),
		"HTTP_GET":           httpKeywords(),
		"SSL_GET":            httpKeywords(),
		"TCP_CHECK":          connectionKeywords(),
		"PING_CHECK":         connectionKeywords(),
		"SMTP_CHECK":         smtpKeywords(),
		"DNS_CHECK":          dnsKeywords(),
		"MISC_CHECK":         miscKeywords(),
		"UDP_CHECK":          udpKeywords(),
		"BFD_CHECK":          bfdCheckKeywords(),
		"FILE_CHECK":         fileCheckKeywords(),
	} {
		table := make(map[string]keyword, len(list))
		for _, k := range list {
			table[k.name] = k
		}
		all[block] = table
	}
	return all
}

func rootKeywords() []keyword {
	return []keyword{
		{"global_defs", core, globalDefs, true},
		{"net_namespace", niche, text("global.network_namespace"), false},
		{"net_namespace_ipvs", niche, refused("director programs IPVS in the network namespace that it runs in, allowed is one daemon in each: global.network_namespace"), false},
		{"namespace_with_ipsets", obsolete, ignored("director uses no ipsets"), false},
		{"instance", niche, ignored("several daemons on one host are kept apart by director's --runtime-dir"), false},
		{"use_pid_dir", niche, ignored("director has no pid files; it locks its runtime directory"), false},
		{"linkbeat_use_polling", obsolete, ignored("director follows the kernel's messages about links"), false},
		{"child_wait_time", niche, seconds("global.stop_timeout"), false},
		{"linkbeat_interfaces", niche, ignored("director follows the kernel's messages about links; of a driver that tells nothing, a track_script can ask"), true},
		{"interface_up_down_delays", niche, interfaceDelays, true},
		{"static_ipaddress", niche, staticAddresses, true},
		{"static_routes", niche, staticRoutes, true},
		{"static_rules", niche, staticRules, true},
		{"track_group", niche, missing("static addresses, routes and rules are put back when somebody takes them away, and no instance depends on them"), true},
		{"garp_group", niche, garpGroup, true},
		{"vrrp_script", core, trackScript, true},
		{"track_file", common, trackFile, true},
		{"vrrp_track_file", obsolete, renamed("track_file", trackFile), true},
		{"vrrp_track_process", common, trackProcess, true},
		{"bfd_instance", niche, bfdInstance, true},
		{"vrrp_sync_group", core, syncGroup, true},
		{"vrrp_instance", core, instance, true},
		{"virtual_server_group", common, given, true}, // see service
		{"virtual_server", core, service, true},
		{"SSL", niche, missing("director verifies no certificate and shows none in a check that is made of SSL_GET"), true},
	}
}

// pair is a keyword of global_defs that is the default of one in instances.
type pair struct{ global, instance string }

func inherited() []pair {
	return []pair{
		{"vrrp_version", "version"}, {"vrrp_strict", "strict_mode"},
		{"vrrp_garp_master_delay", "garp_master_delay"}, {"vrrp_garp_master_repeat", "garp_master_repeat"},
		{"vrrp_garp_master_refresh", "garp_master_refresh"}, {"vrrp_garp_master_refresh_repeat", "garp_master_refresh_repeat"},
		{"vrrp_garp_lower_prio_delay", "garp_lower_prio_delay"}, {"vrrp_garp_lower_prio_repeat", "garp_lower_prio_repeat"},
		{"vrrp_lower_prio_no_advert", "lower_prio_no_advert"}, {"vrrp_higher_prio_send_advert", "higher_prio_send_advert"},
		{"vrrp_owner_ignore_adverts", "owner_ignore_adverts"}, {"vrrp_down_timer_adverts", "down_timer_adverts"},
		{"v3_checksum_as_v2", "v3_checksum_as_v2"},
	}
}

func globalKeywords() []keyword {
	const (
		names    = "the processes are called director, and tell what they are in their command lines"
		state    = "`director status` and its --json show the state"
		snmp     = "there is no SNMP agent; [notify.snmp] of director's own language sends traps, and metrics are for Prometheus"
		firewall = "director makes a table of its own in nftables when it needs one"
		buffers  = "director sets the sizes of its sockets' buffers itself"
		own      = "BFD runs in the VRRP process: set it for that"
	)
	return []keyword{
		{"router_id", common, text("global.router_id"), false},
		{"process_names", niche, ignored(names), false},
		{"process_name", niche, ignored(names), false},
		{"vrrp_process_name", niche, ignored(names), false},
		{"checker_process_name", niche, ignored(names), false},
		{"lvs_process_name", obsolete, ignored(names), false},
		{"bfd_process_name", niche, ignored(names), false},
		{"tmp_config_directory", niche, ignored("the configuration is read once and handed to the processes in memory"), false},
		{"config_save_dir", niche, ignored("a reload tells in the log what it changed"), false},
		{"startup_script", niche, missing("ExecStartPre= of the systemd unit runs a program before the start"), false},
		{"startup_script_timeout", niche, missing("see startup_script"), false},
		{"shutdown_script", niche, missing("ExecStopPost= of the systemd unit runs a program after the stop"), false},
		{"shutdown_script_timeout", niche, missing("see shutdown_script"), false},
		{"umask", niche, ignored("director makes files that others cannot write to"), false},
		{"random_seed", niche, ignored("${_RANDOM} is another number each time the file is read"), false},
		{"reload_check_config", common, given, false}, // always so
		{"reload_time_file", niche, missing("a timer of systemd runs `director reload` at a time"), false},
		{"reload_repeat", niche, missing("see reload_time_file"), false},
		{"reload_file", niche, ignored("a file is read at once and as a whole; move the new one to its place"), false},
		{"include_check", niche, given, false}, // see reader.includeCheck
		{"data_use_instance", niche, ignored(state), false},
		{"state_dump_file", niche, ignored(state), false},
		{"stats_dump_file", niche, ignored(state), false},
		{"json_dump_file", niche, ignored(state), false},
		{"json_version", niche, ignored(state), false},
		{"iproute_usr_dir", niche, ignored("the names of routing tables are those of /etc/iproute2 and /usr/share/iproute2"), false},
		{"iproute_etc_dir", niche, ignored("the names of routing tables are those of /etc/iproute2 and /usr/share/iproute2"), false},
		{"default_interface", niche, given, false}, // see staticAddresses

		{"script_user", core, scriptUserGlobal, false},
		{"enable_script_security", core, given, false}, // always so
		{"use_symlink_paths", niche, ignored("director checks a script's path as it is written, with all links on the way"), false},
		{"set_supplementary_groups", niche, ignored("scripts run with one user and group"), false},
		{"notify_fifo", common, given, false}, // see translator.fifo
		{"notify_fifo_script", niche, missing("start the reader of the FIFO as a service of its own"), false},
		{"vrrp_notify_fifo", common, given, false},
		{"vrrp_notify_fifo_script", niche, missing("start the reader of the FIFO as a service of its own"), false},
		{"lvs_notify_fifo", common, given, false},
		{"lvs_notify_fifo_script", niche, missing("start the reader of the FIFO as a service of its own"), false},
		{"vrrp_notify_priority_changes", niche, switchedOff("the FIFO has changes of state only; `director status` shows the priority"), false},
		{"fifo_write_vrrp_states_on_reload", niche, missing("a reload changes no state, and none is told"), false},
		{"notification_email", core, given, true}, // see translator.mail
		{"notification_email_from", core, given, false},
		{"smtp_server", core, given, false},
		{"smtp_helo_name", niche, given, false},
		{"smtp_connect_timeout", core, given, false},
		{"smtp_alert", common, given, false}, // see translator.alert
		{"smtp_alert_vrrp", niche, given, false},
		{"smtp_alert_checker", niche, given, false},
		{"no_email_faults", niche, missing("mail tells of FAULT as of every state"), false},
		{"no_checker_emails", niche, ignored("mail tells of servers only when they come and go"), false},
		{"checker_log_all_failures", common, switchedOff("log_level debug shows every probe"), false},

		{"vrrp_version", common, given, false}, // this and others see inherited
		{"vrrp_mcast_group4", common, mcastGroup, false},
		{"vrrp_mcast_group6", niche, mcastGroup, false},
		{"vrrp_garp_master_delay", common, given, false},
		{"vrrp_garp_master_repeat", common, given, false},
		{"vrrp_garp_master_refresh", common, given, false},
		{"vrrp_garp_master_refresh_repeat", niche, given, false},
		{"vrrp_garp_lower_prio_delay", niche, given, false},
		{"vrrp_garp_lower_prio_repeat", niche, given, false},
		{"vrrp_garp_interval", common, given, false}, // see instance
		{"vrrp_gna_interval", common, given, false},
		{"vrrp_min_garp", niche, given, false},
		{"vrrp_garp_extra_if", niche, missing("set garp_master_refresh, which announces all addresses on all their interfaces"), false},
		{"vrrp_vmac_garp_intvl", obsolete, missing("set garp_master_refresh, which announces all addresses on all their interfaces"), false},
		{"vrrp_down_timer_adverts", niche, given, false},
		{"vrrp_lower_prio_no_advert", niche, given, false},
		{"vrrp_higher_prio_send_advert", niche, given, false},
		{"vrrp_owner_ignore_adverts", niche, given, false},
		{"v3_checksum_as_v2", niche, given, false},
		{"vrrp_check_unicast_src", niche, given, false}, // always so
		{"vrrp_skip_check_adv_addr", common, given, false},
		{"vrrp_strict", common, given, false},
		{"vrrp_startup_delay", common, seconds("global.start_delay"), false},
		{"vrrp_delay_after_boot", niche, seconds("global.delay_after_boot"), false},
		{"log_unknown_vrids", niche, ignored("adverts of unknown VRIDs are counted and shown in `director status`"), false},
		{"dynamic_interfaces", common, given, false}, // always so
		{"disable_local_igmp", niche, missing("set sysctl net.ipv4.igmp_link_local_mcast_reports = 0"), false},
		{"vmac_prefix", niche, missing("name the interface in use_vmac"), false},
		{"vmac_addr_prefix", niche, missing("name the interface in use_vmac"), false},
		{"vrrp_rx_bufs_policy", niche, ignored(buffers), false},
		{"vrrp_rx_bufs_multiplier", niche, ignored(buffers), false},

		{"nftables", common, ignored(firewall), false},
		{"nftables_priority", niche, ignored(firewall), false},
		{"nftables_counters", niche, ignored(firewall), false},
		{"nftables_ifindex", niche, ignored(firewall), false},
		{"vrrp_iptables", obsolete, ignored(firewall), false},
		{"vrrp_ipsets", obsolete, ignored(firewall), false},
		{"nftables_ipvs", niche, missing("each address of a virtual_server_group is a service of its own"), false},
		{"nftables_ipvs_priority", niche, missing("see nftables_ipvs"), false},
		{"nftables_ipvs_start_fwmark", niche, missing("see nftables_ipvs"), false},

		{"lvs_sync_daemon", common, missing("connections are not synchronised between directors yet: clients of a failed one connect anew"), false},
		{"lvs_timeouts", niche, missing("`ipvsadm --set` sets the timeouts"), false},
		{"lvs_flush", common, flush, false},
		{"lvs_flush_on_stop", niche, given, false}, // the services of this file go at the stop
		{"lvs_flush_onstop", obsolete, given, false},

		{"max_auto_priority", common, autoPriority, false},
		{"min_auto_priority_delay", niche, missing("see max_auto_priority"), false},
		{"vrrp_priority", niche, number("vrrp_process.nice"), false},
		{"checker_priority", niche, number("checker_process.nice"), false},
		{"bfd_priority", niche, ignored(own), false},
		{"vrrp_no_swap", niche, flag("vrrp_process.lock_memory", true), false},
		{"checker_no_swap", niche, flag("checker_process.lock_memory", true), false},
		{"bfd_no_swap", niche, ignored(own), false},
		{"vrrp_rt_priority", common, atLeast(1, "vrrp_process.rt_priority"), false},
		{"checker_rt_priority", niche, atLeast(1, "checker_process.rt_priority"), false},
		{"bfd_rt_priority", niche, ignored(own), false},
		{"vrrp_cpu_affinity", niche, cpus("vrrp_process.cpu_affinity"), false},
		{"checker_cpu_affinity", niche, cpus("checker_process.cpu_affinity"), false},
		{"bfd_cpu_affinity", niche, ignored(own), false},
		{"vrrp_rlimit_rttime", niche, microseconds("vrrp_process.rt_time_limit"), false},
		{"checker_rlimit_rttime", niche, microseconds("checker_process.rt_time_limit"), false},
		{"bfd_rlimit_rttime", niche, ignored(own), false},
		{"vrrp_rlimit_rtime", obsolete, renamed("vrrp_rlimit_rttime", microseconds("vrrp_process.rt_time_limit")), false},
		{"checker_rlimit_rtime", obsolete, renamed("checker_rlimit_rttime", microseconds("checker_process.rt_time_limit")), false},
		{"bfd_rlimit_rtime", obsolete, ignored(own), false},
		{"vrrp_netlink_cmd_rcv_bufs", niche, ignored(buffers), false},
		{"vrrp_netlink_cmd_rcv_bufs_force", niche, ignored(buffers), false},
		{"vrrp_netlink_monitor_rcv_bufs", niche, ignored(buffers), false},
		{"vrrp_netlink_monitor_rcv_bufs_force", niche, ignored(buffers), false},
		{"lvs_netlink_cmd_rcv_bufs", niche, ignored(buffers), false},
		{"lvs_netlink_cmd_rcv_bufs_force", niche, ignored(buffers), false},
		{"lvs_netlink_monitor_rcv_bufs", niche, ignored(buffers), false},
		{"lvs_netlink_monitor_rcv_bufs_force", niche, ignored(buffers), false},
		{"rs_init_notifies", niche, missing("a server that is well from the start is no change"), false},

		{"snmp_socket", common, missing(snmp), false},
		{"enable_snmp_vrrp", common, missing(snmp), false},
		{"enable_snmp_keepalived", obsolete, missing(snmp), false},
		{"enable_snmp_checker", common, missing(snmp), false},
		{"enable_snmp_rfc", niche, missing(snmp), false},
		{"enable_snmp_rfcv2", niche, missing(snmp), false},
		{"enable_snmp_rfcv3", niche, missing(snmp), false},
		{"enable_traps", common, missing(snmp), false},
		{"snmp_vs_stats_update_interval", niche, missing(snmp), false},
		{"snmp_rs_stats_update_interval", niche, missing(snmp), false},
		{"enable_dbus", niche, missing("`director status --json` and the control socket tell programs the state"), false},
		{"dbus_service_name", niche, missing("see enable_dbus"), false},
		{"dbus_no_interface_name", niche, missing("see enable_dbus"), false},
	}
}
