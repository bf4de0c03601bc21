package test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"director/internal/netlab"
)

// binaryEnv names an executable that is tested instead of a new build. The run inside User Mode Linux, where the
// Go tool chain has nowhere to write, gets the outer run's in this way.
const binaryEnv = "DIRECTOR_BINARY"

// binaryDir is where this process has built its binary, empty while it has not.
var binaryDir string

// binaryVersion is the version that the binary is built with.
const binaryVersion = "1.2.3-test"

// beside is how many tests run beside each other unless -parallel says so: they have their own namespaces, and sleep for most of
// their time. More would take from each other what they measure.
const beside = 6

// stalls knows for how long this machine has stood still.
var stalls *netlab.Stalls

// stood is for how long the machine has stood still since a moment: as much longer may take what is measured on it.
func stood(since time.Time) time.Duration { return stalls.Total(since, time.Now()) }

func TestMain(m *testing.M) {
	if os.Getenv(stubEnv) != "" {
		os.Exit(stubbed())
	}
	// What programs print is compared with English words.
	if err := os.Setenv("LC_ALL", "C.UTF-8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	flag.Parse()
	if target := os.Getenv(floodEnv); target != "" {
		floodForever(target)
	}
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", strconv.Itoa(beside)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	stalls = netlab.WatchStalls(context.Background())
	code := m.Run()
	if binaryDir != "" {
		_ = os.RemoveAll(binaryDir)
	}
	os.Exit(code)
}

// binary returns the path of the director executable: of the source tree, built once in a run of the tests, or what
// DIRECTOR_BINARY names.
func binary(t testing.TB) string {
	t.Helper()
	path, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(binaryEnv); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s: %w", binaryEnv, err)
		}
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "director-test-")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	// Services and scripts of other users run it.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "director")
	cmd := exec.Command("go", "build", "-ldflags", "-X main.version="+binaryVersion, "-o", path, "director/cmd/director")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("build director: %w", err), errors.New(string(out)))
	}
	return path, os.Setenv(binaryEnv, path)
})

// command runs a program outside of the lab and returns what it printed.
func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}
