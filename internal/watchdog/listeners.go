package watchdog

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"director/config"
)

// listen opens a listening socket of the web process: an element of config.Web.Listen.
func listen(address string) (*os.File, error) {
	addr, path, ok := config.ParseListen(address)
	switch {
	case !ok:
		return nil, fmt.Errorf("listen on %q: neither an address with a port nor a path", address)
	case path != "":
		return listenUnix(path)
	}
	network := "tcp6" // of which the unspecified address leaves IPv4 alone
	if addr.Addr().Is4() {
		network = "tcp4"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	defer l.Close() // of the file, there is a duplicate
	return l.(*net.TCPListener).File()
}

// Listeners makes of the sockets of a web process what it accepts connections from.
func Listeners(sockets []*os.File) ([]net.Listener, error) {
	list := make([]net.Listener, len(sockets))
	for i, f := range sockets {
		var err error
		if list[i], err = net.FileListener(f); err != nil {
			return nil, fmt.Errorf("watchdog: listening socket of %s: %w", f.Name(), err)
		}
		if u, ok := list[i].(*net.UnixListener); ok && strings.HasPrefix(f.Name(), "/") {
			u.SetUnlinkOnClose(false) // the parent's to do
		}
		f.Close()
	}
	return list, nil
}

// listenUnix takes the place of a socket that a former director left behind. Anybody
// may connect, as to a loopback address; who must not is kept out by the folder.
func listenUnix(path string) (*os.File, error) {
	address := &net.UnixAddr{Net: "unix", Name: path}
	l, err := net.ListenUnix("unix", address)
	if errors.Is(err, syscall.EADDRINUSE) && deserted(address) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		l, err = net.ListenUnix("unix", address)
	}
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, err
	}
	return l.File()
}

// deserted reports whether a path is a socket that nobody listens on.
func deserted(address *net.UnixAddr) bool {
	info, err := os.Lstat(address.Name)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	conn, err := net.DialUnix("unix", nil, address)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// closeListener ends a listening socket; a path is removed.
func closeListener(address string, f *os.File) {
	if _, path, _ := config.ParseListen(address); path != "" {
		_ = os.Remove(path)
	}
	f.Close()
}
