package labtest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"director/internal/netlab"
)

// What follows prepares servers of Debian packages. Each function writes what its server needs into a folder of the server's own,
// which is made when it is missing, and returns the command that runs it in the foreground: for netlab.Host.Start, or
// wherever else. Another start with the same command finds the data of the one before.

// Nginx prepares an nginx. http is the content of its http block.
func Nginx(t testing.TB, dir, http string) []string {
	t.Helper()
	return []string{"/usr/sbin/nginx", "-p", dir, "-e", "stderr", "-c", WriteFile(t, dir, "nginx.conf", netlab.NginxConf(dir, http))}
}

// HAProxy prepares an haproxy that loads a Lua file and has the given sections beside the global one. It takes an administrator's
// commands at the socket admin in the folder.
func HAProxy(t testing.TB, dir, lua, sections string) []string {
	t.Helper()
	global := fmt.Sprintf("global\n\tnbthread 1\n\tstats socket %s/admin level admin\n\tlua-load %s\n", dir, WriteFile(t, dir, "haproxy.lua", lua))
	return []string{"/usr/sbin/haproxy", "-db", "-f", WriteFile(t, dir, "haproxy.cfg", global+sections)}
}

// Postgres prepares a PostgreSQL server that takes everybody's word for who they are. Its socket is in the folder.
func Postgres(t testing.TB, dir string, at netip.AddrPort, options ...string) []string {
	t.Helper()
	bin, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bin) == 0 {
		t.Fatal("PostgreSQL is not installed")
	}
	// It does not run as root, and its own user must be able to enter the folder.
	as := []string{"/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}
	makeDir(t, dir)
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, "chown", "postgres", dir)
	mustRun(t, append(as, bin[0]+"/initdb", "-D", dir+"/data", "-A", "trust", "--locale=C", "--no-sync", "-N", "--wal-segsize=1")...)
	WriteFile(t, dir+"/data", "pg_hba.conf", "local all all trust\nhost all all all trust\n")
	return append(append(as, bin[0]+"/postgres", "-D", dir+"/data", "-p", fmt.Sprint(at.Port()), "-h", at.Addr().String(), "-k", dir, "-F",
		"-c", "shared_buffers=1MB"), options...)
}

// MariaDB prepares a MariaDB server whose root needs no password; the statements run at each start. Its socket is s in the folder.
func MariaDB(t testing.TB, dir string, at netip.AddrPort, statements string) []string {
	t.Helper()
	makeDir(t, dir)
	// InnoDB reserves 8 TB of addresses if not told otherwise, which User Mode Linux has not.
	own := []string{"--no-defaults", "--datadir=" + dir + "/data", "--user=root",
		"--innodb-buffer-pool-size-max=64M", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M"}
	mustRun(t, append(append([]string{"/usr/bin/mariadb-install-db"}, own...), "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")...)
	return append(append([]string{"/usr/sbin/mariadbd"}, own...), "--bind-address="+at.Addr().String(), fmt.Sprintf("--port=%d", at.Port()), "--socket="+dir+"/s",
		"--skip-name-resolve", "--pid-file="+dir+"/pid", "--init-file="+WriteFile(t, dir, "init.sql", statements), "--innodb-flush-log-at-trx-commit=0")
}

// Redis prepares a Redis server that keeps nothing.
func Redis(t testing.TB, dir string, at netip.AddrPort, options ...string) []string {
	t.Helper()
	makeDir(t, dir)
	return append([]string{"/usr/bin/redis-server", "--bind", at.Addr().String(), "--port", fmt.Sprint(at.Port()), "--save", "", "--dir", dir}, options...)
}

// Slapd prepares an OpenLDAP server of dc=example,dc=com, whose manager cn=check,dc=example,dc=com has the password secret.
// cn=config, with the same password, changes the settings of the running server; the next start has the first ones again.
func Slapd(t testing.TB, dir string, at netip.AddrPort) []string {
	t.Helper()
	conf := WriteFile(t, dir, "slapd.conf", strings.ReplaceAll(`include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database config
rootpw secret
database mdb
suffix "dc=example,dc=com"
rootdn "cn=check,dc=example,dc=com"
rootpw secret
directory DIR
`, "DIR", dir))
	// Out of the file and an empty folder it makes settings that can be changed.
	const start = `rm -rf "$1" && mkdir "$1" && exec /usr/sbin/slapd -d 0 -f "$0" -F "$1" -h "$2"`
	return []string{"/bin/sh", "-c", start, conf, dir + "/config", "ldap://" + at.String()}
}

// NSD prepares the name server of example.com. Its zone is the file zone in the folder, which it reads again upon SIGHUP.
func NSD(t testing.TB, dir, zone string, at ...netip.AddrPort) []string {
	t.Helper()
	WriteFile(t, dir, "zone", zone)
	var listen strings.Builder
	for _, a := range at {
		fmt.Fprintf(&listen, "  ip-address: %s@%d\n", a.Addr(), a.Port())
	}
	return []string{"/usr/sbin/nsd", "-d", "-c", WriteFile(t, dir, "nsd.conf", strings.NewReplacer("DIR", dir, "LISTEN\n", listen.String()).Replace(`server:
LISTEN
  username: ""
  zonesdir: "DIR"
  database: ""
  pidfile: ""
  xfrdfile: "DIR/xfrd"
  zonelistfile: "DIR/zones"
  xfrdir: "DIR"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: example.com
  zonefile: zone
`))}
}

// Mail prepares aiosmtpd, which offers STARTTLS with the certificate and key of a file. While the folder has a file greeting,
// its text is what clients are greeted with.
func Mail(t testing.TB, dir string, at netip.AddrPort, certificate string) []string {
	t.Helper()
	script := WriteFile(t, dir, "smtpd.py", `import os, sys
import aiosmtpd.main, aiosmtpd.smtp

class SMTP(aiosmtpd.smtp.SMTP):
    def __init__(self, *args, **settings):  # without a name it asks the name servers for its own, at each connection
        super().__init__(*args, hostname="mail.example.com", **settings)

    async def push(self, status):
        own = os.path.join(os.path.dirname(__file__), "greeting")
        if status.startswith("220 " + self.hostname) and os.path.exists(own):
            with open(own) as f:
                status = f.read().strip()
        await super().push(status)

aiosmtpd.main.SMTP = SMTP
aiosmtpd.main.main(sys.argv[1:])
`)
	return []string{"/usr/bin/python3", script, "-n", "-l", at.String(), "--tlscert", certificate, "--tlskey", certificate, "--no-requiretls"}
}

// GRPC prepares a server of python3-grpcio with the health service of gRPC, which knows a service shop: it is SERVING, or has the
// state whose number stands in the file health of the folder.
func GRPC(t testing.TB, dir string, at netip.AddrPort) []string {
	t.Helper()
	script := WriteFile(t, dir, "grpcd.py", `import os, sys
from concurrent import futures
import grpc

def check(request, context):
    if request[2:] != b"shop":
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    path = os.path.join(os.path.dirname(__file__), "health")
    state = 1
    if os.path.exists(path):
        with open(path) as f:
            state = int(f.read())
    return bytes([8, state])  # field 1 of HealthCheckResponse

server = grpc.server(futures.ThreadPoolExecutor(1))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
    "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}),))
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
`)
	return []string{"/usr/bin/python3", script, at.String()}
}

// WriteFile writes a file into a folder, which is made when it is missing, and returns its path.
func WriteFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	makeDir(t, dir)
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func makeDir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func mustRun(t testing.TB, argv ...string) {
	t.Helper()
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = "/"
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}
