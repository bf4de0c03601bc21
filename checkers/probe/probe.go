// Package probe asks one real server one question and says what came back.
//
// There is one file a kind of probe. Each probe is one function of a context, a
// target and its settings. It keeps nothing between two calls, takes its time
// limit from the context's deadline alone, starts no goroutine that outlives it,
// and may be called from any number of goroutines.
package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"director/checkers"
)

// Target is what a probe is sent to.
type Target struct {
	// Addr is the address and port. Kinds without ports ignore the port. A
	// link-local IPv6 address carries its interface as zone.
	Addr netip.AddrPort
	// Device is the interface that the question leaves by and the answer comes in
	// by; empty means any.
	Device string
	// Source is the address that the question comes from; invalid means any.
	Source netip.Addr
	// Mark is the firewall mark (SO_MARK) of the packets; 0 means none.
	Mark uint32
	// ConnectTimeout bounds how long a connection may take to come about, within
	// the context's deadline; 0 means no other limit than that.
	ConnectTimeout time.Duration
}

// Result is the outcome of one probe.
type Result struct {
	// OK says that the server answered as it should.
	OK bool
	// Reason says in one word why not; Passed when OK.
	Reason Reason
	// Detail says the same for a person, with the particulars: "status 503
	// Service Unavailable, want 200-299".
	Detail string
	// Duration is how long the question took.
	Duration time.Duration
	// Warning tells of what is well now and will not be for long, such as a
	// certificate that ends soon; empty for none.
	Warning string
	// Expires is when the first of the certificates ends that the server has shown;
	// zero: it has shown none.
	Expires time.Time
	// Advice is what the server says about its own weight. Of an agent's reply it
	// may be all that there is: see its Silent.
	Advice checkers.Advice
}

// Conclusive says whether the result tells something about the server. A probe
// that failed because this machine has no free file descriptor does not: held
// against the servers, it would empty every pool at once.
func (r Result) Conclusive() bool {
	return r.Reason != Local && r.Reason != Withheld && r.Reason != Canceled
}

// String tells the outcome to a person.
func (r Result) String() string {
	if r.OK {
		return r.Detail
	}
	return strings.ReplaceAll(r.Reason.String(), "_", " ") + ": " + r.Detail
}

// Reason is why a probe failed.
type Reason uint8

// The reasons.
const (
	Passed         Reason = iota // it did not fail
	Timeout                      // no (complete) answer before the deadline
	Refused                      // the port is closed
	Reset                        // the server broke the connection off
	Unreachable                  // no way to the address: no route, or nobody has it
	BadStatus                    // a status that was not asked for
	BodyMismatch                 // the body lacks what it must contain
	BadAnswer                    // an answer that breaks the protocol
	BadCertificate               // a certificate that cannot be trusted
	Drained                      // the server's agent took it out
	Withheld                     // nobody says anything about the server, yet or on purpose
	Local                        // this machine could not ask: says nothing about the server
	Canceled                     // the caller gave up: says nothing about the server
	reasonCount
)

var reasonNames = [...]string{
	Passed: "passed", Timeout: "timeout", Refused: "refused", Reset: "reset", Unreachable: "unreachable",
	BadStatus: "bad_status", BodyMismatch: "body_mismatch", BadAnswer: "bad_answer", BadCertificate: "bad_certificate", Drained: "taken_out", Withheld: "nothing_said", Local: "local_failure",
	Canceled: "canceled",
}

// String returns the reason's stable name, fit for a metric label.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// passed is the result of a probe that began at start and succeeded.
func passed(start time.Time, detail string) Result {
	return Result{OK: true, Detail: detail, Duration: time.Since(start)}
}

// failed is the result of a probe that began at start and got a wrong answer.
func failed(start time.Time, why Reason, detail string) Result {
	return Result{Reason: why, Detail: detail, Duration: time.Since(start)}
}

// broken is the result of a probe that began at start and was ended by err
// while it was doing what.
func broken(ctx context.Context, start time.Time, what string, err error) Result {
	r := Result{Reason: classify(ctx, err), Duration: time.Since(start)}
	var unfit *tls.CertificateVerificationError
	if errors.As(err, &unfit) {
		if c := firstToEnd(unfit.UnverifiedCertificates); c != nil {
			r.Expires = c.NotAfter
		}
	}
	if r.Reason == BadAnswer {
		if why, text, is := tlsProblem(err); is {
			r.Reason, r.Detail = why, what+": "+text
			return r
		}
	}
	switch r.Reason {
	case Timeout:
		r.Detail = fmt.Sprintf("%s: no answer after %s", what, r.Duration.Round(time.Millisecond))
	case Canceled:
		r.Detail = what + ": canceled"
	default:
		var errno unix.Errno
		if errors.As(err, &errno) {
			err = errno // the rest of the text names a socket that nobody knows
		}
		r.Detail = what + ": " + printable(err.Error(), 160)
	}
	return r
}

// printable makes a text from the network fit for logs and terminals: at most
// limit bytes, no control characters.
func printable(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
}

// classify finds the reason behind err. The context is asked first: ending it
// breaks the socket's calls with errors of their own.
func classify(ctx context.Context, err error) Reason {
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled) {
		return Canceled
	}
	if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return Timeout
	}
	if errors.As(err, new(localError)) {
		return Local
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return BadAnswer
	}
	switch errno {
	case unix.ECONNREFUSED:
		return Refused
	case unix.ECONNRESET, unix.EPIPE, unix.ECONNABORTED:
		return Reset
	case unix.ETIMEDOUT:
		return Timeout
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN, unix.ENONET, unix.ENOPROTOOPT, unix.EPROTO:
		return Unreachable // the last two: ICMP protocol unreachable
	default:
		// EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL, EPERM, EACCES, EINVAL ...:
		// the kernel refused us, not the server.
		return Local
	}
}
