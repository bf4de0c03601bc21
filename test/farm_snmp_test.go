package test

import (
	"net/netip"
	"testing"

	"director/internal/netlab"
)

// snmpFarm is a configuration of keepalived with one of each kind of virtual server, without VRRP.
func snmpFarm(socket string) string {
	return `global_defs {
  router_id lb-a
  enable_snmp_checker
  snmp_socket ` + socket + `
  script_user root
  enable_script_security
  lvs_timeouts tcp 600 tcpfin 60 udp 120
}
virtual_server_group vips {
  192.0.2.90-91 80
  192.0.2.95 80
}
virtual_server 192.0.2.80 80 {
  snmp_name web
  delay_loop 2
  lb_algo sh
  lb_kind DR
  persistence_timeout 300
  persistence_granularity 255.255.255.0
  protocol TCP
  sh-port
  quorum 2
  hysteresis 1
  alpha
  omega
  inhibit_on_failure
  quorum_up "/usr/bin/true up"
  quorum_down "/usr/bin/true down"
  sorry_server 192.0.2.13 80
  real_server 192.0.2.11 80 {
    weight 3
    uthreshold 100
    lthreshold 50
    notify_up "/usr/bin/true rs up"
    notify_down "/usr/bin/true rs down"
    TCP_CHECK {
      connect_timeout 2
      retry 1
      delay_before_retry 1
    }
  }
  real_server 192.0.2.12 80 {
    weight 2
    TCP_CHECK {
      connect_timeout 2
      retry 1
      delay_before_retry 1
    }
  }
}
virtual_server fwmark 3 {
  lb_algo rr
  lb_kind NAT
  real_server 192.0.2.11 80 {
    TCP_CHECK {
      connect_timeout 2
    }
  }
}
virtual_server group vips {
  lb_algo wlc
  lb_kind DR
  protocol TCP
  real_server 192.0.2.11 80 {
    TCP_CHECK {
      connect_timeout 2
    }
  }
}
virtual_server 2001:db8::80 53 {
  lb_algo mh
  lb_kind NAT
  mh-fallback
  ops
  protocol UDP
  real_server 2001:db8:1::11 53 {
    weight 7
  }
}
`
}

// testSNMPFarm holds what director and keepalived say of virtual and real servers by SNMP against each other, and the counters against clients.
func testSNMPFarm(t *testing.T) {
	f := newFarm(t, 2, 0)
	f.outsideServers(2)
	f.webServers(f.servers...)
	vip := netip.MustParsePrefix(outsideVIP + "/32")
	f.Must(f.directors[0].AddAddr("eth0", vip))
	for _, s := range f.servers {
		f.Must(s.AddAddr("lo", vip))
	}
	a, b := f.directors[0], f.directors[1]
	ours, theirs := startSnmpd(f.Lab, a), startSnmpd(f.Lab, b)
	startWithConf(t, a, snmpFarm(agentSocket(a)))
	path, err := b.WriteFile(netlab.KeepalivedConf, snmpFarm(agentSocket(b)))
	f.Must(err)
	f.Start(b, "keepalived", "keepalived", "-n", "-l", "-D", "-C", "-f", path,
		"-p", b.Path("keepalived.pid"), "-r", b.Path("keepalived-vrrp.pid"), "-c", b.Path("keepalived-checkers.pid"))
	for _, agent := range []*snmpAgent{ours, theirs} {
		agent.waitFor("virtualServerRealServersUp.1", "2")
		agent.waitFor("virtualServerQuorumStatus.1", "met(1)")
		agent.waitFor("realServerStatus.2.1", "alive(1)")
		agent.waitFor("realServerStatus.3.1", "alive(1)")
	}
	compare(t, ours.walk("snmpbulkwalk", "-Cr50"), theirs.walk("snmpbulkwalk", "-Cr50"), "virtualServer", "realServer", "smtp")
	f.ask(3, "http://"+outsideVIP+"/")
	ours.waitFor("virtualServerStatsConns.1", "3 connections")
	ours.waitFor("virtualServerStatsConns64.1", "3 connections")
}
