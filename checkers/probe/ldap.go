package probe

import (
	"context"
	"fmt"
	"time"
)

const (
	maxLDAP        = 256 << 10 // bytes of all messages
	maxLDAPMessage = 64 << 10
)

// The tags of LDAP's messages (RFC 4511).
const (
	ldapBindRequest   = 0x60
	ldapBindResponse  = 0x61
	ldapUnbindRequest = 0x42
	ldapSearch        = 0x63
	ldapEntry         = 0x64
	ldapSearchDone    = 0x65
	ldapExtended      = 0x78
)

// LDAPSettings says what is asked.
type LDAPSettings struct {
	// Name and Password are bound with; both empty means anonymously.
	Name, Password string
	// RootDSE asks for the root entry as well, after the bind.
	RootDSE bool
	// TLS encrypts the connection when it is not nil.
	TLS *TLSSettings
}

// LDAP makes a simple bind (RFC 4511 section 4.2), and a search when wanted.
func LDAP(ctx context.Context, to Target, s LDAPSettings) Result {
	start := time.Now()
	c, what, err := dial(ctx, to, s.TLS, maxLDAP+maxHandshake)
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	defer c.Close()
	bind := berJoin(berInt(0x02, 3), ber(0x04, []byte(s.Name)), ber(0x80, []byte(s.Password)))
	if _, err := c.Write(ldapMessage(1, ldapBindRequest, bind)); err != nil {
		return c.failed(ctx, start, "bind", err)
	}
	if err := c.ldapResult(1, ldapBindResponse); err != nil {
		return c.failed(ctx, start, "bind", err)
	}
	detail := "bound"
	if s.RootDSE {
		search := berJoin(
			ber(0x04, nil), berInt(0x0a, 0), berInt(0x0a, 0), berInt(0x02, 1), berInt(0x02, 0), ber(0x01, []byte{0}),
			ber(0x87, []byte("objectClass")), // present
			ber(0x30, ber(0x04, []byte("1.1"))),
		)
		if _, err := c.Write(ldapMessage(2, ldapSearch, search)); err != nil {
			return c.failed(ctx, start, "search", err)
		}
		if err := c.ldapResult(2, ldapSearchDone); err != nil {
			return c.failed(ctx, start, "search of the root entry", err)
		}
		detail = "bound, root entry found"
	}
	c.Write(ldapMessage(3, ldapUnbindRequest, nil))
	return c.passed(start, detail)
}

// ldapMessage makes an LDAPMessage.
func ldapMessage(id int, tag byte, body []byte) []byte {
	return ber(0x30, berJoin(berInt(0x02, id), ber(tag, body)))
}

// ldapResult reads messages until the result of our request. A search must have
// found an entry.
func (s *stream) ldapResult(id int, tag byte) error {
	found := tag != ldapSearchDone
	for {
		body, err := s.berElement(0x30)
		if err != nil {
			return err
		}
		got, op, result, err := parseLDAP(body)
		switch {
		case err != nil:
			return err
		case op == ldapExtended && got == 0: // a notice of disconnection
			return ldapCode(result)
		case got != id:
			return wrongAnswer("a message with the number %d", got)
		case op == ldapEntry:
			found = true
		case op != tag:
			return wrongAnswer("a message of type %#x", op)
		case !found:
			return wrongAnswer("no entry")
		default:
			return ldapCode(result)
		}
	}
}

// berElement reads an element with a tag from the network and returns its content.
func (s *stream) berElement(tag byte) ([]byte, error) {
	b, err := s.in.ReadByte()
	if err != nil {
		return nil, err
	}
	if b != tag {
		return nil, wrongAnswer("a message that begins with %#x: this is no LDAP server", b)
	}
	size, err := s.in.ReadByte()
	if err != nil {
		return nil, err
	}
	n := int(size)
	if size&0x80 != 0 {
		long, err := s.full(int(size & 0x7f))
		if err != nil {
			return nil, err
		}
		if n = berLength(long); n < 0 {
			return nil, wrongAnswer("a message without a definite length, or too long")
		}
	}
	if n > maxLDAPMessage {
		return nil, wrongAnswer("a message of %d bytes is too long", n)
	}
	return s.full(n)
}

// parseLDAP takes an LDAPMessage apart.
func parseLDAP(body []byte) (id int, op byte, content []byte, err error) {
	tag, number, rest, ok := berNext(body)
	if !ok || tag != 0x02 || len(number) == 0 || len(number) > 4 {
		return 0, 0, nil, wrongAnswer("a malformed LDAP message")
	}
	for _, b := range number {
		id = id<<8 | int(b)
	}
	op, content, _, ok = berNext(rest)
	if !ok {
		return 0, 0, nil, wrongAnswer("a malformed LDAP message")
	}
	return id, op, content, nil
}

// ldapCode judges an LDAPResult.
func ldapCode(content []byte) error {
	tag, code, rest, ok := berNext(content)
	if !ok || tag != 0x0a || len(code) != 1 {
		return wrongAnswer("a malformed LDAP result")
	}
	if code[0] == 0 {
		return nil
	}
	_, _, rest, _ = berNext(rest) // the DN
	_, text, _, _ := berNext(rest)
	return refused("result %d %s: %s", code[0], ldapCodeName(code[0]), text)
}

// ldapCodeName names the results that a check meets (RFC 4511 section 4.1.9).
func ldapCodeName(code byte) string {
	switch code {
	case 1:
		return "operationsError"
	case 2:
		return "protocolError"
	case 8:
		return "strongerAuthRequired"
	case 13:
		return "confidentialityRequired"
	case 32:
		return "noSuchObject"
	case 34:
		return "invalidDNSyntax"
	case 48:
		return "inappropriateAuthentication"
	case 49:
		return "invalidCredentials"
	case 50:
		return "insufficientAccessRights"
	case 51:
		return "busy"
	case 52:
		return "unavailable"
	case 53:
		return "unwillingToPerform"
	}
	return fmt.Sprintf("(%d)", code)
}

// ber makes an element (X.690, the definite form).
func ber(tag byte, content []byte) []byte {
	e := []byte{tag}
	switch n := len(content); {
	case n < 0x80:
		e = append(e, byte(n))
	case n < 0x100:
		e = append(e, 0x81, byte(n))
	default:
		e = append(e, 0x82, byte(n>>8), byte(n))
	}
	return append(e, content...)
}

// berInt makes an element with a small number, 0 to 127.
func berInt(tag byte, n int) []byte { return ber(tag, []byte{byte(n)}) }

func berJoin(elements ...[]byte) []byte {
	var all []byte
	for _, e := range elements {
		all = append(all, e...)
	}
	return all
}

// berNext splits the first element off.
func berNext(b []byte) (tag byte, content, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	tag, n, b := b[0], int(b[1]), b[2:]
	if n&0x80 != 0 {
		size := n & 0x7f
		if size > len(b) {
			return 0, nil, nil, false
		}
		n, b = berLength(b[:size]), b[size:]
	}
	if n < 0 || n > len(b) {
		return 0, nil, nil, false
	}
	return tag, b[:n], b[n:], true
}

// berLength reads the bytes of a long length; -1: not one that we take.
func berLength(b []byte) int {
	if len(b) == 0 || len(b) > 4 {
		return -1
	}
	n := 0
	for _, c := range b {
		n = n<<8 | int(c)
	}
	if n > 1<<24 {
		return -1
	}
	return n
}
