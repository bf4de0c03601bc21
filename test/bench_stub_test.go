package test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"director/internal/checkd"
	"director/internal/watchdog"
	"director/ipvs/ipvstest"
)

// What checks cost is measured on the machine's own kernel: User Mode Linux has system calls a hundred times as slow. That kernel
// may have no IPVS, so neither program is given one. director is this very test binary, started again: the parent and the
// checker child as cmd/director has them, with a table in memory. keepalived is the installed one, with the two system calls
// answered by which it falls back on where there is no netlink family of IPVS.

// stubEnv makes this program be director without IPVS; its value is the path of the configuration file.
const stubEnv = "DIRECTOR_BENCH_STUB"

// stubbed is the life of director without IPVS. It returns the exit status.
func stubbed() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if role, is := watchdog.RoleOf(os.Args); is {
		return watchdog.RunChild(role, log, func() {}, func(ctx context.Context, ch *watchdog.Channel) error {
			return checkd.New(log, checkd.Options{RuntimeDir: filepath.Join(filepath.Dir(os.Getenv(stubEnv)), "run"),
				OpenKernel: func(string) (checkd.Kernel, error) { return ipvstest.New(nil), nil }}).Run(ctx, ch)
		}, nil, nil)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	conf := os.Getenv(stubEnv)
	if err := watchdog.Run(context.Background(), watchdog.Options{ConfigPath: conf, RuntimeDir: filepath.Join(filepath.Dir(conf), "run"), Log: log, Signals: signals}); err != nil {
		log.Error("director ends", "reason", err)
		return 1
	}
	return 0
}

// noIPVS is a library that answers keepalived's calls to IPVS: every change succeeds, every question gets zeros.
const noIPVS = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
/* IP_VS_BASE_CTL of linux/ip_vs.h and the numbers after it */
static int ipvs(int level, int name) { return level == IPPROTO_IP && name >= 64 + 1024 + 64 && name < 64 + 1024 + 128; }
int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
	static int (*real)(int, int, int, const void *, socklen_t);
	if (ipvs(level, name)) return 0;
	if (!real) real = dlsym(RTLD_NEXT, "setsockopt");
	return real(fd, level, name, value, size);
}
int getsockopt(int fd, int level, int name, void *value, socklen_t *size) {
	static int (*real)(int, int, int, void *, socklen_t *);
	if (ipvs(level, name)) { memset(value, 0, *size); return 0; }
	if (!real) real = dlsym(RTLD_NEXT, "getsockopt");
	return real(fd, level, name, value, size);
}
`

// noIPVSLibrary builds that library and returns its path.
func noIPVSLibrary(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	lib := filepath.Join(dir, "noipvs.so")
	cmd := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-x", "c", "-o", lib, "-")
	cmd.Stdin = strings.NewReader(noIPVS)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build what stands for IPVS under keepalived (Debian package gcc): %v\n%s", err, out)
	}
	return lib
}
