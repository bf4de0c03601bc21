package keepalived

// timing are the keywords of checks that a service, a server and a check may have,
// and the last of them that says it counts.
func timing() []keyword {
	return []keyword{
		{"delay_loop", given, false}, // see check
		{"connect_timeout", given, false},
		{"retry", given, false},
		{"delay_before_retry", given, false},
		{"warmup", given, false}, // probes are spread over their interval
		{"alpha", given, false},  // see startsDown
	}
}

func serviceKeywords() []keyword {
	return append(timing(), []keyword{
		{"lvs_sched", scheduler, false},
		{"lb_algo", scheduler, false},
		{"lvs_method", forwarding("forwarding"), false},
		{"lb_kind", forwarding("forwarding"), false},
		{"protocol", given, false}, // this and others see service
		{"persistence_timeout", given, false},
		{"persistence_granularity", text("persistence_granularity"), false},
		{"persistence_engine", text("persistence_engine"), false},
		{"ops", onePacket, false},
		{"flag-1", schedulerFlag, false},
		{"flag-2", schedulerFlag, false},
		{"flag-3", schedulerFlag, false},
		{"sh-port", schedulerFlag, false},
		{"sh-fallback", schedulerFlag, false},
		{"mh-port", schedulerFlag, false},
		{"mh-fallback", schedulerFlag, false},
		{"hashed", ignored("it never had one"), false},
		{"ip_family", ipFamily, false},
		{"ha_suspend", missing("servers are checked on the backup too, so that it knows them at once; active_with of director's own language keeps the service itself out of the table there"), false},
		{"omega", boolean("omega"), false},
		{"quorum", given, false},
		{"hysteresis", given, false},
		{"quorum_up", script("quorum_up"), false},
		{"quorum_down", script("quorum_down"), false},
		{"inhibit_on_failure", boolean("inhibit_on_failure"), false},
		{"weight", given, false},
		{"virtualhost", given, false},
		{"smtp_alert", given, false},
		{"snmp_name", missing("the name of a service is made of its address"), false},
		{"sorry_server", sorryServer, false},
		{"sorry_server_inhibit", sorryInhibit, false},
		{"sorry_server_lvs_method", sorryMethod, false},
		{"real_server", given, true},
	}...)
}

func serverKeywords() []keyword {
	return append(timing(), []keyword{
		{"weight", number("weight"), false},
		{"lvs_method", forwarding("forwarding"), false},
		{"uthreshold", number("upper_threshold"), false},
		{"lthreshold", number("lower_threshold"), false},
		{"inhibit_on_failure", boolean("inhibit_on_failure"), false},
		{"notify_up", script("notify_up"), false},
		{"notify_down", script("notify_down"), false},
		{"smtp_alert", given, false},
		{"virtualhost", given, false},
		{"snmp_name", text("name"), false},

		{"HTTP_GET", check, true},
		{"SSL_GET", check, true},
		{"TCP_CHECK", check, true},
		{"SMTP_CHECK", check, true},
		{"DNS_CHECK", check, true},
		{"MISC_CHECK", check, true},
		{"PING_CHECK", check, true},
		{"UDP_CHECK", check, true},
		{"BFD_CHECK", check, true},
		{"FILE_CHECK", check, true},
	}...)
}

// connectionKeywords are those of all checks over the network.
func connectionKeywords() []keyword {
	return append(timing(), []keyword{
		{"connect_ip", text("connect_address"), false},
		{"connect_port", number("connect_port"), false},
		{"bindto", text("bind_address"), false},
		{"bind_if", text("bind_interface"), false},
		{"bind_port", missing("the kernel chooses the source port, so that one check need not wait for the end of another"), false},
		{"fwmark", number("fwmark"), false},
		{"log_all_failures", boolean("log_all_failures"), false},
	}...)
}

func httpKeywords() []keyword {
	return append(connectionKeywords(), []keyword{
		{"http_protocol", httpProtocol, false},
		{"fast_recovery", given, false}, // always so
		{"virtualhost", given, false},
		{"nb_get_retry", given, false}, // see check
		{"enable_sni", given, false},   // always so
		{"sni_name", text("server_name"), false},
		{"tls_compliant", given, false}, // always so
		{"url", given, true},
	}...)
}

func urlKeywords() []keyword {
	return []keyword{
		{"path", urlPath, false},
		{"status_code", statusCode, false},
		{"digest", digest, false},
		{"virtualhost", text("host"), false},
		{"regex", given, false}, // see urlRegex
		{"regex_no_match", given, false},
		{"regex_options", given, false},
		{"regex_min_offset", missing("the whole body is looked through"), false},
		{"regex_max_offset", missing("the whole body is looked through"), false},
		{"regex_stack", ignored("regular expressions need no stack"), false},
		{"tls_compliant", given, false},
	}
}

func smtpKeywords() []keyword {
	return append(connectionKeywords(), []keyword{
		{"helo_name", text("helo_name"), false},
		{"host", given, true}, // see hosts
	}...)
}

// hostKeywords are those of the old host blocks in an SMTP_CHECK.
func hostKeywords() []keyword {
	return []keyword{{"connect_ip", given, false}, {"connect_port", given, false}, {"bindto", given, false}}
}

func dnsKeywords() []keyword {
	return append(connectionKeywords(), []keyword{
		{"type", text("query_type"), false},
		{"name", text("query_name"), false},
	}...)
}

func miscKeywords() []keyword {
	return append(timing(), []keyword{
		{"misc_path", probeScript, false},
		{"misc_timeout", seconds("timeout"), false},
		{"misc_dynamic", says("dynamic", true), false},
		{"user", runAs, false},
		{"log_all_failures", boolean("log_all_failures"), false},
	}...)
}

func udpKeywords() []keyword {
	return append(connectionKeywords(), []keyword{
		{"payload", payload, false},
		{"require_reply", requireReply, false},
		{"min_reply_length", number("min_reply_length"), false},
		{"max_reply_length", number("max_reply_length"), false},
	}...)
}

func bfdCheckKeywords() []keyword {
	return []keyword{{"name", text("bfd"), false}, {"alpha", given, false}}
}

func fileCheckKeywords() []keyword {
	return []keyword{
		{"track_file", fileOfCheck, false},
		{"weight", fileWeight, false},
		{"dynamic", ignored("a weight alone says it"), false},
	}
}

func sslKeywords() []keyword {
	return []keyword{{"password", given, false}, {"ca", given, false}, {"certificate", given, false}, {"key", given, false}}
}
