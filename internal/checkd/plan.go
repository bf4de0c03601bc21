package checkd

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strings"

	"director/checkers"
	"director/checkers/probe"
	"director/config"
	"director/internal/observe"
)

// Plan is a check made ready to be carried out: what need not be done again for
// each probe. It is shared by all servers with the same check.
type Plan struct {
	check *config.Check
	ask   func(context.Context, probe.Target, Query) probe.Result
	err   error
	// A simple check can be made by a probe.Poller: one connection, and with http
	// one request on it.
	simple  bool
	request *probe.HTTPSettings
}

// NewPlan makes a check ready. A check that cannot be carried out fails to say
// anything, each time.
func NewPlan(c *config.Check) *Plan {
	p := &Plan{check: c}
	p.ask, p.err = p.prepare()
	return p
}

// Ask makes the probe. It is the Options.Probe of a real daemon.
func Ask(ctx context.Context, q Query, p *Plan) probe.Result {
	if p.err != nil {
		return probe.Result{Reason: probe.Local, Detail: p.err.Error()}
	}
	to := p.target(q)
	if q.Through.valid() {
		to.Mark = q.Mark
		if err := to.GoThrough(q.Through.server); err != nil {
			return probe.Result{Reason: probe.Local, Detail: err.Error()}
		}
	}
	return p.ask(ctx, to, q)
}

// target is what the probe is sent to.
func (p *Plan) target(q Query) probe.Target {
	c := p.check
	to := probe.Target{Addr: q.Target, Source: c.BindAddress, Device: c.BindInterface, Mark: c.Mark}
	if c.ConnectTimeout < c.Timeout {
		to.ConnectTimeout = c.ConnectTimeout.D()
	}
	return to
}

// exchange returns the probe as one for a probe.Poller; nil when it is none of those.
func (p *Plan) exchange(q Query) *probe.Exchange {
	if !p.simple || p.err != nil || q.Through.valid() {
		return nil
	}
	x := &probe.Exchange{To: p.target(q), Timeout: p.check.Timeout.D()}
	if p.request != nil {
		asked := *p.request
		asked.Host = cmp.Or(asked.Host, q.Host)
		x.HTTP = &asked
	}
	return x
}

// prepare returns the function that asks.
func (p *Plan) prepare() (func(context.Context, probe.Target, Query) probe.Result, error) {
	c := p.check
	secure := p.secure()
	switch c.Kind {
	case config.CheckPing:
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.Ping(ctx, to) }, nil
	case config.CheckTCP:
		return p.tcp(secure)
	case config.CheckUDP:
		expect, err := match(c)
		s := probe.UDPSettings{Send: sent(c.Send), RequireReply: c.RequireReply, Expect: expect, MinLength: c.MinReplyLength, MaxLength: c.MaxReplyLength}
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.UDP(ctx, to, s) }, err
	case config.CheckHTTP, config.CheckHTTPS:
		return p.http(secure)
	case config.CheckTLS:
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.TLS(ctx, to, *secure) }, nil
	case config.CheckDNS:
		s := probe.DNSSettings{Name: c.QueryName, Answers: c.Answers, TCP: c.Transport == "tcp"}
		s.Type, _ = config.RRType(c.QueryType)
		for _, name := range c.RCodes {
			code, _ := config.RCode(name)
			s.RCodes = append(s.RCodes, code)
		}
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.DNS(ctx, to, s) }, nil
	case config.CheckSMTP:
		s := probe.SMTPSettings{Helo: c.HeloName, StartTLS: c.StartTLS, TLS: secure}
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.SMTP(ctx, to, s) }, nil
	case config.CheckGRPC:
		s := probe.GRPCSettings{Service: c.GRPCService, TLS: secure}
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.GRPC(ctx, to, s) }, nil
	case config.CheckMySQL:
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result {
			return probe.MySQL(ctx, to, c.Username)
		}, nil
	case config.CheckPostgres:
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result {
			return probe.Postgres(ctx, to, c.Username, c.Database)
		}, nil
	case config.CheckRedis:
		s := probe.RedisSettings{User: c.Username, Password: string(c.Password), TLS: secure}
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.Redis(ctx, to, s) }, nil
	case config.CheckLDAP:
		s := probe.LDAPSettings{Name: c.Username, Password: string(c.Password), RootDSE: c.RootDSE, TLS: secure}
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.LDAP(ctx, to, s) }, nil
	case config.CheckAgent:
		s := probe.AgentSettings{Send: sent(c.Send), Required: c.AgentRequired, TLS: secure}
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.Agent(ctx, to, s) }, nil
	case config.CheckBFD:
		return func(context.Context, probe.Target, Query) probe.Result { return judgeSession(nil) }, nil
	case config.CheckFile:
		return func(context.Context, probe.Target, Query) probe.Result { return judgeFile(c, observe.Read(c.File)) }, nil
	}
	return nil, fmt.Errorf("there is no check of type %q", c.Kind)
}

// tlsVersions are the values of tls_min_version.
var tlsVersions = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// secure returns how TLS is spoken; nil: not at all.
func (p *Plan) secure() *probe.TLSSettings {
	c := p.check
	if !c.Encrypted() {
		return nil
	}
	s := &probe.TLSSettings{Name: strings.TrimSuffix(c.ServerName, "."), Insecure: !c.Verify, WarnDays: c.ExpiryDays, MinVersion: tlsVersions[c.TLSMin]}
	if c.CAFile != "" || c.ClientCert != "" {
		s.Files = &probe.TLSFiles{CA: c.CAFile, Cert: c.ClientCert, Key: c.ClientKey}
	}
	return s
}

func (p *Plan) tcp(secure *probe.TLSSettings) (func(context.Context, probe.Target, Query) probe.Result, error) {
	c := p.check
	expect, err := match(c)
	if secure == nil && c.Send == "" && c.Expect == "" && c.ExpectRegexp == "" {
		p.simple = true
		return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.TCP(ctx, to) }, err
	}
	s := probe.TalkSettings{Send: sent(c.Send), Expect: expect, TLS: secure}
	return func(ctx context.Context, to probe.Target, _ Query) probe.Result { return probe.Talk(ctx, to, s) }, err
}

func (p *Plan) http(secure *probe.TLSSettings) (func(context.Context, probe.Target, Query) probe.Result, error) {
	c := p.check
	urls := c.URLs
	if len(urls) == 0 {
		urls = []config.CheckURL{{Path: c.Path, Host: c.Host, Status: c.Status, Body: c.Body,
			BodyRegexp: c.BodyRegexp, BodyNot: c.BodyNot, BodyDigest: c.BodyDigest}}
	}
	list := make([]probe.HTTPSettings, len(urls))
	for i, u := range urls {
		s := probe.HTTPSettings{Method: c.Method, Path: u.Path, Host: u.Host, Header: c.Headers, Version: c.HTTPVersion,
			MaxBody: c.MaxBody, Body: u.Body}
		if c.RequestBody != "" {
			s.Content = []byte(c.RequestBody)
		}
		for _, r := range u.Status {
			s.Status = append(s.Status, probe.StatusRange{From: r.From, To: r.To})
		}
		var err1, err2 error
		s.Regexp, err1 = pattern(u.BodyRegexp)
		s.Not, err2 = pattern(u.BodyNot)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%v%v", err1, err2)
		}
		_, s.Digest, _ = config.ParseDigest(u.BodyDigest)
		if secure != nil {
			with := *secure
			if with.Name == "" {
				with.Name = hostName(u.Host)
			}
			s.TLS = &with
		}
		list[i] = s
	}
	if len(list) == 1 && secure == nil && list[0].Version != "2" {
		p.simple, p.request = true, &list[0]
	}
	return func(ctx context.Context, to probe.Target, q Query) probe.Result {
		if q.Host == "" {
			return probe.HTTPAll(ctx, to, list)
		}
		hosted := make([]probe.HTTPSettings, len(list))
		for i, s := range list {
			if s.Host == "" {
				s.Host = q.Host
			}
			hosted[i] = s
		}
		return probe.HTTPAll(ctx, to, hosted)
	}, nil
}

// hostName returns the name in a Host header, without the port. An address is no
// name.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}

func sent(text string) []byte {
	b, _ := config.ParseBytes(text)
	return b
}

// match returns what a reply must hold.
func match(c *config.Check) (m probe.Match, err error) {
	m.Value, m.Mask, _ = config.ParsePattern(c.Expect)
	m.AtStart = c.ExpectAtStart
	m.Regexp, err = pattern(c.ExpectRegexp)
	return m, err
}

// pattern compiles a regular expression; nil for none.
func pattern(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	return regexp.Compile(text)
}

// judgeFile makes a result of what a file says.
func judgeFile(c *config.Check, r observe.Reading) probe.Result {
	text := fmt.Sprintf("%s holds %d", c.File, r.Number)
	if r.Missing {
		text = c.File + " does not exist"
	}
	switch {
	case r.Err != nil && c.UpWhen == "zero":
		return probe.Result{Reason: probe.Local, Detail: r.Err.Error()}
	case c.FileWeight != 0:
		value := min(max(int64(r.Number)*int64(c.FileWeight), -math.MaxInt32), math.MaxInt32)
		return probe.Result{OK: true, Detail: text, Advice: checkers.Advice{Weighing: checkers.Additional, Value: int(value)}}
	case c.UpWhen == "exists" && r.Missing, c.UpWhen == "missing" && !r.Missing, c.UpWhen == "zero" && r.Number != 0:
		if c.UpWhen == "missing" {
			text = c.File + " exists"
		}
		return probe.Result{Reason: probe.Drained, Detail: text}
	}
	return probe.Result{OK: true, Detail: text}
}

// query returns what a check asks of a server at address.
func query(c *config.Check, question [32]byte, address netip.AddrPort) Query {
	q := Query{Kind: c.Kind, Target: c.Target(address), Path: c.Path, Question: question}
	switch {
	case c.Kind == config.CheckBFD:
		q.Target, q.Path = netip.AddrPort{}, c.Session
	case c.Kind == config.CheckFile:
		q.Target, q.Path = netip.AddrPort{}, c.File
	case c.Kind != config.CheckHTTP && c.Kind != config.CheckHTTPS:
	case c.Host == "" && q.Target.Addr() != address.Addr():
		usual := ":80"
		if c.Kind == config.CheckHTTPS {
			usual = ":443"
		}
		q.Host = strings.TrimSuffix(netip.AddrPortFrom(address.Addr(), q.Target.Port()).String(), usual)
	}
	return q
}
