package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	language "director/config/keepalived"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
	"director/internal/watchdog"
)

// keepalivedSamples are files in keepalived's language.
const keepalivedSamples = "../config/keepalived/testdata"

// A verdict is what keepalived and director say of one file.
type verdict struct{ theirs, ours string }

// differ says that one takes what the other objects to. A warning of ours agrees with both: keepalived objects to what it repairs,
// and is silent about much that deserves a word.
func (v verdict) differ() bool {
	return v.theirs == "good" && v.ours == "refuses" || v.theirs == "complains" && v.ours == "good"
}

// Debian's keepalived and director judge the same files: all samples, and many small mistakes. Each file of which they
// think otherwise is in the table of docs/keepalived.md, with the reason, and no other.
func TestVerdictsOfKeepalived(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(keepalivedSamples + "/*.conf")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	dir := t.TempDir()
	mistakes, err := os.ReadFile(keepalivedSamples + "/mistakes.txt")
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{} // by what the table calls them
	for _, f := range files {
		if paths[filepath.Base(f)], err = filepath.Abs(f); err != nil {
			t.Fatal(err)
		}
	}
	twins, err := filepath.Glob("../etc/examples/*/*.conf")
	if err != nil || len(twins) < 20 {
		t.Fatalf("%d examples, %v", len(twins), err)
	}
	for _, f := range twins {
		paths[filepath.Base(filepath.Dir(f))+"/"+filepath.Base(f)] = f
	}
	for _, part := range strings.Split(string(mistakes), "\n=== ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		paths[name] = filepath.Join(dir, fmt.Sprintf("%d.conf", len(paths)))
		if err := os.WriteFile(paths[name], []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if most := len(paths) - len(files) - len(twins); most < 40 {
		t.Fatalf("only %d mistakes", most)
	}

	h := interfaces(labtest.New(t, "verdict"))
	found := map[string]verdict{}
	var mu sync.Mutex
	var all sync.WaitGroup
	queue := make(chan string)
	for range 2 {
		all.Go(func() {
			for name := range queue {
				v := verdict{keepalivedSays(t, h, paths[name]), directorSays(t, paths[name])}
				mu.Lock()
				found[name] = v
				mu.Unlock()
			}
		})
	}
	for name := range paths {
		queue <- name
	}
	close(queue)
	all.Wait()

	documented := documentedVerdicts(t)
	agree := 0
	for _, name := range slices.Sorted(maps.Keys(found)) {
		v := found[name]
		if want, listed := documented[name]; listed {
			if v != want {
				t.Errorf("%q: keepalived %s and director %s, the table says %s and %s", name, v.theirs, v.ours, want.theirs, want.ours)
			}
		} else if v.differ() {
			t.Errorf("%q: keepalived %s and director %s, which is not in the table", name, v.theirs, v.ours)
		} else {
			agree++
		}
	}
	for name, v := range documented {
		if _, is := found[name]; !is || !v.differ() {
			t.Errorf("the table has %q, which is no file or no difference", name)
		}
	}
	t.Logf("%d files, %d verdicts agree, %d differences are documented", len(found), agree, len(documented))
}

// interfaces makes a host that has what the samples name.
func interfaces(l *labtest.Lab) *netlab.Host {
	h, sw := l.Host("h"), l.Switch("sw")
	for _, name := range []string{"eth0", "eth1", "eth2", "eth3", "ens3", "ens18", "ens192", "bond0"} {
		l.Connect(h, name, sw)
	}
	l.Run(h, "ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
	return h
}

// keepalivedSays asks keepalived. For some mistakes it ends its parent, so that has to be a process of its own.
func keepalivedSays(t *testing.T, h *netlab.Host, path string) string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := h.Command(ctx, "timeout", "30", "keepalived", "--config-test", "-i", "lb1", "-f", path)
	cmd.Env = append(os.Environ(), "VIP_NET=192.0.2")
	out, err := cmd.CombinedOutput()
	exit := new(exec.ExitError)
	switch {
	case err == nil:
		return "good"
	case errors.As(err, &exit) && ctx.Err() == nil:
		t.Logf("%s: %v\n%s", filepath.Base(path), err, out)
		return "complains"
	}
	t.Errorf("keepalived --config-test: %v", err)
	return ""
}

// directorSays judges as `director check` does on a host with the name lb1.
func directorSays(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return ""
	}
	o := languageOptions()
	cfg, warnings, err := language.Parse(path, text, o)
	if err != nil {
		return "refuses"
	}
	more, err := watchdog.CheckScripts(language.Positions(path, text, o), cfg)
	switch {
	case err != nil:
		return "refuses"
	case len(warnings)+len(more) > 0:
		return "warns"
	}
	return "good"
}

// languageOptions are those of a host with the name lb1.
func languageOptions() language.Options {
	return language.Options{
		ID: "lb1", Glob: filepath.Glob, Read: os.ReadFile, Random: func(least, _ int) int { return least },
		Env: func(name string) (string, bool) { return "192.0.2", name == "VIP_NET" },
	}
}

var verdictRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (good|complains) \\| (good|warns|refuses) \\| \\S.*\\|$")

// documentedVerdicts reads the table of differences.
func documentedVerdicts(t *testing.T) map[string]verdict {
	t.Helper()
	page, err := os.ReadFile("../docs/keepalived.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]verdict{}
	for _, m := range verdictRow.FindAllStringSubmatch(string(page), -1) {
		table[m[1]] = verdict{m[2], m[3]}
	}
	return table
}
