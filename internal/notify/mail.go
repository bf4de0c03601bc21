package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"director/config"
	"director/internal/control"
)

const (
	// mailPatience is how long a mail is tried. A server that defers the first
	// mail of a stranger (greylisting) takes it after five minutes or ten.
	mailPatience = 15 * time.Minute
	// mailBackoff is the time after the first failure; it doubles up to mailBackoffMax.
	mailBackoff    = 5 * time.Second
	mailBackoffMax = time.Minute
)

const (
	smtpPort  = 25
	smtpsPort = 465 // TLS from the first byte, RFC 8314 section 3.3
)

// mailer is the mail channel under one configuration.
type mailer struct {
	settings config.Mail
	host     string
	port     int
	routerID string
	from     string
	implicit bool           // TLS from the first byte
	roots    *x509.CertPool // nil: the system's
}

func newMailer(m *config.Mail, routerID string) *mailer {
	host, port := splitServer(m.Server, smtpPort)
	from := m.From
	if from == "" {
		from = "director@" + hostPart(routerID)
	}
	return &mailer{settings: *m, host: host, port: port, routerID: routerID, from: from,
		implicit: port == smtpsPort && m.TLS != config.TLSNone}
}

// splitServer splits host or host:port, which the configuration has checked. Without
// a port it is the given one.
func splitServer(s string, port int) (string, int) {
	host := s
	if h, p, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.Atoi(p); err == nil {
			host, port = h, n
		}
	}
	return strings.Trim(host, "[]"), port
}

// hostPart makes of any name one that can stand behind the @ of an address.
func hostPart(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, name)
	if name = strings.Trim(name, ".-"); name == "" {
		return "localhost"
	}
	return name
}

func (m *mailer) wants(h *held, e control.Event) bool {
	if i := h.instance(e); i != nil && !i.Mail {
		return false
	}
	if s := h.service(e); s != nil && !s.Mail {
		return false
	}
	return slices.Contains(m.settings.Events, e.Kind)
}

// lane puts all mail into one queue: the server sees one connection at a time.
func (m *mailer) lane(control.Event) string { return "" }

func (m *mailer) again(failures int, age time.Duration) (time.Duration, bool) {
	return backoff(failures, mailBackoff, mailBackoffMax), age < mailPatience
}

// backoff returns the wait after so many failures, at least one.
func backoff(failures int, first, most time.Duration) time.Duration {
	for range failures - 1 {
		if first *= 2; first >= most {
			return most
		}
	}
	return first
}

// deliver sends the mail of one note to those who have not got it yet.
func (m *mailer) deliver(ctx context.Context, nt *note) error {
	err := within(ctx, m.settings.Timeout, func(ctx context.Context) error { return m.exchange(ctx, nt) })
	if err != nil {
		err = fmt.Errorf("mail server %s: %w", m.settings.Server, err)
	}
	return err
}

// exchange is one connection to the server. It ends with ctx, at the latest.
func (m *mailer) exchange(ctx context.Context, nt *note) error {
	client, err := m.client(ctx)
	if err != nil {
		return err
	}
	// go-mail bounds each phase; ctx, which bounds the whole, ends first.
	dialog, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return err
	}
	if err := m.transfer(dialog, nt); err != nil {
		return err
	}
	_ = dialog.Quit() // the mail is accepted, whatever the server says to this
	return nil
}

// client makes a client that connects in time and closes its connection with ctx.
func (m *mailer) client(ctx context.Context) (*mail.Client, error) {
	s := m.settings
	security := &tls.Config{ServerName: m.host, RootCAs: m.roots, MinVersion: tls.VersionTLS12,
		// Opportunistic: encryption without knowing to whom is more than none
		// (RFC 7435). No password travels this way.
		InsecureSkipVerify: s.TLS != config.TLSRequired}
	policy := map[string]mail.TLSPolicy{
		config.TLSNone: mail.NoTLS, config.TLSOpportunistic: mail.TLSOpportunistic, config.TLSRequired: mail.TLSMandatory,
	}[s.TLS]
	if m.implicit {
		policy = mail.NoTLS // no STARTTLS on top
	}
	dial := func(_ context.Context, network, address string) (net.Conn, error) {
		dialer := net.Dialer{Timeout: s.ConnectTimeout.D()}
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		if !m.implicit {
			return conn, nil
		}
		secured := tls.Client(conn, security)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return secured, nil
	}
	options := []mail.Option{
		mail.WithPort(m.port), mail.WithTimeout(s.Timeout.D() + time.Second), mail.WithDialContextFunc(dial),
		mail.WithTLSPolicy(policy), mail.WithTLSConfig(security), mail.WithoutSMTPUTF8(),
	}
	if s.Helo != "" {
		options = append(options, mail.WithHELO(s.Helo))
	}
	if s.User != "" {
		password, err := current(s.Password, s.PasswordSource())
		if err != nil {
			return nil, err
		}
		options = append(options, mail.WithUsername(s.User), mail.WithPassword(string(password)),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return mail.NewClient(m.host, options...)
}

// transfer hands one mail over. A recipient whom the server refuses does not cost
// the others theirs: go-mail's own Send would give up for all of them.
func (m *mailer) transfer(dialog *smtp.Client, nt *note) error {
	text, err := m.compose(nt)
	if err != nil {
		return &finalError{err}
	}
	if err := dialog.Mail("<" + m.from + ">"); err != nil {
		return lasting(fmt.Errorf("sender %s: %w", m.from, err))
	}
	var refused, deferred []error
	var taken []string
	for _, to := range m.settings.To {
		if nt.done[to] {
			continue
		}
		err := dialog.Rcpt("<" + to + ">")
		if err == nil {
			taken = append(taken, to)
			continue
		}
		if !isAnswer(err) {
			return err
		}
		if err = fmt.Errorf("recipient %s: %w", to, err); isLasting(err) {
			refused = append(refused, err)
		} else {
			deferred = append(deferred, err)
		}
	}
	if len(taken) > 0 {
		if err := send(dialog, text); err != nil {
			return lasting(err)
		}
		if nt.done == nil {
			nt.done = make(map[string]bool)
		}
		for _, to := range taken {
			nt.done[to] = true
		}
	}
	switch {
	case len(deferred) > 0:
		return errors.Join(append(deferred, refused...)...)
	case len(refused) > 0:
		return &finalError{errors.Join(refused...)}
	}
	return nil
}

func send(dialog *smtp.Client, text *mail.Msg) error {
	w, err := dialog.Data()
	if err != nil {
		return err
	}
	if _, err := text.WriteTo(w); err != nil {
		return err
	}
	return w.Close() // has the server's answer
}

// isAnswer says that the server answered, if not with what was wanted.
func isAnswer(err error) bool {
	var answer *textproto.Error
	return errors.As(err, &answer)
}

// isLasting says that the server refused for good (RFC 5321 section 4.2.1).
func isLasting(err error) bool {
	var answer *textproto.Error
	return errors.As(err, &answer) && answer.Code >= 500 && answer.Code < 600
}

// lasting marks what the server refused for good.
func lasting(err error) error {
	if isLasting(err) {
		return &finalError{err}
	}
	return err
}
