package keepalived

func scriptKeywords() []keyword {
	return []keyword{
		{"script", core, func(sc *scope, s *statement) { sc.command(s, "script"); sc.need(s, 1, 1) }, false},
		{"interval", core, seconds("interval"), false},
		{"timeout", common, seconds("timeout"), false},
		{"weight", core, weight, false},
		{"rise", core, number("rise"), false},
		{"fall", core, number("fall"), false},
		{"user", common, runAs, false},
		{"init_fail", niche, flag("init_fail", true), false},
	}
}

func trackFileKeywords() []keyword {
	return []keyword{
		{"file", common, text("file"), false},
		{"weight", common, weight, false},
		{"init_file", niche, initFile, false},
	}
}

func trackProcessKeywords() []keyword {
	return []keyword{
		{"process", common, given, false}, // see trackProcess
		{"param_match", niche, given, false},
		{"weight", common, weight, false},
		{"quorum", niche, number("quorum"), false},
		{"quorum_max", niche, number("quorum_max"), false},
		{"delay", niche, seconds("delay"), false},
		{"fork_delay", niche, seconds("fork_delay"), false},
		{"terminate_delay", niche, seconds("terminate_delay"), false},
		{"full_command", niche, given, false},
	}
}

func bfdKeywords() []keyword {
	return []keyword{
		{"neighbor_ip", niche, text("neighbor_ip"), false},
		{"neighbour_ip", niche, text("neighbor_ip"), false},
		{"source_ip", niche, text("source_ip"), false},
		{"min_rx", niche, milliseconds("min_rx"), false},
		{"min_tx", niche, milliseconds("min_tx"), false},
		{"idle_tx", niche, milliseconds("idle_tx"), false},
		{"multiplier", niche, number("multiplier"), false},
		{"passive", niche, flag("passive", true), false},
		{"ttl", niche, number("ttl"), false},
		{"hoplimit", niche, number("ttl"), false},
		{"max_hops", niche, number("max_hops"), false},
		{"multihop", niche, flag("multihop", true), false},
		{"weight", niche, weight, false},
		{"vrrp", niche, given, false}, // always so
		{"checker", niche, ignored("sessions are for instances"), false},
	}
}

func garpGroupKeywords() []keyword {
	return []keyword{
		{"garp_interval", niche, given, false}, // see garpGroup
		{"gna_interval", niche, given, false},
		{"interface", niche, given, false},
		{"interfaces", niche, given, true},
	}
}

// tracking are the keywords that instances and groups have in common.
func tracking() []keyword {
	return []keyword{
		{"track_interface", core, track("track_interface"), true},
		{"track_script", core, track("track_script"), true},
		{"track_file", common, track("track_file"), true},
		{"track_process", common, track("track_process"), true},
		{"track_bfd", niche, track("track_bfd"), true},
		{"notify_master", core, script("notify.master"), false},
		{"notify_backup", core, script("notify.backup"), false},
		{"notify_fault", core, script("notify.fault"), false},
		{"notify_stop", common, script("notify.stop"), false},
		{"notify", core, script("notify.all"), false},
		{"notify_priority_changes", niche, switchedOff("the FIFO has changes of state only; `director status` shows the priority"), false},
		{"notify_deleted", niche, missing("an instance that a reload takes away tells STOP"), false},
	}
}

func groupKeywords() []keyword {
	return append(tracking(), []keyword{
		{"group", core, members, true},
		{"smtp_alert", common, groupMail, false},
		{"global_tracking", obsolete, ignored("what a group tracks counts for all its members, and so does what they track"), false},
		{"sync_group_tracking_weight", niche, given, false}, // always so
	}...)
}

func instanceKeywords() []keyword {
	const xif = "set garp_master_refresh, which announces all addresses on all their interfaces"
	return append(tracking(), []keyword{
		{"state", core, given, false}, // this and others see instance
		{"interface", core, text("interface"), false},
		{"virtual_router_id", core, number("virtual_router_id"), false},
		{"priority", core, number("priority"), false},
		{"advert_int", core, given, false},
		{"version", common, number("version"), false},
		{"native_ipv6", obsolete, ignored("the virtual addresses tell the version of IP"), false},
		{"vrf", niche, refused("an instance needs an interface: name the one that leads to the peers"), false},
		{"mcast_src_ip", common, text("mcast_src_ip"), false},
		{"mcast_dst_ip", niche, text("mcast_group"), false},
		{"unicast_src_ip", core, text("unicast_src_ip"), false},
		{"unicast_peer", core, peers, true},
		{"unicast_ttl", niche, number("unicast_ttl"), false},
		{"unicast_fault_no_peer", niche, given, false}, // never multicast instead, see instance
		{"check_unicast_src", common, given, false},    // always so
		{"track_src_ip", niche, given, false},          // always so
		{"old_unicast_checksum", obsolete, missing("peers older than keepalived 1.3.7 are not understood in version 3"), false},
		{"v3_checksum_as_v2", niche, checksum, false},
		{"down_timer_adverts", niche, number("down_timer_adverts"), false},
		{"timer_expired_backup", niche, missing("what waits in the sockets is read before a takeover, so that a stall makes no master"), false},
		{"thread_timer_expired", obsolete, missing("what waits in the sockets is read before a takeover, so that a stall makes no master"), false},
		{"strict_mode", niche, given, false},
		{"skip_check_adv_addr", niche, given, false}, // a difference is told, and never drops an advert
		{"lower_prio_no_advert", niche, boolean("lower_prio_no_advert"), false},
		{"higher_prio_send_advert", niche, boolean("higher_prio_send_advert"), false},
		{"owner_ignore_adverts", niche, boolean("owner_ignore_adverts"), false},
		{"kernel_rx_buf_size", niche, ignored("director sets the sizes of its sockets' buffers itself"), false},
		{"debug", obsolete, ignored("it never had one"), false},
		{"linkbeat_use_polling", obsolete, ignored("director follows the kernel's messages about links"), false},
		{"lvs_sync_daemon_interface", obsolete, missing("connections are not synchronised between directors yet"), false},

		{"nopreempt", core, flag("nopreempt", true), false},
		{"preempt", obsolete, func(sc *scope, _ *statement) { sc.t.Delete("nopreempt") }, false},
		{"preempt_delay", common, seconds("preempt_delay"), false},
		{"accept", niche, flag("accept", true), false},
		{"no_accept", niche, flag("accept", false), false},
		{"authentication", core, func(sc *scope, s *statement) { sc.enter("authentication", sc.t.Table("authentication", s.at()), s) }, true},
		{"auth_hmac", niche, hmac, true},

		{"virtual_ipaddress", core, addresses("virtual_ipaddress"), true},
		{"virtual_ipaddress_excluded", common, addresses("virtual_ipaddress_excluded"), true},
		{"no_virtual_ipaddress", niche, given, false}, // the validation tells what to do instead
		{"virtual_routes", common, routes("virtual_routes"), true},
		{"virtual_rules", niche, rules("virtual_rules"), true},
		{"promote_secondaries", niche, flag("promote_secondaries", true), false},
		{"use_vmac", common, useVMAC, false},
		{"use_vmac_addr", niche, missing("addresses on other interfaces than the instance's have the MAC addresses of those"), false},
		{"vmac_xmit_base", common, flag("vmac_xmit_base", true), false},
		{"use_ipvlan", niche, refused("there is no ipvlan: leave it out, and the addresses are on the instance's interface"), false},

		{"garp_master_delay", common, seconds("garp.delay"), false},
		{"garp_master_repeat", common, atLeastOne("garp.repeat"), false},
		{"garp_master_refresh", common, seconds("garp.refresh"), false},
		{"garp_master_refresh_repeat", niche, atLeastOne("garp.refresh_repeat"), false},
		{"garp_lower_prio_delay", niche, seconds("garp.lower_prio_delay"), false},
		{"garp_lower_prio_repeat", niche, atLeastOne("garp.lower_prio_repeat"), false},
		{"garp_extra_if", niche, missing(xif), false},
		{"vmac_garp_intvl", obsolete, missing(xif), false},

		{"notify_master_rx_lower_pri", niche, missing("an alarm tells of a second master: notify.alarm of director's own language"), false},
		{"smtp_alert", common, boolean("mail"), false},
	}...)
}

func authenticationKeywords() []keyword {
	return []keyword{
		{"auth_type", core, authType, false},
		{"auth_pass", core, authPass, false},
	}
}

func hmacKeywords() []keyword {
	return []keyword{
		{"key", niche, hmacKey, false},
		{"active_key", niche, number("active_key"), false},
		{"anti_replay", niche, text("anti_replay"), false},
		{"time_window", niche, seconds("time_window"), false},
		{"mode", niche, text("mode"), false},
	}
}
