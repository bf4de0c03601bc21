package test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

const (
	late    = "no answer after"
	refused = "connection refused"
)

// write returns a function that writes a file anew.
func (f *checkFarm) write(path, text string) func() {
	return func() { replaceFile(f.t, path, text) }
}

// remove returns a function that removes a file.
func (f *checkFarm) remove(path string) func() { return func() { f.Must(os.Remove(path)) } }

// call returns a function that runs a command on the real servers' host.
func (f *checkFarm) call(argv ...string) func() { return func() { f.Run(f.host, argv...) } }

// web is nginx, with the host behind IPv4 and IPv6.
func (f *checkFarm) web() *trial {
	dir := f.folder("web")
	page, sick, cert := dir+"/page", dir+"/sick", dir+"/cert.pem"
	labtest.WriteFile(f.t, dir, "page", "welcome\n")
	good := f.ca.PEM("www.example.com", 100)
	labtest.WriteFile(f.t, dir, "cert.pem", good)
	var reload func()
	with := func(pem string) func() {
		return func() { replaceFile(f.t, cert, pem); reload() }
	}
	argv := labtest.Nginx(f.t, dir, fmt.Sprintf(`server {
		listen %s:80; listen [%s]:80; listen %[1]s:443 ssl;
		ssl_certificate %[3]s; ssl_certificate_key %[3]s;
		root %[4]s;
		location / { try_files /page =404; }
		location = /health { if (-e %[5]s) { return 500; } return 200 "ok"; }
	}`, checkServer, checkServer6, cert, dir, sick))
	https := fmt.Sprintf(`type = "https", host = "www.example.com", ca_file = %q`, f.ca.File)
	c := &trial{
		targets: []target{
			{name: "http", port: 80, check: `type = "http", path = "/health"`},
			{name: "http6", port: 80, check: `type = "http", path = "/health"`, v6: true},
			{name: "page", port: 80, check: `type = "http", body = "welcome"`, inhibit: true},
			{name: "https", port: 443, check: https},
			{name: "tcp", port: 80, check: `type = "tcp"`},
			{name: "tcp6", port: 80, check: `type = "tcp"`, v6: true},
		},
		faults: []fault{
			{what: "http: status 500", begin: f.write(sick, ""), end: f.remove(sick), out: says("status 500 Internal Server Error, want 200-299", "http", "http6")},
			{what: "http: another page", begin: f.write(page, "maintenance\n"), end: f.write(page, "welcome\n"), out: says(`does not contain "welcome"`, "page")},
			{what: "https: another name", begin: with(f.ca.PEM("www.example.net", 100)), end: with(good), out: says("certificate is valid for www.example.net, not www.example.com", "https")},
			{what: "https: a certificate that has ended", begin: with(f.ca.PEM("www.example.com", -1)), end: with(good), out: says("certificate has expired", "https")},
			{what: "https: a certificate that will end", begin: with(f.ca.PEM("www.example.com", 5)), end: with(good), warnings: says("in 5 days", "https")},
		},
	}
	c.slow, c.dead = f.run("web", argv, says(late, "http", "http6", "page", "https"), says(refused, "http", "http6", "page", "https", "tcp", "tcp6"))
	reload = func() { f.Run(f.host, "sh", "-c", "kill -HUP $(cat "+dir+"/nginx.pid)") }
	return c
}

// haproxy ends TLS, and speaks the agent protocol in the words of a file. With and without agent_required, an agent that says nothing makes a
// difference.
func (f *checkFarm) haproxy() *trial {
	dir := f.folder("haproxy")
	line := dir + "/line"
	const well = "up ready 100%\n"
	labtest.WriteFile(f.t, dir, "line", well)
	cert := f.ca.Server("haproxy", 100)
	stranger := labtest.NewAuthority(f.t, f.folder("stranger"))
	// An administrator replaces the certificate of the running haproxy.
	with := func(pem string) func() {
		return func() {
			for _, order := range []string{"set ssl cert " + cert + " <<\n" + pem + "\n", "commit ssl cert " + cert + "\n"} {
				c, err := net.Dial("unix", dir+"/admin")
				f.Must(err)
				_, err = c.Write([]byte(order))
				f.Must(err)
				answer := make([]byte, 1000)
				n, _ := c.Read(answer)
				c.Close()
				if strings.Contains(string(answer[:n]), "unable") {
					f.t.Fatalf("haproxy: %s", answer[:n])
				}
			}
		}
	}
	good, err := os.ReadFile(cert)
	f.Must(err)
	argv := labtest.HAProxy(f.t, dir, fmt.Sprintf(`core.register_service("agent", "tcp", function(applet)
	local file = io.open(%q)
	applet:send(file:read("a"))
	file:close()
end)
`, line), fmt.Sprintf(`defaults
	timeout client 10s
	timeout connect 10s
	timeout server 10s
frontend secure
	mode http
	bind %s:8443 ssl crt %s
	http-request return status 200
frontend agent
	mode tcp
	bind %[1]s:8080
	tcp-request content use-service lua.agent
`, checkServer, cert))
	c := &trial{
		targets: []target{
			{name: "tls", port: 8443, check: fmt.Sprintf(`type = "tls", server_name = "www.example.com", ca_file = %q`, f.ca.File)},
			{name: "agent", port: 8443, check: `type = "agent", connect_port = 8080, agent_required = true`},
			{name: "agent-may", port: 8443, check: `type = "agent", connect_port = 8080`},
		},
		faults: []fault{
			{what: "tls: another authority", begin: with(stranger.PEM("www.example.com", 100)), end: with(string(good)), out: says("the certificate is signed by an unknown authority", "tls")},
			{what: "agent: down", begin: f.write(line, "down # disk full\n"), end: f.write(line, well), out: says(`the agent says "down # disk full"`, "agent", "agent-may")},
			{what: "agent: half the weight", begin: f.write(line, "up 50%\n"), end: f.write(line, well), weights: map[string]int{"agent": 4, "agent-may": 4}},
			{what: "agent: drain", begin: f.write(line, "drain\n"), end: f.write(line, well), weights: map[string]int{"agent": 0, "agent-may": 0}},
			{what: "agent: nonsense", begin: f.write(line, "hello\n"), end: f.write(line, well), out: says(`a reply without a known word: "hello"`, "agent"), warnings: says(`a reply without a known word: "hello"`, "agent-may")},
		},
	}
	c.slow, c.dead = f.run("haproxy", argv, says(late, "tls", "agent"), says(refused, "tls", "agent"))
	c.slow.warnings, c.dead.warnings = says(late, "agent-may"), says(refused, "agent-may")
	return c
}

// names is nsd, asked by DNS and with the bytes of a question.
func (f *checkFarm) names() *trial {
	dir := f.folder("nsd")
	zone := func(serial int, records string) string {
		return fmt.Sprintf("$ORIGIN example.com.\n@ 60 SOA ns hostmaster %d 2 3 4 5\n@ 60 NS ns\nns 60 A %s\n%s", serial, checkServer, records)
	}
	const records = "www 60 A 192.0.2.1\nwww 60 AAAA 2001:db8::1\n"
	serial := 1
	argv := labtest.NSD(f.t, dir, zone(serial, records), f.at(53), netip.AddrPortFrom(netip.MustParseAddr(checkServer6), 53))
	with := func(records string) func() {
		return func() {
			serial++
			replaceFile(f.t, dir+"/zone", zone(serial, records))
			for _, p := range f.host.Processes() {
				if p.Args[0] == argv[0] || strings.HasPrefix(p.Args[0], "nsd") {
					f.Must(syscall.Kill(p.Pid, syscall.SIGHUP))
					break // the first is the one that reads zones
				}
			}
		}
	}
	// A question for www.example.com, and the first bytes of a reply without error.
	const payload = `type = "udp", send = "hex:12340100000100000000000003777777076578616d706c6503636f6d0000010001", expect = "hex:12348500", require_reply = true`
	c := &trial{
		targets: []target{
			{name: "dns", port: 53, udp: true, check: `type = "dns", query_name = "www.example.com", query_type = "A", answer = ["192.0.2.1"]`},
			{name: "dns6", port: 53, udp: true, v6: true, check: `type = "dns", query_name = "www.example.com", query_type = "AAAA"`},
			{name: "dns-tcp", port: 53, check: `type = "dns", query_name = "example.com", transport = "tcp"`},
			{name: "udp", port: 53, udp: true, check: payload},
			{name: "udp-silent", port: 53, udp: true, check: `type = "udp", send = "x"`},
		},
		faults: []fault{
			{what: "dns: another answer", begin: with("www 60 A 192.0.2.9\nwww 60 AAAA 2001:db8::1\n"), end: with(records), out: says(`"192.0.2.1" is not among the 1 answers`, "dns")},
			{what: "dns: no such name", begin: with(""), end: with(records), out: map[string]string{
				"dns": "NXDOMAIN, want NOERROR", "dns6": "NXDOMAIN, want NOERROR", "udp": "no hex:12348500 in the reply hex:12348503"}},
		},
	}
	c.slow, c.dead = f.run("nsd", argv, says(late, "dns", "dns6", "dns-tcp", "udp"), says(refused, "dns", "dns6", "dns-tcp", "udp", "udp-silent"))
	return c
}

// mail is aiosmtpd.
func (f *checkFarm) mail() *trial {
	dir := f.folder("mail")
	greeting := dir + "/greeting"
	c := &trial{
		targets: []target{
			{name: "smtp", port: 25, check: `type = "smtp", helo_name = "lb.example.com"`},
			{name: "smtp-tls", port: 25, check: fmt.Sprintf(`type = "smtp", starttls = true, server_name = "www.example.com", ca_file = %q`, f.ca.File)},
		},
		faults: []fault{
			{what: "smtp: busy", begin: f.write(greeting, "421 4.3.2 too many of you\n"), end: f.remove(greeting), out: says("banner: reply 421 4.3.2 too many of you, want 220", "smtp", "smtp-tls")},
			{what: "smtp: no service", begin: f.write(greeting, "554 no mail here\n"), end: f.remove(greeting), out: says("banner: reply 554 no mail here, want 220", "smtp", "smtp-tls")},
		},
	}
	c.slow, c.dead = f.run("mail", labtest.Mail(f.t, dir, f.at(25), f.ca.Server("mail", 100)), says(late, "smtp", "smtp-tls"), says(refused, "smtp", "smtp-tls"))
	return c
}

// grpc is a server of python3-grpcio.
func (f *checkFarm) grpc() *trial {
	dir := f.folder("grpc")
	health := dir + "/health"
	c := &trial{
		targets: []target{{name: "grpc", port: 50051, check: `type = "grpc", grpc_service = "shop"`}},
		faults:  []fault{{what: "grpc: not serving", begin: f.write(health, "2"), end: f.remove(health), out: says("health: NOT_SERVING", "grpc")}},
	}
	c.slow, c.dead = f.run("grpc", labtest.GRPC(f.t, dir, f.at(50051)), says(late, "grpc"), says(refused, "grpc"))
	return c
}

// redis is asked for its health, and by tcp for its role.
func (f *checkFarm) redis() *trial {
	cli := func(words ...string) func() {
		return f.call(append([]string{"redis-cli", "-h", checkServer}, words...)...)
	}
	c := &trial{
		targets: []target{
			{name: "redis", port: 6379, check: `type = "redis"`},
			{name: "redis-master", port: 6379, check: `type = "tcp", send = "INFO replication\r\nQUIT\r\n", expect = "role:master"`},
		},
		faults: []fault{
			{what: "redis: wants a password", begin: cli("CONFIG", "SET", "requirepass", "x"), end: cli("-a", "x", "CONFIG", "SET", "requirepass", ""),
				out: map[string]string{"redis": "NOAUTH Authentication required", "redis-master": `no "role:master" in the reply "-NOAUTH`}},
			{what: "redis: a replica", begin: cli("REPLICAOF", "127.0.0.1", "1"), end: cli("REPLICAOF", "NO", "ONE"), out: says(`no "role:master" in the reply "$`, "redis-master")},
		},
	}
	c.slow, c.dead = f.run("redis", labtest.Redis(f.t, f.folder("redis"), f.at(6379), "--protected-mode", "no"), says(late, "redis", "redis-master"), says(refused, "redis", "redis-master"))
	return c
}

// databases is PostgreSQL.
func (f *checkFarm) databases() *trial {
	dir := f.folder("postgres")
	argv := labtest.Postgres(f.t, dir, f.at(5432))
	sql := func(text string) []string { return []string{"psql", "-q", "-h", dir, "-U", "postgres", "-c", text} }
	c := &trial{
		targets: []target{
			{name: "postgres", port: 5432, check: `type = "postgres", username = "probe", database = "postgres"`},
			{name: "postgres-port", port: 5432, check: `type = "postgres"`},
		},
	}
	c.slow, c.dead = f.run("postgres", argv, says(late, "postgres", "postgres-port"), says(refused, "postgres", "postgres-port"))
	f.Eventually(patience, "PostgreSQL takes a role", func() error {
		_, err := f.host.Run(sql("CREATE ROLE probe LOGIN")...)
		return err
	})
	var session *netlab.Process
	c.faults = []fault{
		{what: "postgres: no login", begin: f.call(sql("ALTER ROLE probe NOLOGIN")...), end: f.call(sql("ALTER ROLE probe LOGIN")...), out: says(`error 28000: role "probe" is not permitted to log in`, "postgres")},
		// It waits for the end of a session, and then must be started again.
		{what: "postgres: shutting down", begin: func() {
			session = f.Start(f.host, "session", sql("SELECT pg_sleep(100)")...)
			f.Eventually(patience, "the session sleeps", func() error {
				out, err := f.host.Run(sql("SELECT state, query FROM pg_stat_activity")...)
				if err == nil && !strings.Contains(out, "active | SELECT pg_sleep(100)") {
					err = fmt.Errorf("sessions:\n%s", out)
				}
				return err
			})
			f.Run(f.host, "sh", "-c", "kill -TERM $(head -n 1 "+dir+"/data/postmaster.pid)")
		}, end: func() { session.KillGroup(); c.dead.begin(); c.dead.end() }, starts: true, after: []string{"postgres-port"}, out: says("error 57P03: the database system is shutting down", "postgres")},
	}
	return c
}

// mariadb is asked for its greeting, and logged in to.
func (f *checkFarm) mariadb() *trial {
	dir := f.folder("mariadb")
	sql := func(text string) func() { return f.call("mariadb", "-S", dir+"/s", "-u", "root", "-e", text) }
	var held []net.Conn
	c := &trial{
		targets: []target{
			{name: "mysql", port: 3306, check: `type = "mysql", username = "check"`},
			{name: "mysql-greeting", port: 3306, check: `type = "mysql"`},
		},
		faults: []fault{
			{what: "mysql: account locked", begin: sql("ALTER USER 'check'@'%' ACCOUNT LOCK"), end: sql("ALTER USER 'check'@'%' ACCOUNT UNLOCK"), out: says("error 4151: Access denied, this account is locked", "mysql")},
			{what: "mysql: too many connections", begin: func() {
				for range 12 {
					conn, err := f.host.Dial("tcp", f.at(3306).String())
					f.Must(err)
					held = append(held, conn)
				}
			}, end: func() {
				for _, conn := range held {
					conn.Close()
				}
			}, out: says("greeting: error 1040: Too many connections", "mysql", "mysql-greeting")},
		},
	}
	argv := labtest.MariaDB(f.t, dir, f.at(3306), "CREATE USER IF NOT EXISTS 'check'@'%';\nSET GLOBAL max_connections = 10;\nSET GLOBAL connect_timeout = 600;\nSET GLOBAL max_connect_errors = 100000;\n")
	c.slow, c.dead = f.run("mariadb", argv, says(late, "mysql", "mysql-greeting"), says(refused, "mysql", "mysql-greeting"))
	return c
}

// directory is slapd, asked by nobody and by a user.
func (f *checkFarm) directory() *trial {
	dir := f.folder("ldap")
	modify := func(object, change string) func() {
		ldif := labtest.WriteFile(f.t, dir, fmt.Sprintf("%d.ldif", time.Now().UnixNano()), "dn: "+object+"\nchangetype: modify\n"+change+"\n")
		return f.call("ldapmodify", "-x", "-H", "ldap://"+checkServer, "-D", "cn=config", "-w", "secret", "-f", ldif)
	}
	const database = "olcDatabase={1}mdb,cn=config"
	c := &trial{
		targets: []target{
			{name: "ldap", port: 389, check: `type = "ldap", root_dse = true`},
			{name: "ldap-user", port: 389, check: `type = "ldap", username = "cn=check,dc=example,dc=com", password = "secret"`},
		},
		faults: []fault{
			{what: "ldap: nobody unnamed", begin: modify("cn=config", "add: olcDisallows\nolcDisallows: bind_anon"), end: modify("cn=config", "delete: olcDisallows"), out: says("inappropriateAuthentication", "ldap")},
			{what: "ldap: another password", begin: modify(database, "replace: olcRootPW\nolcRootPW: other"), end: modify(database, "replace: olcRootPW\nolcRootPW: secret"), out: says("invalidCredentials", "ldap-user")},
		},
	}
	c.slow, c.dead = f.run("ldap", labtest.Slapd(f.t, dir, f.at(389)), says(late, "ldap", "ldap-user"), says(refused, "ldap", "ldap-user"))
	return c
}

// ping has a host of its own, and addresses behind it, of which it may say that there is no way to them.
func (f *checkFarm) ping() *trial {
	h := f.server("p1", "10.0.0.12/24")
	behind, behind6 := netip.MustParsePrefix("10.9.0.1/32"), netip.MustParsePrefix("2001:db8:9::1/128")
	f.Must(h.AddAddr("eth0", netip.MustParsePrefix("2001:db8:b::12/64")))
	f.Must(h.AddAddr("lo", behind, behind6))
	f.Must(h.Forward())
	f.Must(f.directors[0].Route(behind, netip.MustParseAddr("10.0.0.12")))
	f.Must(f.directors[0].Route(behind6, netip.MustParseAddr("2001:db8:b::12")))
	w, err := h.WebServer(netip.AddrPortFrom(netip.IPv6Unspecified(), 80), "p1")
	f.Must(err)
	f.t.Cleanup(w.Close)
	all := []string{"ping", "ping6", "ping-behind", "tcp-behind6"}
	call := func(words ...string) func() { return func() { f.Run(h, words...) } }
	return &trial{
		targets: []target{
			{name: "ping", port: noPort, server: "10.0.0.12", check: `type = "ping"`},
			{name: "ping6", port: noPort, server: "2001:db8:b::12", v6: true, check: `type = "ping"`},
			{name: "ping-behind", port: noPort, server: "10.9.0.1", check: `type = "ping"`},
			{name: "tcp-behind6", port: 80, server: "2001:db8:9::1", v6: true, check: `type = "tcp"`},
		},
		faults: []fault{
			// Own addresses come before routes, so that there is no moment without either.
			{what: "ping: unreachable; tcp: prohibited", begin: func() {
				f.Run(h, "ip", "route", "add", "unreachable", "10.9.0.1")
				f.Run(h, "ip", "route", "add", "prohibit", "2001:db8:9::1")
				f.Must(h.DelAddr("lo", behind, behind6))
			}, end: func() {
				f.Must(h.AddAddr("lo", behind, behind6))
				f.Run(h, "ip", "route", "del", "unreachable", "10.9.0.1")
				f.Run(h, "ip", "route", "del", "prohibit", "2001:db8:9::1")
			}, out: map[string]string{"ping-behind": "unreachable: echo request: no route to host", "tcp-behind6": "unreachable: connect: no route to host"}},
			{what: "ping: silent", begin: func() { f.Must(h.Sysctl("net.ipv6.icmp.echo_ignore_all", "1")) },
				end: func() { f.Must(h.Sysctl("net.ipv6.icmp.echo_ignore_all", "0")) }, out: says(late, "ping6")},
		},
		slow: fault{begin: call("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "20s"), end: call("tc", "qdisc", "del", "dev", "eth0", "root"), out: says(late, all...)},
		dead: fault{begin: func() { f.Must(h.Cut()) }, end: func() { f.Must(h.Heal()) }, starts: true, out: says("", all...)},
	}
}

// script is a command of the director's host, with and without a say in the weight.
func (f *checkFarm) script() *trial {
	h := f.directors[0]
	does, err := h.WriteFile("does", "exit 0\n")
	f.Must(err)
	path, err := h.WriteFile("check", "#!/bin/sh\n. "+does+"\n")
	f.Must(err)
	well := f.write(does, "exit 0\n")
	check := fmt.Sprintf(`type = "script", script = [%q]`, path)
	return &trial{
		targets: []target{
			{name: "script", port: noPort, check: check},
			{name: "script-weight", port: noPort, check: check + ", dynamic = true"},
		},
		faults: []fault{
			{what: "script: fails", begin: f.write(does, "echo disk full; exit 1\n"), end: well, out: says("exit status 1: disk full", "script", "script-weight")},
			{what: "script: a weight", begin: f.write(does, "exit 5\n"), end: well, out: says("exit status 5", "script"), weights: map[string]int{"script-weight": 3}},
		},
		slow: fault{begin: f.write(does, "sleep 60\n"), end: well, out: says("timed out after 5s", "script", "script-weight")},
		dead: fault{begin: f.write(does, "kill -9 $$\n"), end: well, out: says("signal", "script", "script-weight")},
	}
}

// files are files of the director's host.
func (f *checkFarm) files() *trial {
	h := f.directors[0]
	file := func(name, text string) string {
		path, err := h.WriteFile(name, text)
		f.Must(err)
		return path
	}
	number, weight, there := file("number", "0\n"), file("weight", "0\n"), file("there", "")
	return &trial{
		targets: []target{
			{name: "file", port: noPort, check: fmt.Sprintf(`type = "file", file = %q`, number)},
			{name: "file-weight", port: noPort, check: fmt.Sprintf(`type = "file", file = %q, weight = 2`, weight)},
			{name: "file-exists", port: noPort, check: fmt.Sprintf(`type = "file", file = %q, up_when = "exists"`, there)},
		},
		faults: []fault{
			{what: "file: not zero", begin: f.write(number, "7\n"), end: f.write(number, "0\n"), out: says("number holds 7", "file")},
			{what: "file: a weight", begin: f.write(weight, "-3\n"), end: f.write(weight, "0\n"), weights: map[string]int{"file-weight": 2}},
			{what: "file: not there", begin: f.remove(there), end: f.write(there, ""), out: says("there does not exist", "file-exists")},
		},
	}
}
