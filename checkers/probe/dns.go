package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// maxAnswers bounds how many records of a reply are looked at.
const maxAnswers = 1000

// DNSSettings is a question and what is a good answer.
type DNSSettings struct {
	// Name is the domain name; a dot at its end is added.
	Name string
	// Type is the type of the records, RFC 1035 section 3.2.2 and later ones.
	Type uint16
	// RCodes are the good result codes; empty means NOERROR.
	RCodes []int
	// Answers must all be among the answers, in the form of zone files: "192.0.2.1",
	// "10 mail.example.com.", a text without its quotes. Records of types that are
	// not known here are written as \# LENGTH HEX (RFC 3597).
	Answers []string
	// TCP asks over TCP. Over UDP, a truncated reply is asked for again over TCP when
	// there are Answers to look for.
	TCP bool
}

// DNS sends one recursive question (RFC 1035) and judges the reply.
func DNS(ctx context.Context, to Target, s DNSSettings) Result {
	start := time.Now()
	query, err := s.query()
	if err != nil {
		return failed(start, Local, err.Error())
	}
	exchange := exchangeUDP
	if s.TCP {
		exchange = exchangeTCP
	}
	reply, what, err := exchange(ctx, to, query)
	if err == nil && reply.truncated && len(s.Answers) > 0 && !s.TCP {
		reply, what, err = exchangeTCP(ctx, to, query)
	}
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	return s.judge(start, reply)
}

// query returns the packet with the question.
func (s *DNSSettings) query() ([]byte, error) {
	name, err := dnsmessage.NewName(strings.TrimSuffix(s.Name, ".") + ".")
	if err != nil {
		return nil, fmt.Errorf("dns: name %q: %w", s.Name, err)
	}
	var id [2]byte
	rand.Read(id[:])
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: binary.BigEndian.Uint16(id[:]), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.Type(s.Type), Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

// exchangeUDP asks over UDP. What is not an answer to the question is not
// listened to: it may be a late one to an earlier question, or forged.
func exchangeUDP(ctx context.Context, to Target, query []byte) (reply dnsReply, what string, err error) {
	c, err := connectUDP(ctx, to)
	if err != nil {
		return reply, "open socket", err
	}
	defer c.Close()
	if _, err := c.Write(query); err != nil {
		return reply, "send question", err
	}
	for {
		packet, err := c.datagram()
		if err != nil {
			return reply, "question", err
		}
		if reply, err = parseDNS(packet, query); !errors.Is(err, errOtherAnswer) {
			return reply, "reply", err
		}
	}
}

// exchangeTCP asks over TCP (RFC 7766).
func exchangeTCP(ctx context.Context, to Target, query []byte) (reply dnsReply, what string, err error) {
	c, what, err := dial(ctx, to, nil, 1<<16+1)
	if err != nil {
		return reply, what, err
	}
	defer c.Close()
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return reply, "send question", err
	}
	size, err := c.full(2)
	if err != nil {
		return reply, "question", err
	}
	packet, err := c.full(int(binary.BigEndian.Uint16(size)))
	if err == nil {
		reply, err = parseDNS(packet, query)
	}
	return reply, "reply", err
}

// dnsReply is what a reply says.
type dnsReply struct {
	rcode     int
	truncated bool
	answers   []string
}

var errOtherAnswer = errors.New("an answer to another question")

// parseDNS reads a reply to query.
func parseDNS(packet, query []byte) (dnsReply, error) {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil {
		return dnsReply{}, errOtherAnswer
	}
	if !h.Response || h.ID != binary.BigEndian.Uint16(query) {
		return dnsReply{}, errOtherAnswer
	}
	r := dnsReply{rcode: int(h.RCode), truncated: h.Truncated}
	questions, err := p.AllQuestions()
	if err != nil {
		return r, fmt.Errorf("malformed: %w", err)
	}
	// A server that understood nothing may leave the question out.
	if len(questions) > 0 || h.RCode == dnsmessage.RCodeSuccess {
		var asked dnsmessage.Message
		if err := asked.Unpack(query); err != nil {
			return r, err
		}
		if len(questions) != 1 || questions[0].Type != asked.Questions[0].Type || questions[0].Class != asked.Questions[0].Class ||
			!strings.EqualFold(questions[0].Name.String(), asked.Questions[0].Name.String()) {
			return r, errOtherAnswer
		}
	}
	for len(r.answers) < maxAnswers {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) || r.truncated && err != nil {
			return r, nil
		}
		if err != nil {
			return r, fmt.Errorf("malformed: %w", err)
		}
		text, err := answerText(&p, h)
		if err != nil {
			return r, fmt.Errorf("malformed: %w", err)
		}
		r.answers = append(r.answers, text)
	}
	return r, nil
}

// answerText writes the data of a record as a zone file does.
func answerText(p *dnsmessage.Parser, h dnsmessage.ResourceHeader) (string, error) {
	switch h.Type {
	case dnsmessage.TypeA:
		r, err := p.AResource()
		return netip.AddrFrom4(r.A).String(), err
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		return netip.AddrFrom16(r.AAAA).String(), err
	case dnsmessage.TypeNS:
		r, err := p.NSResource()
		return r.NS.String(), err
	case dnsmessage.TypeCNAME:
		r, err := p.CNAMEResource()
		return r.CNAME.String(), err
	case dnsmessage.TypePTR:
		r, err := p.PTRResource()
		return r.PTR.String(), err
	case dnsmessage.TypeMX:
		r, err := p.MXResource()
		return fmt.Sprintf("%d %s", r.Pref, r.MX), err
	case dnsmessage.TypeTXT:
		r, err := p.TXTResource()
		return strings.Join(r.TXT, ""), err
	case dnsmessage.TypeSRV:
		r, err := p.SRVResource()
		return fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, r.Target), err
	case dnsmessage.TypeSOA:
		r, err := p.SOAResource()
		return fmt.Sprintf("%s %s %d %d %d %d %d", r.NS, r.MBox, r.Serial, r.Refresh, r.Retry, r.Expire, r.MinTTL), err
	}
	r, err := p.UnknownResource()
	return fmt.Sprintf(`\# %d %x`, len(r.Data), r.Data), err
}

// judge compares a reply with what is wanted.
func (s *DNSSettings) judge(start time.Time, r dnsReply) Result {
	good := s.RCodes
	if len(good) == 0 {
		good = []int{0}
	}
	if !slices.Contains(good, r.rcode) {
		names := make([]string, len(good))
		for i, code := range good {
			names[i] = rcodeText(code)
		}
		return failed(start, BadStatus, fmt.Sprintf("%s, want %s", rcodeText(r.rcode), strings.Join(names, " or ")))
	}
	for _, want := range s.Answers {
		if !slices.ContainsFunc(r.answers, func(got string) bool { return sameAnswer(got, want) }) {
			return failed(start, BodyMismatch, fmt.Sprintf("%q is not among the %d answers %s", want, len(r.answers), printable(strings.Join(r.answers, ", "), 120)))
		}
	}
	return passed(start, fmt.Sprintf("%s, %d answers", rcodeText(r.rcode), len(r.answers)))
}

// sameAnswer compares data word by word, without regard to the case and to a dot
// at the end of a name.
func sameAnswer(got, want string) bool {
	if a, err := netip.ParseAddr(want); err == nil {
		want = a.String()
	}
	return slices.EqualFunc(strings.Fields(got), strings.Fields(want), func(a, b string) bool {
		return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
	})
}

func rcodeText(code int) string {
	switch code {
	case 0:
		return "NOERROR"
	case 1:
		return "FORMERR"
	case 2:
		return "SERVFAIL"
	case 3:
		return "NXDOMAIN"
	case 4:
		return "NOTIMP"
	case 5:
		return "REFUSED"
	}
	return "RCODE" + strconv.Itoa(code)
}
