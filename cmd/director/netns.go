package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"director/config"
	"director/internal/configfile"
)

// namespaceDir is where `ip netns` keeps its namespaces.
const namespaceDir = "/run/netns/"

// enterNamespace takes the whole process into the network namespace that a
// configuration names: it executes the program anew from a thread that has entered,
// because a thread cannot take the others along. It returns when the process is
// there, or need not go anywhere; a configuration that cannot be read is left to who
// reads it next.
func enterNamespace(configPath string) error {
	text, err := configfile.Read(configPath)
	if err != nil {
		return nil
	}
	// A large file takes a while to parse, and nearly none names a namespace.
	if !isKeepalived(configPath) && !bytes.Contains(text, []byte("network_namespace")) {
		return nil
	}
	cfg, _, err := parse(configPath, text)
	if err != nil || cfg.Global.NetworkNamespace == "" {
		return nil
	}
	name := cfg.Global.NetworkNamespace
	fail := func(why string, err error) error {
		at := positions(configPath, text)("global", "network_namespace")
		return config.Errors{{File: at.File, Line: at.Line, Col: at.Col, Key: "global.network_namespace",
			Msg: fmt.Sprintf("%q %s: %v", name, why, err)}}
	}
	there, err := os.Open(namespaceDir + name)
	if errors.Is(err, fs.ErrNotExist) {
		return fail("does not exist, allowed is one of `ip netns list`", err)
	}
	if err != nil {
		return fail("cannot be opened", err)
	}
	defer there.Close()
	same, err := sameFile(there, "/proc/self/ns/net")
	if err != nil || same {
		return err
	}
	runtime.LockOSThread()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fail("cannot be entered (below systemd, NetworkNamespacePath= in the unit does it)", err)
	}
	return fail("cannot be entered", unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}

func sameFile(f *os.File, path string) (bool, error) {
	a, err := f.Stat()
	if err != nil {
		return false, err
	}
	b, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(a, b), nil
}
