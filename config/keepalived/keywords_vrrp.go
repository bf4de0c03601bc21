package keepalived

func scriptKeywords() []keyword {
	return []keyword{
		{"script", probeScript, false},
		{"interval", seconds("interval"), false},
		{"timeout", seconds("timeout"), false},
		{"weight", weight, false},
		{"rise", number("rise"), false},
		{"fall", number("fall"), false},
		{"user", runAs, false},
		{"init_fail", says("init_fail", true), false},
	}
}

func trackFileKeywords() []keyword {
	return []keyword{
		{"file", text("file"), false},
		{"weight", weight, false},
		{"init_file", initFile, false},
	}
}

func trackProcessKeywords() []keyword {
	return []keyword{
		{"process", given, false}, // see trackProcess
		{"param_match", given, false},
		{"weight", weight, false},
		{"quorum", number("quorum"), false},
		{"quorum_max", number("quorum_max"), false},
		{"delay", seconds("delay"), false},
		{"fork_delay", seconds("fork_delay"), false},
		{"terminate_delay", seconds("terminate_delay"), false},
		{"full_command", given, false},
	}
}

func bfdKeywords() []keyword {
	return []keyword{
		{"neighbor_ip", text("neighbor_ip"), false},
		{"neighbour_ip", text("neighbor_ip"), false},
		{"source_ip", text("source_ip"), false},
		{"min_rx", milliseconds("min_rx"), false},
		{"min_tx", milliseconds("min_tx"), false},
		{"idle_tx", milliseconds("idle_tx"), false},
		{"multiplier", number("multiplier"), false},
		{"passive", says("passive", true), false},
		{"ttl", number("ttl"), false},
		{"hoplimit", number("ttl"), false},
		{"max_hops", number("max_hops"), false},
		{"multihop", says("multihop", true), false},
		{"weight", weight, false},
		{"vrrp", given, false}, // always so
		{"checker", ignored("sessions are for instances"), false},
	}
}

func garpGroupKeywords() []keyword {
	return []keyword{
		{"garp_interval", given, false}, // see garpGroup
		{"gna_interval", given, false},
		{"interface", given, false},
		{"interfaces", given, true},
	}
}

// tracking are the keywords that instances and groups have in common.
func tracking() []keyword {
	return []keyword{
		{"track_interface", track("track_interface"), true},
		{"track_script", track("track_script"), true},
		{"track_file", track("track_file"), true},
		{"track_process", track("track_process"), true},
		{"track_bfd", track("track_bfd"), true},
		{"notify_master", script("notify.master"), false},
		{"notify_backup", script("notify.backup"), false},
		{"notify_fault", script("notify.fault"), false},
		{"notify_stop", script("notify.stop"), false},
		{"notify", script("notify.all"), false},
		{"notify_priority_changes", switchedOff("the FIFO has changes of state only; `director status` shows the priority"), false},
		{"notify_deleted", missing("an instance that a reload takes away tells STOP"), false},
	}
}

func groupKeywords() []keyword {
	return append(tracking(), []keyword{
		{"group", members, true},
		{"smtp_alert", groupMail, false},
		{"global_tracking", ignored("what a group tracks counts for all its members, and so does what they track"), false},
		{"sync_group_tracking_weight", given, false}, // always so
	}...)
}

func instanceKeywords() []keyword {
	const xif = "set garp_master_refresh, which announces all addresses on all their interfaces"
	return append(tracking(), []keyword{
		{"state", given, false}, // this and others see instance
		{"interface", text("interface"), false},
		{"virtual_router_id", number("virtual_router_id"), false},
		{"priority", number("priority"), false},
		{"advert_int", given, false},
		{"version", number("version"), false},
		{"native_ipv6", ignored("the virtual addresses tell the version of IP"), false},
		{"vrf", refused("an instance needs an interface: name the one that leads to the peers"), false},
		{"mcast_src_ip", text("mcast_src_ip"), false},
		{"mcast_dst_ip", text("mcast_group"), false},
		{"unicast_src_ip", text("unicast_src_ip"), false},
		{"unicast_peer", peers, true},
		{"unicast_ttl", number("unicast_ttl"), false},
		{"unicast_fault_no_peer", given, false}, // never multicast instead, see instance
		{"check_unicast_src", given, false},     // always so
		{"track_src_ip", given, false},          // always so
		{"old_unicast_checksum", missing("peers older than keepalived 1.3.7 are not understood in version 3"), false},
		{"v3_checksum_as_v2", checksum, false},
		{"down_timer_adverts", number("down_timer_adverts"), false},
		{"timer_expired_backup", missing("what waits in the sockets is read before a takeover, so that a stall makes no master"), false},
		{"thread_timer_expired", missing("what waits in the sockets is read before a takeover, so that a stall makes no master"), false},
		{"strict_mode", given, false},
		{"skip_check_adv_addr", given, false}, // a difference is told, and never drops an advert
		{"lower_prio_no_advert", boolean("lower_prio_no_advert"), false},
		{"higher_prio_send_advert", boolean("higher_prio_send_advert"), false},
		{"owner_ignore_adverts", boolean("owner_ignore_adverts"), false},
		{"kernel_rx_buf_size", ignored("director sets the sizes of its sockets' buffers itself"), false},
		{"dont_track_primary", says("dont_track_primary", true), false},
		{"debug", ignored("it never had one"), false},
		{"linkbeat_use_polling", ignored("director follows the kernel's messages about links"), false},
		{"lvs_sync_daemon_interface", syncInterface, false},

		{"nopreempt", says("nopreempt", true), false},
		{"preempt", func(sc *scope, _ *statement) { sc.t.Delete("nopreempt") }, false},
		{"preempt_delay", seconds("preempt_delay"), false},
		{"accept", says("accept", true), false},
		{"no_accept", says("accept", false), false},
		{"authentication", func(sc *scope, s *statement) { sc.enter("authentication", sc.t.Table("authentication", s.at()), s) }, true},
		{"auth_hmac", hmac, true},

		{"virtual_ipaddress", addresses("virtual_ipaddress"), true},
		{"virtual_ipaddress_excluded", addresses("virtual_ipaddress_excluded"), true},
		{"no_virtual_ipaddress", given, false}, // the validation tells what to do instead
		{"virtual_routes", lines("virtual_routes", (*scope).route), true},
		{"virtual_rules", lines("virtual_rules", (*scope).rule), true},
		{"promote_secondaries", says("promote_secondaries", true), false},
		{"use_vmac", useVMAC, false},
		{"use_vmac_addr", missing("addresses on other interfaces than the instance's have the MAC addresses of those"), false},
		{"vmac_xmit_base", says("vmac_xmit_base", true), false},
		{"use_ipvlan", refused("there is no ipvlan: leave it out, and the addresses are on the instance's interface"), false},

		{"garp_master_delay", seconds("garp.delay"), false},
		{"garp_master_repeat", atLeastOne("garp.repeat"), false},
		{"garp_master_refresh", seconds("garp.refresh"), false},
		{"garp_master_refresh_repeat", atLeastOne("garp.refresh_repeat"), false},
		{"garp_lower_prio_delay", seconds("garp.lower_prio_delay"), false},
		{"garp_lower_prio_repeat", atLeastOne("garp.lower_prio_repeat"), false},
		{"garp_extra_if", missing(xif), false},
		{"vmac_garp_intvl", missing(xif), false},

		{"notify_master_rx_lower_pri", missing("an alarm tells of a second master: notify.alarm of director's own language"), false},
		{"smtp_alert", boolean("mail"), false},
	}...)
}

func authenticationKeywords() []keyword {
	return []keyword{
		{"auth_type", authType, false},
		{"auth_pass", authPass, false},
	}
}

func hmacKeywords() []keyword {
	return []keyword{
		{"key", hmacKey, false},
		{"active_key", number("active_key"), false},
		{"anti_replay", text("anti_replay"), false},
		{"time_window", seconds("time_window"), false},
		{"mode", text("mode"), false},
	}
}
