package netlab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// runIn boots, runs a shell command and returns its output and exit code.
func runIn(t *testing.T, o UMLOptions, script string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	var out bytes.Buffer
	o.Command, o.Stdout = []string{"sh", "-c", script}, &out
	code, err := UML(ctx, o)
	if err != nil {
		t.Error(err)
	}
	return out.String(), code
}

// umlProcesses counts the kernel processes that were started with a folder below dir.
func umlProcesses(dir string) int {
	n := 0
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if b, _ := os.ReadFile(f); bytes.Contains(b, []byte("uml_dir="+dir)) {
			n++
		}
	}
	return n
}

func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	if err := EventuallyWithin(30*time.Second, func() error {
		if n := umlProcesses(dir); n > 0 {
			return fmt.Errorf("%d kernel processes are left", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), scratchPrefix) {
			t.Errorf("%s is left in the temporary folder", e.Name())
		}
	}
}

func TestUML(t *testing.T) {
	if InUML() {
		t.Log("one level of User Mode Linux is enough")
		return
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp) // so that what these kernels leave can be told from what others do

	t.Run("world", func(t *testing.T) {
		dir := t.TempDir()
		shared := t.TempDir()
		if err := os.WriteFile(filepath.Join(shared, "file"), []byte("from outside"), 0o600); err != nil {
			t.Fatal(err)
		}
		single := filepath.Join(t.TempDir(), "single")
		if err := os.WriteFile(single, []byte("alone"), 0o600); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		out, code := runIn(t, UMLOptions{
			Dir: dir, Share: []string{shared, single, "/usr/bin"}, WorkDir: shared, Env: []string{"QUOTE=it's; $HOME", "CI=true"}, Mem: "512M",
		}, `set -e
			cat file; echo " in $(pwd)"; cat `+single+`; echo
			echo "$QUOTE $CI $NETLAB_UML $TMPDIR"
			test "$(ls /tmp | wc -l)" -ge 1; test ! -e /run/netlab
			for f in /usr/x file2 `+single+`; do if touch $f 2>/dev/null; then echo "$f is writable"; fi; done
			touch /tmp/x /run/x /var/log/x /var/lib/x /dev/shm/x
			echo result >`+dir+`/result
			ping -c1 -W1 127.0.0.1 >/dev/null; ping -c1 -W1 ::1 >/dev/null
			for s in rr wrr lc wlc fo ovf lblc lblcr dh sh mh sed nq; do ipvsadm -A -t 192.0.2.1:80 -s $s; ipvsadm -C; done
			ip link add name d0 type dummy; ip link add name v0 type vrf table 7; ip link add name m0 link d0 type macvlan mode private; ip link add name g0 type gretap local 127.0.0.1 remote 127.0.0.2
			if ip link add name x0 type nosuch 2>/dev/null; then echo "there is a nosuch"; fi
			grep -c '^ip_vs_' /proc/modules; ls /proc/self/fd | wc -w; tty || true; hostname
			exit 7`)
		t.Logf("boot, work and power-off: %v", time.Since(start))
		want := "from outside in " + shared + "\nalone\nit's; $HOME true 1 /tmp\n13\n4\nnot a tty\numl\n"
		if out != want || code != 7 {
			t.Errorf("exit code %d, output\n%s\nwant\n%s", code, out, want)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, "result")); string(b) != "result\n" {
			t.Errorf("result file: %q", b)
		}
		nothingLeft(t, tmp)
	})

	t.Run("two at once, much output", func(t *testing.T) {
		var both sync.WaitGroup
		for i := range 2 {
			both.Go(func() {
				var out bytes.Buffer
				slow := writerFunc(func(p []byte) (int, error) {
					time.Sleep(50 * time.Millisecond) // the reader is still behind when the command ends
					return out.Write(p)
				})
				code, err := UML(t.Context(), UMLOptions{Stdout: slow, Command: []string{"sh", "-c", fmt.Sprintf("seq -f '%%.0f of kernel %d' 1 100000; exit %d", i, i)}})
				var want strings.Builder
				for n := 1; n <= 100000; n++ {
					fmt.Fprintf(&want, "%d of kernel %d\n", n, i)
				}
				if err != nil || code != i || sha256.Sum256(out.Bytes()) != sha256.Sum256([]byte(want.String())) {
					t.Errorf("kernel %d: %v, exit code %d, %d bytes of output, want %d", i, err, code, out.Len(), want.Len())
				}
			})
		}
		both.Wait()
		nothingLeft(t, tmp)
	})

	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		up := make(chan struct{})
		go func() {
			<-up
			cancel()
		}()
		w := writerFunc(func(p []byte) (int, error) {
			if strings.Contains(string(p), "up") {
				close(up)
			}
			return len(p), nil
		})
		// Many address spaces, busy and idle: each has a process on the host.
		code, err := UML(ctx, UMLOptions{Stdout: w, Command: []string{"sh", "-c",
			"for i in 1 2 3 4 5; do sleep 1000 & sh -c 'while :; do :; done' & done; sleep 1; echo up; wait"}})
		if code != -1 || !errors.Is(err, context.Canceled) {
			t.Errorf("exit code %d, error %v", code, err)
		}
		nothingLeft(t, tmp)
	})

	t.Run("parent killed", func(t *testing.T) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestUMLVictim$")
		cmd.Env = append(os.Environ(), "NETLAB_TEST_ROLE=victim")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var word string
		if _, err := fmt.Fscan(out, &word); err != nil || word != "UP" {
			t.Errorf("%q, %v", word, err)
		}
		if umlProcesses(tmp) < 5 {
			t.Errorf("only %d kernel processes before the kill", umlProcesses(tmp))
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if err := EventuallyWithin(30*time.Second, func() error {
			if n := umlProcesses(tmp); n > 0 {
				return fmt.Errorf("%d kernel processes are left", n)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		// The folder of the dead is removed by the next, once it is a minute old.
		left, _ := filepath.Glob(filepath.Join(tmp, scratchPrefix+"*"))
		if len(left) != 1 {
			t.Fatalf("left: %v", left)
		}
		old := time.Now().Add(-2 * time.Minute)
		if err := os.Chtimes(left[0], old, old); err != nil {
			t.Fatal(err)
		}
		mine, release, err := scratchDir()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(mine, old, old); err != nil {
			t.Fatal(err)
		}
		_, release2, err := scratchDir()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(mine); err != nil {
			t.Error("a folder in use was removed")
		}
		release()
		release2()
		nothingLeft(t, tmp)
	})

	t.Run("interactive", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
		defer cancel()
		var out bytes.Buffer
		code, err := UML(ctx, UMLOptions{Command: []string{"sh", "-i"}, Stdout: &out,
			Stdin: strings.NewReader("tty; echo $((40+2))\nexit 5\n")})
		if err != nil || code != 5 || !strings.Contains(out.String(), "\r\n42\r\n") || !strings.Contains(out.String(), "/dev/tty1") {
			t.Errorf("exit code %d, %v, output %q", code, err, out.String())
		}
	})

	t.Run("what cannot run", func(t *testing.T) {
		out, code := runIn(t, UMLOptions{}, "exec /nonexistent/program")
		if code != 127 || !strings.Contains(out, "not found") {
			t.Errorf("missing program: exit code %d, output %q", code, out)
		}
		_, err := UML(t.Context(), UMLOptions{})
		if err == nil {
			t.Error("no command is no error")
		}
		_, err = UML(t.Context(), UMLOptions{Command: []string{"true"}, Dir: filepath.Join(tmp, "nosuch")})
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("missing Dir: %v", err)
		}
		_, err = UML(t.Context(), UMLOptions{Command: []string{"true"}, Mem: "4M"})
		if err == nil {
			t.Error("a kernel with 4 MB has run")
		} else {
			t.Logf("4 MB: %.200s", err)
		}
		_, err = UML(t.Context(), UMLOptions{Command: []string{"busybox", "poweroff", "-f"}})
		if err == nil || !strings.Contains(err.Error(), "before the command ended") {
			t.Errorf("power-off by the command: %v", err)
		}
		t.Setenv("PATH", t.TempDir())
		if _, err = UML(t.Context(), UMLOptions{Command: []string{"true"}}); !errors.Is(err, ErrNoUML) {
			t.Errorf("without linux.uml: %v", err)
		}
		nothingLeft(t, tmp)
	})

	t.Run("itself", func(t *testing.T) {
		var out bytes.Buffer
		code, err := UMLMain(t.Context(), UMLOptions{Stdout: &out, Env: []string{"NETLAB_TEST_ROLE=inside"}}, "-test.run=^TestUMLVictim$", "-test.v")
		if Race {
			if err == nil {
				t.Error("a program with the race detector has run inside")
			}
			return
		}
		if err != nil || code != 0 || !strings.Contains(out.String(), "I am inside: true") {
			t.Errorf("exit code %d, %v, output %s", code, err, out.String())
		}
		nothingLeft(t, tmp)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestUMLVictim is what TestUML runs in other processes; by itself it does nothing.
func TestUMLVictim(t *testing.T) {
	switch os.Getenv("NETLAB_TEST_ROLE") {
	case "victim":
		_, err := UML(context.Background(), UMLOptions{Stdout: os.Stdout, Command: []string{"sh", "-c",
			"for i in 1 2 3 4 5; do sleep 1000 & sh -c 'while :; do :; done' & done; sleep 1; echo UP; wait"}})
		t.Error(err)
	case "inside":
		t.Logf("I am inside: %v", InUML())
	}
}

func TestWidenRegisterSet(t *testing.T) {
	set := "\xbf\x05\x42\x00\x00"
	length := "\x48\xc7\x45\xf8\x88\x0a\x00\x00"
	for _, c := range []struct{ name, in, out string }{
		{"as in 6.1", "abc" + length + set + "def", "abc\x48\xc7\x45\xf8\x00\x80\x00\x00" + set + "def"},
		{"something between", length + "12345" + set, "\x48\xc7\x45\xf8\x00\x80\x00\x00" + "12345" + set},
		{"too far apart", length + strings.Repeat("x", 60) + set, ""},
		{"another call", length + "\xbf\x04\x42\x00\x00", ""},
		{"no length", set, ""},
		{"empty", "", ""},
	} {
		image := []byte(c.in)
		found := widenRegisterSet(image)
		want := c.out
		if want == "" {
			want = c.in
		}
		if found != (c.out != "") || string(image) != want {
			t.Errorf("%s: %v, %q", c.name, found, image)
		}
	}
}

func TestMemBytes(t *testing.T) {
	for in, want := range map[string]uint64{"": 1 << 30, "1G": 1 << 30, "512M": 512 << 20, "64k": 64 << 10, "4096": 4096, "x": 1 << 30, "G": 1 << 30} {
		if got := memBytes(in); got != want {
			t.Errorf("memBytes(%q) = %d, want %d", in, got, want)
		}
	}
}
