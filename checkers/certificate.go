package checkers

import (
	"fmt"
	"time"
)

// A pool warns of the certificate that ends first of those that the checks of its
// servers have seen and are to warn of: once when there is one, again when another
// one comes first, and once when there is none any more. The servers of a pool
// mostly share one certificate, which is then told of once.

// EndsSoon says that a check has seen a certificate that it warns of.
func (c *Check) EndsSoon(now time.Time) bool {
	return !c.Expires.IsZero() && c.Config.WarnBefore > 0 && c.Expires.Sub(now) < c.Config.WarnBefore
}

// shown returns when the certificates end that one of several checks has seen, by its
// label.
func shown(checks []*Check, label string) time.Time {
	for _, c := range checks {
		if c != nil && c.Config.Label == label {
			return c.Expires
		}
	}
	return time.Time{}
}

// see notes the certificates of a result and says whether that may change what
// the pool warns of. A result without any leaves what is known.
func (c *Check) see(now time.Time, r Result) bool {
	before, warned := c.Expires, c.warned
	if !r.Expires.IsZero() {
		c.Expires = r.Expires
	}
	c.warned = c.EndsSoon(now)
	return c.warned != warned || c.warned && !c.Expires.Equal(before)
}

// Expiring returns when the certificate ends that the pool warns of, zero: it warns of
// none, and since when it does or last did.
func (p *Pool) Expiring() (ends, since time.Time) { return p.expiring, p.expiringSince }

// certify appends the change when the pool has to warn of another certificate.
func (p *Pool) certify(now time.Time, changes []Change) []Change {
	var server *Server
	var first *Check
	warning := 0
	for _, s := range p.All() {
		for _, c := range s.Checks {
			if !c.EndsSoon(now) {
				continue
			}
			warning++
			if first == nil || c.Expires.Before(first.Expires) {
				server, first = s, c
			}
		}
	}
	switch {
	case first == nil && p.expiring.IsZero(), first != nil && p.expiring.Equal(first.Expires):
		return changes
	case first == nil:
		p.expiring = time.Time{}
		return append(changes, Change{From: p.state, To: p.state, Reason: CertificateGood, Detail: "no check warns of a certificate any more"})
	}
	p.expiring, p.expiringSince = first.Expires, now
	tense := "ends"
	if first.Expires.Before(now) {
		tense = "has ended"
	}
	detail := fmt.Sprintf("a certificate of %s %s on %s (%s)", server.Config.Name, tense, first.Expires.UTC().Format("2006-01-02 15:04 UTC"), first.Config.Label)
	switch warning {
	case 1:
	case 2:
		detail += "; 1 more check warns as well"
	default:
		detail += fmt.Sprintf("; %d more checks warn as well", warning-1)
	}
	return append(changes, Change{From: p.state, To: p.state, Reason: CertificateEnds, Detail: detail})
}
