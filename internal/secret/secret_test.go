package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"director/config"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(directoryVariable, filepath.Join(dir, "credentials"))
	if err := os.Mkdir(filepath.Join(dir, "credentials"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, text string
		mode       os.FileMode
		value, err string // err: a part of it
		doubt      string
	}{
		{"plain", "geheim", 0o600, "geheim", "", ""},
		{"newline", "geheim\n", 0o640, "geheim", "", ""},
		{"two newlines", "geheim\n\n", 0o600, "geheim\n", "", ""},
		{"from Windows", "geheim\r\n", 0o600, "geheim", "", ""},
		{"readable", "geheim", 0o644, "geheim", "", "readable is readable by everybody (mode 0644): chmod o-r "},
		{"writable", "geheim", 0o602, "", "writable may be replaced by everybody (mode 0602): chmod o-w ", ""},
		{"empty", "\n", 0o600, "", "empty is empty", ""},
		{"long", strings.Repeat("geheim", 1000), 0o600, "", "long is longer than 4096 bytes", ""},
		{"credentials/vrrp_1", "geheim", 0o400, "geheim", "", ""},
		{"missing", "", 0, "", "missing: no such file or directory", ""},
		{"fifo", "", 0, "", "fifo is not a regular file", ""},
		{"credentials", "", 0, "", "credentials is not a regular file", ""},
	} {
		file := filepath.Join(dir, tc.name)
		if tc.mode != 0 {
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, tc.mode); err != nil {
				t.Fatal(err)
			}
		}
		s := config.SecretSource{File: file}
		if name, ok := strings.CutPrefix(tc.name, "credentials/"); ok {
			s = config.SecretSource{Credential: name}
		}
		value, err := Read(s)
		switch {
		case string(value) != tc.value || (err != nil) != (tc.err != ""):
			t.Errorf("%s: %q, %v", tc.name, string(value), err)
		case err != nil && (!strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "geheim")):
			t.Errorf("%s: %v, want %s", tc.name, err, tc.err)
		}
		if got := Doubt(s); tc.doubt == "" && got != "" || !strings.Contains(got, tc.doubt) {
			t.Errorf("%s: doubt %q, want %q", tc.name, got, tc.doubt)
		}
	}
	file := filepath.Join(dir, "plain")
	if err := os.Chown(file, 65534, 0); err == nil { // as root
		if got := Doubt(config.SecretSource{File: file}); !strings.Contains(got, "belongs to user 65534") {
			t.Errorf("doubt %q", got)
		}
	}
	t.Setenv(directoryVariable, "")
	for name, want := range map[string]string{"vrrp_1": "LoadCredential=vrrp_1:PATH", "..": "is not set"} {
		if _, err := Read(config.SecretSource{Credential: name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s without a directory: %v", name, err)
		}
	}
	t.Setenv(directoryVariable, dir)
	if _, err := Read(config.SecretSource{Credential: ".."}); err == nil || !strings.Contains(err.Error(), "not the name") {
		t.Errorf("..: %v", err)
	}
}
