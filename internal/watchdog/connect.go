package watchdog

import (
	"fmt"
	"net"
	"os"
	"time"

	"director/config"
)

// connect opens the connection of the SNMP process to the master agent: its user need
// not be allowed to.
func connect(address string, timeout time.Duration) (*os.File, error) {
	network, to, ok := config.ParseAgentX(address)
	if !ok {
		return nil, fmt.Errorf("connect to %q: neither a path nor tcp: with an address and a port", address)
	}
	c, err := net.DialTimeout(network, to, timeout)
	if err != nil {
		return nil, err
	}
	defer c.Close() // of the file, there is a duplicate
	return c.(interface{ File() (*os.File, error) }).File()
}
