package notify

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/config"
)

func fifoTo(path string) *config.Config {
	ap := netip.MustParseAddrPort
	return &config.Config{Instances: []config.Instance{{Name: "VI_1"}}, VirtualServers: []config.VirtualServer{
		{Name: "web", Address: ap("10.0.0.1:80"), Protocol: config.TCP, RealServers: []config.RealServer{{Name: "one", Address: ap("1.2.3.4:80")}}},
		{Name: "six", Address: ap("[2001:db8::1]:53"), Protocol: config.UDP},
		{Name: "mark", FWMark: 3, RealServers: []config.RealServer{{Name: "m", Address: ap("1.2.3.4:0")}}},
	}, Notify: config.Channels{FIFO: &config.FIFO{Path: path}}}
}

// TestFIFO reads keepalived's lines. They wait until there is a reader.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	n, _ := newNotifier(fifoTo(path))
	n.Handle(change("instance", "VI_1", "BACKUP", "MASTER", "", 1))
	n.Handle(change("service", "web", "unknown", "up", "", 2))
	n.Handle(change("service", "six", "up", "sorry", "", 3))
	n.Handle(change("service", "six", "sorry", "down", "", 4)) // was down already
	n.Handle(change("server", "web/one", "up", "down", "", 5))
	n.Handle(change("service", "mark", "unknown", "down", "", 6))
	n.Handle(change("service", "mark", "down", "up", "", 6))
	n.Handle(change("server", "mark/m", "down", "up", "", 7))
	n.Handle(change("process", "vrrp", "running", "dead", "", 8))
	eventually(t, "seven lines", func() bool { return n.Status()[0].Sent == 7 })
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeNamedPipe|0o600 {
		t.Fatal(info, err)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := n.Close(time.Minute); err != nil {
		t.Error(err)
	}
	text, err := io.ReadAll(r)
	want := "INSTANCE \"VI_1\" MASTER 100\nVS [10.0.0.1]:tcp:80 UP\nVS [2001:db8::1]:udp:53 DOWN\n" +
		"RS [1.2.3.4]:tcp:80 [10.0.0.1]:tcp:80 DOWN\nVS FWM 3 DOWN\nVS FWM 3 UP\nRS [1.2.3.4]:none:0 FWM 3 UP\n"
	if err != nil || string(text) != want {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the FIFO stays: %v", err)
	}
}

// TestFIFOWithoutReader fills the pipe: lines are counted and one is logged.
func TestFIFOWithoutReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o640); err != nil {
		t.Fatal(err)
	}
	n, out := newNotifier(fifoTo(path))
	for i := range 4000 {
		n.Handle(change("instance", "VI_1", "", []string{"MASTER", "BACKUP"}[i%2], "", 1))
	}
	if err := n.Close(time.Minute); err != nil {
		t.Error(err)
	}
	st := n.Status()[0]
	if st.Channel != "fifo" || st.Sent < 2000 || st.Dropped < 500 || st.Sent+st.Dropped != 4000 || !strings.Contains(st.LastError, "nobody reads") {
		t.Errorf("%+v", st)
	}
	if got := strings.Count(out.String(), "\n"); got != 1 {
		t.Errorf("%d lines in the log", got)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("a FIFO that was there is removed: %v", err)
	}
}

// TestFIFORefuses follows no link and writes into no file.
func TestFIFORefuses(t *testing.T) {
	dir := t.TempDir()
	real, link, file := filepath.Join(dir, "real"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	if err := unix.Mkfifo(real, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{link: "too many levels", file: "is not a FIFO", filepath.Join(dir, "no", "x"): "no such file"} {
		n, _ := newNotifier(fifoTo(path))
		n.Handle(change("instance", "VI_1", "", "MASTER", "", 1))
		n.Close(time.Minute)
		if st := n.Status()[0]; st.Sent != 0 || !strings.Contains(st.LastError, want) {
			t.Errorf("%s: %+v", path, st)
		}
	}
	if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
		t.Errorf("%q, %v", text, err)
	}
}
