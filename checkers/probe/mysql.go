package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

const (
	maxMySQL       = 64 << 10 // bytes of all packets
	maxMySQLPacket = 4 << 10
)

// Capabilities of a client (MySQL's protocol, section "Capabilities Flags").
const (
	mysqlLongPassword = 1 << 0
	mysqlProtocol41   = 1 << 9
	mysqlSecure       = 1 << 15
	mysqlPluginAuth   = 1 << 19
)

// MySQL reads the greeting of a MySQL or MariaDB server. With a user it logs in
// as that user without a password; without one it leaves after the greeting,
// which servers count as an aborted connection, and hold against the host that
// makes many of them (max_connect_errors).
func MySQL(ctx context.Context, to Target, user string) Result {
	start := time.Now()
	c, what, err := dial(ctx, to, nil, maxMySQL)
	if err != nil {
		return broken(ctx, start, what, err)
	}
	defer c.Close()
	packet, seq, err := c.mysqlPacket()
	if err != nil {
		return c.failed(ctx, start, "greeting", err)
	}
	version, plugin, err := parseMySQLGreeting(packet)
	if err != nil {
		return c.failed(ctx, start, "greeting", err)
	}
	if user == "" {
		return c.passed(start, "server "+version)
	}
	if err := c.mysqlLogin(user, plugin, seq+1); err != nil {
		return c.failed(ctx, start, fmt.Sprintf("login as %q", user), err)
	}
	c.Write([]byte{1, 0, 0, 0, 1}) // COM_QUIT, so that nothing is counted as aborted
	io.Copy(io.Discard, c.in)
	return c.passed(start, fmt.Sprintf("server %s, logged in as %q", version, user))
}

// mysqlPacket reads a packet and its sequence number.
func (s *stream) mysqlPacket() (payload []byte, seq byte, err error) {
	head, err := s.full(4)
	if err != nil {
		return nil, 0, err
	}
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if size == 0 || size > maxMySQLPacket {
		return nil, 0, wrongAnswer("a packet of %d bytes: this is no MySQL server", size)
	}
	payload, err = s.full(size)
	return payload, head[3], err
}

// parseMySQLGreeting reads the server's first packet (Protocol::HandshakeV10).
func parseMySQLGreeting(p []byte) (version, plugin string, err error) {
	if len(p) > 0 && p[0] == 0xff {
		return "", "", mysqlError(p)
	}
	if len(p) < 2 || p[0] != 10 {
		return "", "", wrongAnswer("a greeting of an unknown version: this is no MySQL server")
	}
	name, rest, found := bytes.Cut(p[1:], []byte{0})
	// thread id 4, salt 8, 0, capabilities 2, charset 1, status 2, capabilities 2,
	// length of salt 1, 10 unused
	const fixed = 4 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10
	if !found || len(rest) < 4+8+1+2 {
		return "", "", wrongAnswer("a greeting that is cut short")
	}
	version = printable(string(name), 64)
	if len(rest) < fixed {
		return version, "", nil
	}
	capabilities := uint32(binary.LittleEndian.Uint16(rest[13:])) | uint32(binary.LittleEndian.Uint16(rest[18:]))<<16
	if capabilities&mysqlPluginAuth == 0 {
		return version, "", nil
	}
	salt := max(13, int(rest[20])-8)
	if len(rest) < fixed+salt {
		return version, "", nil
	}
	end, _, _ := bytes.Cut(rest[fixed+salt:], []byte{0})
	return version, string(end), nil
}

// mysqlLogin logs in without a password (Protocol::HandshakeResponse41).
func (s *stream) mysqlLogin(user, plugin string, seq byte) error {
	flags := uint32(mysqlLongPassword | mysqlProtocol41 | mysqlSecure)
	if plugin != "" {
		flags |= mysqlPluginAuth
	}
	p := binary.LittleEndian.AppendUint32(nil, flags)
	p = binary.LittleEndian.AppendUint32(p, maxMySQLPacket)
	p = append(p, 33) // utf8
	p = append(p, make([]byte, 23)...)
	p = append(p, user...)
	p = append(p, 0, 0) // the end of the name, and no password
	if plugin != "" {
		p = append(append(p, plugin...), 0)
	}
	for range 3 { // a server may ask for another way to prove who we are
		if _, err := s.Write(append([]byte{byte(len(p)), byte(len(p) >> 8), byte(len(p) >> 16), seq}, p...)); err != nil {
			return err
		}
		answer, last, err := s.mysqlPacket()
		if err != nil {
			return err
		}
		switch answer[0] {
		case 0x00:
			return nil
		case 0xff:
			return mysqlError(answer)
		case 0xfe, 0x01:
			p, seq = nil, last+1 // the proof of an empty password is empty
		default:
			return wrongAnswer("a packet of type %#x", answer[0])
		}
	}
	return refused("the server wants a password")
}

// mysqlError is what an ERR packet says.
func mysqlError(p []byte) error {
	if len(p) < 3 {
		return wrongAnswer("an error that is cut short")
	}
	text := p[3:]
	if len(text) > 6 && text[0] == '#' {
		text = text[6:]
	}
	return refused("error %d: %s", binary.LittleEndian.Uint16(p[1:]), text)
}
