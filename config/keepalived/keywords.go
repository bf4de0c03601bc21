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
		"track_group":        {{"group", given, true}},
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
		{"global_defs", globalDefs, true},
		{"net_namespace", text("global.network_namespace"), false},
		{"net_namespace_ipvs", text("global.ipvs_network_namespace"), false},
		{"namespace_with_ipsets", ignored("director uses no ipsets"), false},
		{"instance", ignored("several daemons on one host are kept apart by director's --runtime-dir"), false},
		{"use_pid_dir", ignored("director has no pid files; it locks its runtime directory"), false},
		{"linkbeat_use_polling", ignored("director follows the kernel's messages about links"), false},
		{"child_wait_time", seconds("global.stop_timeout"), false},
		{"linkbeat_interfaces", ignored("director follows the kernel's messages about links; of a driver that tells nothing, a track_script can ask"), true},
		{"interface_up_down_delays", interfaceDelays, true},
		{"static_ipaddress", staticAddresses, true},
		{"static_routes", staticRoutes, true},
		{"static_rules", staticRules, true},
		{"track_group", missing("static addresses, routes and rules are put back when somebody takes them away, and no instance depends on them"), true},
		{"garp_group", garpGroup, true},
		{"vrrp_script", trackScript, true},
		{"track_file", trackFile, true},
		{"vrrp_track_file", renamed("track_file", trackFile), true},
		{"vrrp_track_process", trackProcess, true},
		{"bfd_instance", bfdInstance, true},
		{"vrrp_sync_group", syncGroup, true},
		{"vrrp_instance", instance, true},
		{"virtual_server_group", serverGroup, true},
		{"virtual_server", service, true},
		{"SSL", missing("director verifies no certificate and shows none in a check that is made of SSL_GET"), true},
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
		fresh    = "the SNMP process gets the counters every snmp.update_interval of director's own language"
		firewall = "director makes a table of its own in nftables when it needs one"
		buffers  = "director sets the sizes of its sockets' buffers itself"
		own      = "BFD runs in the VRRP process: set it for that"
	)
	return []keyword{
		{"router_id", text("global.router_id"), false},
		{"process_names", ignored(names), false},
		{"process_name", ignored(names), false},
		{"vrrp_process_name", ignored(names), false},
		{"checker_process_name", ignored(names), false},
		{"lvs_process_name", ignored(names), false},
		{"bfd_process_name", ignored(names), false},
		{"tmp_config_directory", ignored("the configuration is read once and handed to the processes in memory"), false},
		{"config_save_dir", ignored("a reload tells in the log what it changed"), false},
		{"startup_script", missing("ExecStartPre= of the systemd unit runs a program before the start"), false},
		{"startup_script_timeout", missing("see startup_script"), false},
		{"shutdown_script", missing("ExecStopPost= of the systemd unit runs a program after the stop"), false},
		{"shutdown_script_timeout", missing("see shutdown_script"), false},
		{"umask", ignored("director makes files that others cannot write to"), false},
		{"random_seed", ignored("${_RANDOM} is another number each time the file is read"), false},
		{"reload_check_config", given, false}, // always so
		{"reload_time_file", missing("a timer of systemd runs `director reload` at a time"), false},
		{"reload_repeat", missing("see reload_time_file"), false},
		{"reload_file", ignored("a file is read at once and as a whole; move the new one to its place"), false},
		{"include_check", given, false}, // see reader.includeCheck
		{"data_use_instance", ignored(state), false},
		{"state_dump_file", ignored(state), false},
		{"stats_dump_file", ignored(state), false},
		{"json_dump_file", ignored(state), false},
		{"json_version", ignored(state), false},
		{"iproute_usr_dir", ignored("the names of routing tables are those of /etc/iproute2 and /usr/share/iproute2"), false},
		{"iproute_etc_dir", ignored("the names of routing tables are those of /etc/iproute2 and /usr/share/iproute2"), false},
		{"default_interface", given, false}, // see staticAddresses

		{"script_user", scriptUserGlobal, false},
		{"enable_script_security", given, false}, // always so
		{"use_symlink_paths", ignored("director checks a script's path as it is written, with all links on the way"), false},
		{"set_supplementary_groups", ignored("scripts run with one user and group"), false},
		{"notify_fifo", given, false}, // see translator.fifo
		{"notify_fifo_script", missing("start the reader of the FIFO as a service of its own"), false},
		{"vrrp_notify_fifo", given, false},
		{"vrrp_notify_fifo_script", missing("start the reader of the FIFO as a service of its own"), false},
		{"lvs_notify_fifo", given, false},
		{"lvs_notify_fifo_script", missing("start the reader of the FIFO as a service of its own"), false},
		{"vrrp_notify_priority_changes", switchedOff("the FIFO has changes of state only; `director status` shows the priority"), false},
		{"fifo_write_vrrp_states_on_reload", missing("a reload changes no state, and none is told"), false},
		{"notification_email", given, true}, // see translator.mail
		{"notification_email_from", given, false},
		{"smtp_server", given, false},
		{"smtp_helo_name", given, false},
		{"smtp_connect_timeout", given, false},
		{"smtp_alert", given, false}, // see translator.alert
		{"smtp_alert_vrrp", given, false},
		{"smtp_alert_checker", given, false},
		{"no_email_faults", missing("mail tells of FAULT as of every state"), false},
		{"no_checker_emails", ignored("mail tells of servers only when they come and go"), false},
		{"checker_log_all_failures", given, false}, // see finishChecks

		{"vrrp_version", given, false}, // this and others see inherited
		{"vrrp_mcast_group4", mcastGroup, false},
		{"vrrp_mcast_group6", mcastGroup, false},
		{"vrrp_garp_master_delay", given, false},
		{"vrrp_garp_master_repeat", given, false},
		{"vrrp_garp_master_refresh", given, false},
		{"vrrp_garp_master_refresh_repeat", given, false},
		{"vrrp_garp_lower_prio_delay", given, false},
		{"vrrp_garp_lower_prio_repeat", given, false},
		{"vrrp_garp_interval", given, false}, // see instance
		{"vrrp_gna_interval", given, false},
		{"vrrp_min_garp", given, false},
		{"vrrp_garp_extra_if", missing("set garp_master_refresh, which announces all addresses on all their interfaces"), false},
		{"vrrp_vmac_garp_intvl", missing("set garp_master_refresh, which announces all addresses on all their interfaces"), false},
		{"vrrp_down_timer_adverts", given, false},
		{"vrrp_lower_prio_no_advert", given, false},
		{"vrrp_higher_prio_send_advert", given, false},
		{"vrrp_owner_ignore_adverts", given, false},
		{"v3_checksum_as_v2", given, false},
		{"vrrp_check_unicast_src", given, false}, // always so
		{"vrrp_skip_check_adv_addr", given, false},
		{"vrrp_strict", given, false},
		{"vrrp_startup_delay", seconds("global.start_delay"), false},
		{"vrrp_delay_after_boot", seconds("global.delay_after_boot"), false},
		{"log_unknown_vrids", missing("adverts with a router ID that no instance here has are not logged"), false},
		{"dynamic_interfaces", given, false}, // always so
		{"disable_local_igmp", missing("set sysctl net.ipv4.igmp_link_local_mcast_reports = 0"), false},
		{"vmac_prefix", missing("name the interface in use_vmac"), false},
		{"vmac_addr_prefix", missing("name the interface in use_vmac"), false},
		{"vrrp_rx_bufs_policy", ignored(buffers), false},
		{"vrrp_rx_bufs_multiplier", ignored(buffers), false},

		{"nftables", ignored(firewall), false},
		{"nftables_priority", ignored(firewall), false},
		{"nftables_counters", ignored(firewall), false},
		{"nftables_ifindex", ignored(firewall), false},
		{"vrrp_iptables", ignored(firewall), false},
		{"vrrp_ipsets", ignored(firewall), false},
		{"nftables_ipvs", missing("each address of a virtual_server_group is a service of its own"), false},
		{"nftables_ipvs_priority", missing("see nftables_ipvs"), false},
		{"nftables_ipvs_start_fwmark", missing("see nftables_ipvs"), false},

		{"lvs_sync_daemon", syncDaemon, false},
		{"lvs_timeouts", ipvsTimeouts, false},
		{"lvs_flush", flush, false},
		{"lvs_flush_on_stop", given, false}, // the services of this file go at the stop
		{"lvs_flush_onstop", given, false},

		{"max_auto_priority", autoPriority, false},
		{"min_auto_priority_delay", missing("see max_auto_priority"), false},
		{"vrrp_priority", number("vrrp_process.nice"), false},
		{"checker_priority", number("checker_process.nice"), false},
		{"bfd_priority", ignored(own), false},
		{"vrrp_no_swap", says("vrrp_process.lock_memory", true), false},
		{"checker_no_swap", says("checker_process.lock_memory", true), false},
		{"bfd_no_swap", ignored(own), false},
		{"vrrp_rt_priority", atLeast(1, "vrrp_process.rt_priority"), false},
		{"checker_rt_priority", atLeast(1, "checker_process.rt_priority"), false},
		{"bfd_rt_priority", ignored(own), false},
		{"vrrp_cpu_affinity", cpus("vrrp_process.cpu_affinity"), false},
		{"checker_cpu_affinity", cpus("checker_process.cpu_affinity"), false},
		{"bfd_cpu_affinity", ignored(own), false},
		{"vrrp_rlimit_rttime", microseconds("vrrp_process.rt_time_limit"), false},
		{"checker_rlimit_rttime", microseconds("checker_process.rt_time_limit"), false},
		{"bfd_rlimit_rttime", ignored(own), false},
		{"vrrp_rlimit_rtime", renamed("vrrp_rlimit_rttime", microseconds("vrrp_process.rt_time_limit")), false},
		{"checker_rlimit_rtime", renamed("checker_rlimit_rttime", microseconds("checker_process.rt_time_limit")), false},
		{"bfd_rlimit_rtime", ignored(own), false},
		{"vrrp_netlink_cmd_rcv_bufs", ignored(buffers), false},
		{"vrrp_netlink_cmd_rcv_bufs_force", ignored(buffers), false},
		{"vrrp_netlink_monitor_rcv_bufs", ignored(buffers), false},
		{"vrrp_netlink_monitor_rcv_bufs_force", ignored(buffers), false},
		{"lvs_netlink_cmd_rcv_bufs", ignored(buffers), false},
		{"lvs_netlink_cmd_rcv_bufs_force", ignored(buffers), false},
		{"lvs_netlink_monitor_rcv_bufs", ignored(buffers), false},
		{"lvs_netlink_monitor_rcv_bufs_force", ignored(buffers), false},
		{"process_monitor_rcv_bufs", ignored(buffers), false},
		{"process_monitor_rcv_bufs_force", ignored(buffers), false},
		{"rs_init_notifies", given, false}, // always so

		{"snmp_socket", given, false}, // see translator.snmp
		{"enable_snmp_vrrp", given, false},
		{"enable_snmp_keepalived", given, false},
		{"enable_snmp_checker", given, false},
		{"enable_snmp_rfc", given, false},
		{"enable_snmp_rfcv2", given, false},
		{"enable_snmp_rfcv3", given, false},
		{"enable_traps", missing("director sends traps itself, to the manager of [notify.snmp] of director's own language"), false},
		{"snmp_vs_stats_update_interval", ignored(fresh), false},
		{"snmp_rs_stats_update_interval", ignored(fresh), false},
		{"enable_dbus", missing("`director status --json` and the control socket tell programs the state"), false},
		{"dbus_service_name", missing("see enable_dbus"), false},
		{"dbus_no_interface_name", missing("see enable_dbus"), false},
	}
}
