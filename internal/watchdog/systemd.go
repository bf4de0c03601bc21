package watchdog

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// notifyTimeout bounds the time a message to the service manager may take.
const notifyTimeout = 100 * time.Millisecond

// serviceManager tells systemd (or whatever reads NOTIFY_SOCKET) how the daemon
// fares, as sd_notify(3) describes. Without a socket its methods do nothing.
type serviceManager struct {
	conn     net.Conn
	watchdog time.Duration // within which a sign of life is expected; 0: none is
	status   string        // told last
}

// newServiceManager reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID by getenv.
func newServiceManager(getenv func(string) string) (*serviceManager, error) {
	s := &serviceManager{}
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return s, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return s, fmt.Errorf("watchdog: NOTIFY_SOCKET %q is neither a path nor an abstract name", name)
	}
	// The net package writes an abstract name with '@' as the kernel wants it.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return s, fmt.Errorf("watchdog: NOTIFY_SOCKET: %w", err)
	}
	s.conn = conn
	if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		if pid := getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
			s.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return s, nil
}

// send tells the service manager one or more NAME=value lines.
func (s *serviceManager) send(lines ...string) error {
	if s.conn == nil {
		return nil
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if _, err := s.conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("watchdog: notify the service manager: %w", err)
	}
	return nil
}

// describe tells a line of status when it differs from the last.
func (s *serviceManager) describe(line string) error {
	if line == s.status {
		return nil
	}
	s.status = line
	return s.send("STATUS=" + line)
}

func (s *serviceManager) close() {
	if s.conn != nil {
		s.conn.Close()
	}
}
