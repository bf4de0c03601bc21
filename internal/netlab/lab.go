package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	netnsDir    = "/run/netns"  // where `ip netns` looks
	registryDir = "/run/netlab" // one folder a lab, held by a lock of its process
)

// A Lab is a set of hosts and switches that are made together and go together. Its methods may be called from several
// goroutines.
type Lab struct {
	id     string   // unique on this machine among living labs
	dir    string   // temporary files
	lock   *os.File // held as long as the lab lives
	home   *os.File // the network namespace that this process lives in; not closed, for a thread may be on its way back
	forker *forker
	ctx    context.Context // ends with the lab
	cancel context.CancelFunc

	mu       sync.Mutex
	closed   bool
	made     int // hosts and switches
	hosts    []*Host
	switches []*Switch
}

var labName = regexp.MustCompile(`^[a-z][a-z0-9]{0,11}$`)

// New makes an empty lab. The name (a lower-case letter, then up to 11 lower-case letters and digits) begins the names of its
// namespaces: lab "vrrp" with host "r1" is the namespace "vrrp1-r1", the number being the first that is free, so that labs of one name
// can live side by side. What labs of processes that have died left behind is removed first. It needs root.
func New(name string) (*Lab, error) {
	if !labName.MatchString(name) {
		return nil, fmt.Errorf("lab %q: the name must match %s", name, labName)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("lab %s: making network namespaces needs root", name)
	}
	if err := prepareNetnsDir(); err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	l := &Lab{}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	err := l.register(name)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	if l.home, err = os.Open("/proc/thread-self/ns/net"); err == nil {
		l.dir, err = os.MkdirTemp("", "netlab-"+l.id+"-")
	}
	if err == nil {
		err = os.Chmod(l.dir, 0o755) // scripts run as other users read it
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(registryDir, l.id, "dir"), []byte(l.dir), 0o600)
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	l.forker = newForker()
	return l, nil
}

// register takes a free number for the lab and removes what dead labs left. One lock keeps other processes out meanwhile.
func (l *Lab) register(name string) error {
	if err := os.MkdirAll(registryDir, 0o700); err != nil {
		return err
	}
	all, err := os.OpenFile(filepath.Join(registryDir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer all.Close()
	if err := unix.Flock(int(all.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if err := sweep(); err != nil {
		return err
	}
	for n := 1; ; n++ {
		id := fmt.Sprintf("%s%d", name, n)
		err := os.Mkdir(filepath.Join(registryDir, id), 0o700)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		l.id = id
		l.lock, err = os.OpenFile(filepath.Join(registryDir, id, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		return unix.Flock(int(l.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
}

// sweep removes labs whose process has died: their lock is free.
func sweep() error {
	entries, err := os.ReadDir(registryDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		folder := filepath.Join(registryDir, e.Name())
		lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			namespaces, _ := filepath.Glob(filepath.Join(netnsDir, e.Name()+"-*"))
			for _, ns := range namespaces {
				killNamespace(ns)
				removeNamespace(ns)
			}
			if dir, err := os.ReadFile(filepath.Join(folder, "dir")); err == nil && strings.Contains(string(dir), "/netlab-") {
				_ = os.RemoveAll(string(dir))
			}
			_ = os.RemoveAll(folder)
		}
		lock.Close()
	}
	return nil
}

// ID is the lab's name with its number: the first part of its namespaces' names.
func (l *Lab) ID() string { return l.id }

// Dir is the lab's folder for temporary files. It goes with the lab.
func (l *Lab) Dir() string { return l.dir }

// Hosts returns the hosts made so far, in order.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host(nil), l.hosts...)
}

// Close kills every process in the lab and removes its namespaces, links and files. A second call does nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	hosts, switches := l.hosts, l.switches
	l.mu.Unlock()
	l.cancel()

	var errs []error
	for _, h := range hosts {
		h.KillAll()
	}
	for _, h := range hosts {
		errs = append(errs, h.close())
	}
	for _, s := range switches {
		errs = append(errs, s.host.close())
	}
	if l.forker != nil {
		l.forker.close()
	}
	if l.dir != "" {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	if l.id != "" {
		errs = append(errs, os.RemoveAll(filepath.Join(registryDir, l.id)))
	}
	if l.lock != nil {
		l.lock.Close()
	}
	return errors.Join(errs...)
}

// CanMakeHosts reports whether this process may make network namespaces. Root in a container often may not.
func CanMakeHosts() bool {
	home, err := os.Open("/proc/thread-self/ns/net")
	if os.Geteuid() != 0 || err != nil {
		return false
	}
	defer home.Close()
	can := make(chan bool)
	go func() {
		runtime.LockOSThread()
		ok := unix.Unshare(unix.CLONE_NEWNET) == nil
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		can <- ok
	}()
	return <-can
}

// prepareNetnsDir makes /run/netns as `ip netns add` does: a shared mount, so that a namespace removed here is removed in all
// mount namespaces and not kept alive by one of them.
func prepareNetnsDir() error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	shared := func() error { return unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	err := shared()
	if errors.Is(err, unix.EINVAL) { // not a mount point yet
		if err := unix.Mount(netnsDir, netnsDir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %s: %w", netnsDir, err)
		}
		err = shared()
	}
	if err != nil {
		return fmt.Errorf("share %s: %w", netnsDir, err)
	}
	return nil
}

// newNamespace makes a network namespace with a name and returns it open.
func (l *Lab) newNamespace(name string) (*os.File, error) {
	path := filepath.Join(netnsDir, name)
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return nil, err
	}
	f.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", path, "none", unix.MS_BIND, "")
			if unix.Setns(int(l.home.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
		}
		done <- err
	}()
	if err := <-done; err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	return os.Open(path)
}

// removeNamespace takes a namespace's name away; the namespace ends with its last process and socket.
func removeNamespace(path string) {
	_ = unix.Unmount(path, unix.MNT_DETACH)
	_ = os.Remove(path)
}
