package keepalived

// timing are the keywords of checks that a service, a server and a check may have,
// and the last of them that says it counts.
func timing() []keyword {
	return []keyword{
		{"delay_loop", core, given, false}, // see check
		{"connect_timeout", core, given, false},
		{"retry", core, given, false},
		{"delay_before_retry", core, given, false},
		{"warmup", niche, given, false}, // probes are spread over their interval
		{"alpha", common, given, false}, // see service
	}
}

func serviceKeywords() []keyword {
	const flags = "the scheduler works with its kernel's defaults"
	return append(timing(), []keyword{
		{"lvs_sched", core, scheduler, false},
		{"lb_algo", core, scheduler, false},
		{"lvs_method", core, forwarding("forwarding"), false},
		{"lb_kind", core, forwarding("forwarding"), false},
		{"protocol", core, given, false}, // this and others see service
		{"persistence_timeout", core, given, false},
		{"persistence_granularity", niche, missing("each client address is bound to a server by itself"), false},
		{"persistence_engine", niche, refused("there is no SIP persistence"), false},
		{"ops", niche, missing("packets of one UDP flow go to one server"), false},
		{"flag-1", niche, missing(flags), false},
		{"flag-2", niche, missing(flags), false},
		{"flag-3", niche, missing(flags), false},
		{"sh-port", niche, missing(flags), false},
		{"sh-fallback", niche, missing(flags), false},
		{"mh-port", niche, missing(flags), false},
		{"mh-fallback", niche, missing(flags), false},
		{"hashed", obsolete, ignored("it never had one"), false},
		{"ip_family", niche, given, false}, // the servers tell it
		{"ha_suspend", niche, missing("servers are checked on the backup too, so that it knows them at once"), false},
		{"omega", niche, missing("the end of the daemon is no change of a server"), false},
		{"quorum", common, given, false},
		{"hysteresis", niche, given, false},
		{"quorum_up", common, quorumScript("quorum_up"), false},
		{"quorum_down", common, quorumScript("quorum_down"), false},
		{"inhibit_on_failure", common, boolean("inhibit_on_failure"), false},
		{"weight", niche, given, false},
		{"virtualhost", common, given, false},
		{"smtp_alert", niche, given, false},
		{"snmp_name", niche, missing("the name of a service is made of its address"), false},
		{"sorry_server", core, sorryServer, false},
		{"sorry_server_inhibit", niche, missing("a sorry server is taken away when the quorum is back"), false},
		{"sorry_server_lvs_method", niche, sorryMethod, false},
		{"real_server", core, given, true},
	}...)
}

func serverKeywords() []keyword {
	return append(timing(), []keyword{
		{"weight", core, number("weight"), false},
		{"lvs_method", common, forwarding("forwarding"), false},
		{"lb_kind", common, forwarding("forwarding"), false},
		{"uthreshold", niche, missing("servers have no limits of connections"), false},
		{"lthreshold", niche, missing("servers have no limits of connections"), false},
		{"inhibit_on_failure", core, boolean("inhibit_on_failure"), false},
		{"notify_up", common, missing("mail, webhook and FIFO tell of servers; quorum_up runs a command for the service"), false},
		{"notify_down", common, missing("mail, webhook and FIFO tell of servers; quorum_down runs a command for the service"), false},
		{"smtp_alert", niche, given, false},
		{"virtualhost", niche, given, false},
		{"snmp_name", niche, text("name"), false},

		{"HTTP_GET", core, check, true},
		{"SSL_GET", core, check, true},
		{"TCP_CHECK", core, check, true},
		{"SMTP_CHECK", common, check, true},
		{"DNS_CHECK", common, check, true},
		{"MISC_CHECK", core, check, true},
		{"PING_CHECK", common, check, true},
		{"UDP_CHECK", common, check, true},
		{"BFD_CHECK", niche, refused("sessions of BFD are for instances, allowed is PING_CHECK or TCP_CHECK"), true},
		{"FILE_CHECK", niche, check, true},
	}...)
}

// connectionKeywords are those of all checks over the network.
func connectionKeywords() []keyword {
	return append(timing(), []keyword{
		{"connect_ip", common, text("connect_address"), false},
		{"connect_port", core, number("connect_port"), false},
		{"bindto", common, text("bind_address"), false},
		{"bind_if", niche, text("bind_interface"), false},
		{"bind_port", niche, missing("the kernel chooses the source port, so that one check need not wait for the end of another"), false},
		{"fwmark", niche, number("fwmark"), false},
		{"log_all_failures", niche, boolean("log_all_failures"), false},
	}...)
}

func httpKeywords() []keyword {
	return append(connectionKeywords(), []keyword{
		{"http_protocol", common, httpProtocol, false},
		{"fast_recovery", niche, given, false}, // always so
		{"virtualhost", common, given, false},
		{"nb_get_retry", obsolete, given, false}, // see check
		{"enable_sni", common, given, false},     // always so
		{"sni_name", niche, text("server_name"), false},
		{"tls_compliant", niche, given, false}, // always so
		{"url", core, given, true},
	}...)
}

func urlKeywords() []keyword {
	return []keyword{
		{"path", core, text("path"), false},
		{"status_code", core, statusCode, false},
		{"digest", common, digest, false},
		{"virtualhost", common, text("host"), false},
		{"regex", niche, given, false}, // see urlRegex
		{"regex_no_match", niche, given, false},
		{"regex_options", niche, given, false},
		{"regex_min_offset", niche, missing("the whole body is looked through"), false},
		{"regex_max_offset", niche, missing("the whole body is looked through"), false},
		{"regex_stack", niche, ignored("regular expressions need no stack"), false},
		{"tls_compliant", niche, given, false},
	}
}

func smtpKeywords() []keyword {
	return append(connectionKeywords(), []keyword{
		{"helo_name", common, text("helo_name"), false},
		{"host", obsolete, refused("write an SMTP_CHECK for each host, with connect_ip and connect_port"), true},
	}...)
}

// hostKeywords are those of the old host blocks in an SMTP_CHECK.
func hostKeywords() []keyword {
	return []keyword{{"connect_ip", obsolete, given, false}, {"connect_port", obsolete, given, false}, {"bindto", obsolete, given, false}}
}

func dnsKeywords() []keyword {
	return append(connectionKeywords(), []keyword{
		{"type", common, text("query_type"), false},
		{"name", common, text("query_name"), false},
	}...)
}

func miscKeywords() []keyword {
	return append(timing(), []keyword{
		{"misc_path", core, func(sc *scope, s *statement) { sc.command(s, "script"); sc.need(s, 1, 1) }, false},
		{"misc_timeout", common, seconds("timeout"), false},
		{"misc_dynamic", common, flag("dynamic", true), false},
		{"user", niche, runAs, false},
		{"log_all_failures", niche, boolean("log_all_failures"), false},
	}...)
}

func udpKeywords() []keyword {
	return append(connectionKeywords(), []keyword{
		{"payload", niche, payload, false},
		{"require_reply", niche, requireReply, false},
		{"min_reply_length", niche, number("min_reply_length"), false},
		{"max_reply_length", niche, number("max_reply_length"), false},
	}...)
}

func bfdCheckKeywords() []keyword {
	return []keyword{{"name", niche, given, false}, {"alpha", niche, given, false}}
}

func fileCheckKeywords() []keyword {
	return []keyword{
		{"track_file", niche, fileOfCheck, false},
		{"weight", niche, weight, false},
		{"dynamic", obsolete, ignored("a weight alone says it"), false},
	}
}

func sslKeywords() []keyword {
	return []keyword{{"password", niche, given, false}, {"ca", niche, given, false}, {"certificate", niche, given, false}, {"key", niche, given, false}}
}
