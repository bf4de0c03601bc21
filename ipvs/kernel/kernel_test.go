package kernel_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
	"director/ipvs"
	"director/ipvs/ipvstest"
	"director/ipvs/kernel"
)

// TestKernel holds every test that needs a kernel with ip_vs; see labtest.RequireIPVS.
func TestKernel(t *testing.T) {
	if !labtest.RequireIPVS(t) {
		return
	}
	t.Run("contract", func(t *testing.T) { ipvstest.RunContract(t, open) })
	t.Run("info", info)
	t.Run("timeouts", timeouts)
	t.Run("unprivileged", unprivileged)
	t.Run("statistics", statistics)
	t.Run("weightless", weightless)
	t.Run("sync daemon", syncDaemon)
	t.Run("namespaces", namespaces)
	t.Run("moby agrees", mobyAgrees)
	t.Run("disturbed dumps", disturbed)
	t.Run("abandoned dump", abandoned)
	t.Run("restored by ipvsadm", restored)
	if os.Getenv("DIRECTOR_BENCH") != "" {
		t.Run("speed", speed)
	}
	if netlab.InUML() { // on a host that is in use the module stays
		t.Run("module unloaded", noSilentSuccess)
	}
}

// open gives the test a network namespace of its own, and an IPVS in it.
func open(t *testing.T) ipvstest.Bed {
	t.Helper()
	enterNamespace(t)
	k, err := kernel.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Close()
		exec.Command("ipvsadm", "-C").Run() // the namespace lives on when the thread was the process's first
	})
	return ipvstest.Bed{
		Kernel: k,
		ByHand: func(t ipvstest.T, ops ...ipvs.Op) {
			t.Helper()
			for _, op := range ops {
				adm(t, strings.Fields(op.String())...)
			}
		},
		Saved:      func(t ipvstest.T) string { t.Helper(); return adm(t, "-Sn") },
		Schedulers: loaded(t, k),
	}
}

// enterNamespace puts the test's goroutine into a network namespace of its own.
// The thread ends with the goroutine, and the namespace with the thread.
func enterNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip link set lo up: %v\n%s", err, out)
	}
}

// adm runs ipvsadm in the namespace of the calling goroutine.
func adm(t ipvstest.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ipvsadm", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ipvsadm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// loaded returns the schedulers that this kernel has.
func loaded(t *testing.T, k *kernel.Kernel) (names []string) {
	t.Helper()
	key := ipvs.MarkService(1, ipvs.IPv4)
	for _, s := range ipvs.Schedulers() {
		errs := k.Apply([]ipvs.Op{
			{Kind: ipvs.AddService, Key: key, Service: ipvs.Service{Scheduler: s}},
			{Kind: ipvs.DeleteService, Key: key},
		})
		switch {
		case errs == nil:
			names = append(names, s)
		case !errors.Is(errs[0], unix.ENOENT):
			t.Fatal(errs)
		}
	}
	return names
}

// TestNoIPVS runs where there is no ip_vs, which is most build machines.
func TestNoIPVS(t *testing.T) {
	if netlab.HasIPVS() {
		return // TestKernel opens it
	}
	k, err := kernel.Open()
	if !errors.Is(err, kernel.ErrNoIPVS) {
		t.Fatalf("got %v, %v, want ErrNoIPVS", k, err)
	}
	if !strings.Contains(err.Error(), "modprobe ip_vs") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	if errors.Is(err, os.ErrPermission) {
		t.Errorf("%v is taken for a missing permission", err)
	}
}
