package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxHandshake bounds what is read of a server that only has to show its
// certificate, in bytes.
const maxHandshake = 256 << 10

// maxPEM bounds a file with certificates or a key in bytes.
const maxPEM = 16 << 20

// TLSSettings says how TLS is spoken, and what certificate is good.
type TLSSettings struct {
	// Name is asked for (SNI) and must be in the certificate; empty means the
	// target's address, which is not asked for.
	Name string
	// Insecure accepts any certificate.
	Insecure bool
	// MinVersion is the lowest version that is good, such as tls.VersionTLS12; 0 means
	// that. Below it also what servers of that time need is offered: key exchange by
	// RSA, CBC, 3DES and RC4.
	MinVersion uint16
	// Files are the files with the authorities and with our own certificate; nil
	// means the system's authorities, and no certificate.
	Files *TLSFiles
	// WarnDays is how many days before its end a certificate is warned of; 0 means
	// never.
	WarnDays int
	// Protocols are offered by ALPN.
	Protocols []string
}

// TLS makes a TLS handshake with the target (RFC 8446, RFC 5246).
func TLS(ctx context.Context, to Target, s TLSSettings) Result {
	start := time.Now()
	c, what, err := dial(ctx, to, &s, maxHandshake)
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	defer c.Close()
	return c.passed(start, "handshake done")
}

// config returns what package tls wants to know.
func (s *TLSSettings) config(to Target) (*tls.Config, error) {
	c := &tls.Config{ServerName: s.Name, InsecureSkipVerify: s.Insecure, NextProtos: s.Protocols, MinVersion: cmp.Or(s.MinVersion, tls.VersionTLS12)}
	if s.old() {
		for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
			c.CipherSuites = append(c.CipherSuites, suite.ID)
		}
	}
	if c.ServerName == "" {
		c.ServerName = to.Addr.Addr().WithZone("").String()
	}
	if s.Files != nil {
		known, err := s.Files.load()
		if err != nil {
			return nil, localError(err.Error())
		}
		c.RootCAs = known.roots
		if known.own != nil {
			c.Certificates = []tls.Certificate{*known.own}
		}
	}
	return c, nil
}

// old says that versions before 1.2 are good.
func (s *TLSSettings) old() bool { return s.MinVersion != 0 && s.MinVersion < tls.VersionTLS12 }

// hint adds to the error of a handshake what may help, if the server speaks TLS and no
// version, or no cipher, that is good here.
func (s *TLSSettings) hint(err error) error {
	text := err.Error()
	least := cmp.Or(s.MinVersion, tls.VersionTLS12)
	switch {
	case least == tls.VersionTLS10:
	case strings.Contains(text, "protocol version not supported"), // the server's alert
		strings.Contains(text, "server selected unsupported protocol version"):
		return fmt.Errorf("%w (%s or later is asked for: a lower tls_min_version takes older servers)", err, tls.VersionName(least))
	case !s.old() && strings.Contains(text, "remote error: tls: handshake failure"):
		return fmt.Errorf("%w (perhaps an old server: with tls_min_version = \"1.0\" key exchange by RSA and old ciphers are offered)", err)
	}
	return err
}

// expiry is when the first certificate of a server's chain ends.
type expiry struct {
	at      time.Time // zero: there is no certificate
	warning string    // that this is soon; empty: it is not
}

// tell adds what is known of the server's certificates to a result.
func (e expiry) tell(r *Result) {
	r.Expires = e.at
	if r.Warning == "" {
		r.Warning = e.warning
	}
}

// expiry looks for the certificate of a chain that ends first. Those that are not
// sent, such as the authority's own, are not looked at.
func (s *TLSSettings) expiry(chain []*x509.Certificate, now time.Time) (e expiry) {
	first := firstToEnd(chain)
	if first == nil {
		return e
	}
	e.at = first.NotAfter
	const day = 24 * time.Hour
	left := e.at.Sub(now)
	if s.WarnDays == 0 || left >= time.Duration(s.WarnDays)*day {
		return e
	}
	what := "the certificate"
	if first != chain[0] {
		what = fmt.Sprintf("the intermediate certificate %q", printable(first.Subject.CommonName, 64))
	}
	if left < 0 {
		e.warning = fmt.Sprintf("%s has ended on %s", what, e.at.UTC().Format(time.DateOnly))
	} else {
		e.warning = fmt.Sprintf("%s ends on %s, in %d days", what, e.at.UTC().Format(time.DateOnly), int(left/day))
	}
	return e
}

// firstToEnd returns the certificate of a chain that ends first, nil without any.
func firstToEnd(chain []*x509.Certificate) *x509.Certificate {
	if len(chain) == 0 {
		return nil
	}
	return slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
}

// TLSFiles are files with certificates. They are read when they are first needed
// and again when they have changed, by any number of probes.
type TLSFiles struct {
	// CA holds the authorities that are trusted; empty means the system's.
	CA string
	// Cert and Key hold our own certificate with its chain; empty means none.
	Cert, Key string

	mu     sync.Mutex
	stamps [3]stamp
	known  *tlsKnown
}

// stamp tells one state of a file from another.
type stamp struct {
	changed time.Time
	size    int64
}

type tlsKnown struct {
	roots *x509.CertPool
	own   *tls.Certificate
}

// load returns what the files hold.
func (f *TLSFiles) load() (*tlsKnown, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var stamps [3]stamp
	for i, name := range [...]string{f.CA, f.Cert, f.Key} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		// A FIFO would be waited for by all probes with these files.
		if !info.Mode().IsRegular() || info.Size() > maxPEM {
			return nil, fmt.Errorf("%s is no file with certificates: allowed is a regular file of at most %d MiB", name, maxPEM>>20)
		}
		stamps[i] = stamp{info.ModTime(), info.Size()}
	}
	if f.known != nil && stamps == f.stamps {
		return f.known, nil
	}
	known, err := f.read()
	if err != nil {
		return nil, err
	}
	f.known, f.stamps = known, stamps
	return known, nil
}

// Check says why the files cannot be used, nil when they can.
func (f *TLSFiles) Check() error {
	_, err := f.load()
	return err
}

func (f *TLSFiles) read() (*tlsKnown, error) {
	known := &tlsKnown{}
	if f.CA != "" {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, err
		}
		known.roots = x509.NewCertPool()
		if !known.roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", f.CA)
		}
	}
	if f.Cert != "" {
		own, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Cert, err)
		}
		known.own = &own
	}
	return known, nil
}

// tlsProblem words the errors of a handshake for operators.
func tlsProblem(err error) (Reason, string, bool) {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return BadCertificate, "the certificate is signed by an unknown authority", true
	case errors.As(err, &host):
		return BadCertificate, printable(host.Error(), 200), true
	case errors.As(err, &invalid):
		return BadCertificate, printable(invalid.Error(), 200), true
	case errors.As(err, &verification):
		return BadCertificate, printable(verification.Error(), 200), true
	case errors.As(err, &header):
		return BadAnswer, "the server does not speak TLS here", true
	}
	return 0, "", false
}
