package test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"director/internal/netlab"
)

// packagesBeside is where the packages are that are made of a binary.
func packagesBeside(binary string) string { return filepath.Join(filepath.Dir(binary), "packages") }

// buildPackages makes the packages, once in a run of the tests.
func buildPackages(t *testing.T) {
	t.Helper()
	if out, err := makePackages(); err != nil {
		t.Fatalf("make packages: %v\n%s", err, out)
	}
}

// makePackages returns what make printed. Inside User Mode Linux the packages of the outer run are there.
var makePackages = sync.OnceValues(func() (string, error) {
	binary, err := buildBinary()
	if err != nil {
		return "", err
	}
	dir := packagesBeside(binary)
	if _, err := os.Stat(dir); err == nil {
		return "", nil
	}
	return command("make", "-C", "..", "packages", "BUILD=", "PACKAGE_BINARY="+binary, "PACKAGE_ARCHES="+runtime.GOARCH, "PACKAGE_DIR="+dir)
})

// packageOf returns the only package of a kind.
func packageOf(t *testing.T, kind string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(packagesBeside(binary(t)), "*."+kind))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages: %v, %v", found, err)
	}
	return found[0]
}

// TestPackages compares what is in the two packages.
func TestPackages(t *testing.T) {
	t.Parallel()
	buildPackages(t)
	deb, err := command("sh", "-c", "dpkg-deb --fsys-tarfile "+packageOf(t, "deb")+" | tar -t | sed -n 's/^\\.//; /[^/]$/p'")
	if err != nil {
		t.Fatal(err, deb)
	}
	rpm, err := command("rpm", "-qp", "--list", packageOf(t, "rpm"))
	if err != nil {
		t.Fatal(err, rpm)
	}
	files := strings.Fields(deb)
	for _, name := range files {
		if !slices.Contains(strings.Fields(rpm), name) {
			t.Errorf("%s is not in the rpm", name)
		}
	}
	for _, name := range []string{"/usr/sbin/director", "/usr/lib/systemd/system/director.service", "/usr/lib/sysctl.d/90-director.conf", "/usr/share/doc/director/README.md",
		"/usr/share/man/man8/director.8", "/usr/share/man/man8/director-status.8", "/usr/share/bash-completion/completions/director"} {
		if !slices.Contains(files, name) {
			t.Errorf("%s is not in the deb:\n%s", name, deb)
		}
	}
	if unit, err := command("sh", "-c", "dpkg-deb --fsys-tarfile "+packageOf(t, "deb")+" | tar -xO ./usr/lib/systemd/system/director.service"); err != nil || strings.Contains(unit, "/usr/local") {
		t.Errorf("the unit of the package: %v\n%s", err, unit)
	}
	scripts, err := command("rpm", "-qp", "--scripts", packageOf(t, "rpm"))
	if err != nil || !strings.Contains(scripts, "useradd --system") || !strings.Contains(scripts, "disable --now director") {
		t.Errorf("scripts of the rpm: %v\n%s", err, scripts)
	}
}

// testPackage installs the Debian package under a real systemd, runs the service, installs it again over the running one,
// removes and purges it.
func testPackage(t *testing.T) {
	f := newFarm(t, 1, 1)
	f.webServers(f.servers...)
	h := f.directors[0]
	s := bootSystemd(f, h, "userdel director_script 2>/dev/null || :")
	dpkg := func(args ...string) string {
		t.Helper()
		out, err := s.inside(append([]string{"dpkg"}, args...)...)
		if err != nil {
			t.Fatalf("dpkg %v: %v\n%s", args, err, out)
		}
		return out
	}
	exists := func(name string) bool { _, err := os.Stat(s.root + name); return err == nil }

	if out := dpkg("--install", packageOf(t, "deb")); !strings.Contains(out, "write /etc/director/director.toml, then 'systemctl enable --now director'") {
		t.Errorf("the first installation says:\n%s", out)
	}
	if out, err := s.inside("id", "--user", "director_script"); err != nil {
		t.Errorf("the user of scripts: %v\n%s", err, out)
	}
	if out, _ := s.inside("systemctl", "is-enabled", "director"); strings.TrimSpace(out) != "disabled" {
		t.Errorf("without a configuration the service is %s", out)
	}
	if out, err := s.inside("/usr/sbin/director", "version"); err != nil || !strings.Contains(out, binaryVersion) {
		t.Errorf("director version: %v\n%s", err, out)
	}

	d := s.director()
	servers := strings.Index(plainFarm, `  { name = "s2"`)
	d.WriteConfig(plainFarm[:servers] + "]\n" + pairConfig(100, "300ms"))
	s.systemctl("enable", "--now", "director")
	s.wantActive()
	d.waitMaster()
	d.WaitServers()
	if got := f.ask(2, farmURL); got["s1"] != 2 {
		t.Errorf("answers %v", got)
	}

	// An upgrade moves nothing.
	main, changes := s.property("MainPID"), watchAddresses(t, h, outsideVIP)
	if out := dpkg("--install", packageOf(t, "deb")); !strings.Contains(out, "'systemctl restart director' starts the new one") {
		t.Errorf("the upgrade says:\n%s", out)
	}
	s.wantActive()
	if now := s.property("MainPID"); now != main {
		t.Errorf("the upgrade replaced process %s by %s", main, now)
	}
	s.systemctl("reload", "director")
	if seen := changes.Events(); len(seen) != 0 {
		t.Errorf("the upgrade changed addresses: %v", seen)
	}

	dpkg("--remove", "director")
	if h.HasAddr(f.backGatewayIP) || exists("/usr/sbin/director") || !exists("/etc/director/director.toml") {
		t.Errorf("after the removal: address %v, program %v, configuration %v", h.HasAddr(f.backGatewayIP), exists("/usr/sbin/director"), exists("/etc/director/director.toml"))
	}
	if left := slices.DeleteFunc(h.Processes(), func(p netlab.ProcessInfo) bool { return !strings.HasPrefix(p.Args[0], "director") }); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if !exists("/run/director") {
		t.Error("the record of owned services is gone before the purge")
	}
	dpkg("--purge", "director")
	if exists("/run/director") {
		t.Error("/run/director is there after the purge")
	}
}
