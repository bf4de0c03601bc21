package probe

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	maxSMTP      = 64 << 10 // bytes of all replies
	maxSMTPLine  = 2048     // RFC 5321 section 4.5.3.1.5 has 512
	maxSMTPLines = 100      // of one reply
)

// SMTPSettings says how the server is spoken to.
type SMTPSettings struct {
	// Helo is the name that is given; empty means our address as a literal.
	Helo string
	// TLS encrypts the connection from its start, or, with StartTLS, by that
	// command (RFC 3207), when it is not nil.
	TLS      *TLSSettings
	StartTLS bool
}

// SMTP greets the server (RFC 5321) and takes its leave.
func SMTP(ctx context.Context, to Target, s SMTPSettings) Result {
	start := time.Now()
	first := s.TLS
	if s.StartTLS {
		first = nil
	}
	c, what, err := dial(ctx, to, first, maxSMTP+maxHandshake)
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	defer c.Close()
	banner, err := c.smtp("", 220)
	if err != nil {
		return c.failed(ctx, start, "banner", err)
	}
	helo := s.Helo
	if helo == "" {
		helo = addressLiteral(c.raw.source())
	}
	if err := c.greet(helo, s.StartTLS); err != nil {
		return c.failed(ctx, start, "EHLO", err)
	}
	if s.StartTLS {
		if _, err := c.smtp("STARTTLS", 220); err != nil {
			return c.failed(ctx, start, "STARTTLS", err)
		}
		if err := c.encrypt(to, s.TLS); err != nil {
			return c.failed(ctx, start, "TLS handshake", err)
		}
		if err := c.greet(helo, false); err != nil {
			return c.failed(ctx, start, "EHLO after STARTTLS", err)
		}
	}
	if _, err := c.smtp("QUIT", 221); err != nil {
		return c.failed(ctx, start, "QUIT", err)
	}
	return c.passed(start, "banner "+strconv.Quote(printable(banner[0], 80)))
}

// greet says EHLO, or HELO to a server that does not know it. extended says that
// the server must offer STARTTLS.
func (s *stream) greet(helo string, extended bool) error {
	lines, err := s.smtp("EHLO "+helo, 250)
	if code, is := err.(smtpError); is && code.code >= 500 && !extended {
		_, err = s.smtp("HELO "+helo, 250)
		return err
	}
	if err != nil || !extended {
		return err
	}
	for _, line := range lines[1:] {
		if word, _, _ := strings.Cut(line, " "); strings.EqualFold(word, "STARTTLS") {
			return nil
		}
	}
	return wrongAnswer("the server does not offer STARTTLS")
}

// smtp sends a command, unless that is empty, and reads the reply, which must have
// the code. It returns the lines without their codes, one at least.
func (s *stream) smtp(command string, code int) ([]string, error) {
	if command != "" {
		if _, err := s.Write([]byte(command + "\r\n")); err != nil {
			return nil, err
		}
	}
	var lines []string
	for {
		line, err := s.line(maxSMTPLine)
		if err != nil {
			return nil, err
		}
		got, text, last, err := parseSMTP(line)
		if err != nil {
			return nil, err
		}
		if lines = append(lines, text); len(lines) > maxSMTPLines {
			return nil, wrongAnswer("a reply of more than %d lines", maxSMTPLines)
		}
		if !last {
			continue
		}
		if got != code {
			return nil, smtpError{got, code, lines[0]}
		}
		return lines, nil
	}
}

// parseSMTP takes a line of a reply apart.
func parseSMTP(line string) (code int, text string, last bool, err error) {
	if len(line) >= 3 {
		code, err = strconv.Atoi(line[:3])
	}
	if len(line) < 3 || err != nil || code < 200 || code > 599 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, "", false, wrongAnswer("%q is no SMTP reply", printable(line, 80))
	}
	if len(line) > 3 {
		return code, line[4:], line[3] == ' ', nil
	}
	return code, "", true, nil
}

// smtpError is a reply with another code than wanted.
type smtpError struct {
	code, want int
	text       string
}

func (e smtpError) Error() string {
	return fmt.Sprintf("reply %d %s, want %d", e.code, printable(e.text, 100), e.want)
}

func (smtpError) isStatus() {}

// addressLiteral writes an address as RFC 5321 section 4.1.3 wants it.
func addressLiteral(a netip.Addr) string {
	a = a.Unmap()
	switch {
	case !a.IsValid():
		return "localhost"
	case a.Is6():
		return "[IPv6:" + a.WithZone("").String() + "]"
	}
	return "[" + a.String() + "]"
}
