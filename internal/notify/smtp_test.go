package notify

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// smtpServer is a mail server that speaks as much of RFC 5321 as a client needs,
// and misbehaves as it is told.
type smtpServer struct {
	listener net.Listener
	starttls *tls.Config
	password string // of the user "lb"; empty: no AUTH

	mu      sync.Mutex
	answer  map[string]string // instead of the usual one, by command: "RCPT a@b" or "DATA"
	hang    string            // the command that is not answered
	got     []received
	open    int // connections
	most    int // of them at the same time
	greeted int // connections that came at all
}

// received is one mail that the server took.
type received struct {
	helo, from string
	to         []string
	user       string
	tls        bool
	header     mail.Header
	body       string
}

func newSMTPServer(t *testing.T) *smtpServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &smtpServer{listener: l, answer: make(map[string]string)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *smtpServer) addr() string { return s.listener.Addr().String() }

func (s *smtpServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *smtpServer) mails() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.got...)
}

func (s *smtpServer) serve(conn net.Conn) {
	s.set(func() { s.open++; s.greeted++; s.most = max(s.most, s.open) })
	// A client that has said QUIT may connect again before this end has noticed
	// that it is gone.
	over := sync.OnceFunc(func() { s.set(func() { s.open-- }) })
	defer func() {
		conn.Close()
		over()
	}()
	r := bufio.NewReader(conn)
	var m received
	// say answers a command, and reports whether it was answered as usual.
	say := func(command, usual string) bool {
		s.mu.Lock()
		own, hang := s.answer[command], s.hang == command
		s.mu.Unlock()
		if hang {
			io.Copy(io.Discard, r)
			return false
		}
		if own != "" {
			usual = own
		}
		fmt.Fprintf(conn, "%s\r\n", usual)
		return own == ""
	}
	say("GREETING", "220 mx.example.com ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		address := strings.TrimSuffix(strings.TrimPrefix(rest[strings.IndexByte(rest, ':')+1:], "<"), ">")
		if i := strings.IndexByte(address, '>'); i >= 0 {
			address = address[:i]
		}
		switch verb {
		case "EHLO":
			m.helo = rest
			text := "250-mx.example.com\r\n250-8BITMIME\r\n"
			if s.starttls != nil && !m.tls {
				text += "250-STARTTLS\r\n"
			}
			if s.password != "" {
				text += "250-AUTH PLAIN LOGIN\r\n"
			}
			say("EHLO", text+"250 SMTPUTF8")
		case "STARTTLS":
			if !say("STARTTLS", "220 go ahead") {
				continue
			}
			secured := tls.Server(conn, s.starttls)
			if err := secured.Handshake(); err != nil {
				return
			}
			conn, r, m = secured, bufio.NewReader(secured), received{tls: true}
		case "AUTH":
			kind, token, _ := strings.Cut(rest, " ")
			text, _ := base64.StdEncoding.DecodeString(token)
			if kind == "PLAIN" && string(text) == "\x00lb\x00"+s.password {
				m.user = "lb"
				say("AUTH", "235 welcome")
			} else {
				say("AUTH", "535 5.7.8 authentication failed")
			}
		case "MAIL":
			m.from = address
			say("MAIL", "250 ok")
		case "RCPT":
			if say("RCPT "+address, "250 ok") {
				m.to = append(m.to, address)
			}
		case "DATA":
			if !say("DATA", "354 go on") {
				continue
			}
			var text strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(line, "."))
			}
			msg, err := mail.ReadMessage(strings.NewReader(text.String()))
			if err == nil {
				body, _ := io.ReadAll(msg.Body)
				m.header, m.body = msg.Header, string(body)
			}
			s.set(func() {
				if s.answer["."] == "" && s.hang != "." {
					s.got = append(s.got, m)
				}
			})
			say(".", "250 queued")
			m.to = nil
		case "QUIT":
			over()
			say("QUIT", "221 bye")
			return
		default:
			say(verb, "250 ok")
		}
	}
}

// authority is a certificate for 127.0.0.1 and the pool that trusts it.
func authority(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

type wordDecoder = mime.WordDecoder

// decodeQP returns the body of a mail as its reader sees it.
func decodeQP(t *testing.T, m received) string {
	t.Helper()
	if m.header.Get("Content-Transfer-Encoding") != "quoted-printable" {
		t.Fatalf("encoding %q", m.header.Get("Content-Transfer-Encoding"))
	}
	text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(m.body)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
