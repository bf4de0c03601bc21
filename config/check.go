package config

import (
	"crypto/sha256"
	"encoding/json"
	"net/netip"
	"strconv"
)

// CheckKind names a way to probe a real server.
type CheckKind string

// The probe kinds.
const (
	CheckPing     CheckKind = "ping"
	CheckTCP      CheckKind = "tcp"
	CheckUDP      CheckKind = "udp"
	CheckHTTP     CheckKind = "http"
	CheckHTTPS    CheckKind = "https"
	CheckTLS      CheckKind = "tls"
	CheckDNS      CheckKind = "dns"
	CheckSMTP     CheckKind = "smtp"
	CheckGRPC     CheckKind = "grpc"
	CheckMySQL    CheckKind = "mysql"
	CheckPostgres CheckKind = "postgres"
	CheckRedis    CheckKind = "redis"
	CheckLDAP     CheckKind = "ldap"
	CheckScript   CheckKind = "script"
	CheckAgent    CheckKind = "agent"
	CheckFile     CheckKind = "file"
	CheckBFD      CheckKind = "bfd"
)

// Check is one probe of a real server. A server is healthy while all its
// checks are up. Two checks are the same when their Keys are equal.
type Check struct {
	Kind     CheckKind `toml:"type" oneof:"ping tcp udp http https tls dns smtp grpc mysql postgres redis ldap script agent file bfd" required:"true"`
	Interval Duration  `toml:"interval" default:"5s" min:"100ms" max:"1h" alias:"delay_loop inter"`
	// IntervalDown is the interval while the check is down, IntervalChanging the
	// one between the first result that speaks for a change and the change.
	IntervalDown     Duration `toml:"interval_down" default:"=interval" min:"100ms" max:"1h" alias:"downinter"`
	IntervalChanging Duration `toml:"interval_changing" default:"=interval" min:"100ms" max:"1h" alias:"fastinter delay_before_retry"`
	Jitter           Duration `toml:"jitter" default:"0s" min:"0s" max:"10m" json:",omitempty" alias:"warmup spread_checks"`
	Timeout          Duration `toml:"timeout" default:"3s" min:"10ms" max:"1h" alias:"misc_timeout"` // of the whole probe
	// ConnectTimeout bounds the part of Timeout in which a connection is made.
	ConnectTimeout Duration `toml:"connect_timeout" default:"=timeout" min:"10ms" max:"1h" json:",omitempty" when:"type=tcp|http|https|tls|dns|smtp|grpc|mysql|postgres|redis|ldap|agent"`
	Rise           int      `toml:"rise" default:"=2, for agent, file and bfd 1" min:"1" max:"100"`               // successes in a row to be up
	Fall           int      `toml:"fall" default:"=3, for agent, file and bfd 1" min:"1" max:"100" alias:"retry"` // failures in a row to be down
	LogAllFailures bool     `toml:"log_all_failures" default:"false" json:",omitempty"`
	// ConnectAddress and ConnectPort replace the real server's own.
	ConnectAddress netip.Addr `toml:"connect_address" default:"=the real server's address" alias:"connect_ip"`
	ConnectPort    uint16     `toml:"connect_port" default:"=the real server's port" min:"1" max:"65535" when:"type=tcp|udp|http|https|tls|dns|smtp|grpc|mysql|postgres|redis|ldap|script|agent"`
	BindAddress    netip.Addr `toml:"bind_address" default:"=as the routes say" json:",omitzero" when:"type=ping|tcp|udp|http|https|tls|dns|smtp|grpc|mysql|postgres|redis|ldap|agent" alias:"bindto source"`
	BindInterface  string     `toml:"bind_interface" form:"interface" default:"=any" json:",omitempty" when:"type=ping|tcp|udp|http|https|tls|dns|smtp|grpc|mysql|postgres|redis|ldap|agent" alias:"bind_if interface"`
	Mark           uint32     `toml:"fwmark" min:"1" max:"4294967295" json:",omitempty" when:"type=ping|tcp|udp|http|https|tls|dns|smtp|grpc|mysql|postgres|redis|ldap|agent"`

	// ThroughVIP sends the probe to the virtual server's address by way of the server.
	ThroughVIP bool `toml:"through_vip" default:"false" json:",omitempty" when:"type=tcp|udp|http|https|tls|dns|smtp|grpc|mysql|postgres|redis|ldap"`

	// What is sent, and what the reply must hold: text, or hex: and hexadecimal
	// digits, in Expect with ? for any digit.
	Send   string `toml:"send" form:"bytes" json:",omitempty" when:"type=tcp|udp|agent" alias:"payload agent_send"`
	Expect string `toml:"expect" form:"pattern" json:",omitempty" when:"type=tcp|udp"`
	// ExpectAtStart wants Expect at the start of the reply, not anywhere in it.
	ExpectAtStart  bool   `toml:"expect_at_start" default:"false" json:",omitempty" when:"type=tcp|udp"`
	ExpectRegexp   string `toml:"expect_regexp" form:"regexp" json:",omitempty" when:"type=tcp|udp"`
	RequireReply   bool   `toml:"require_reply" default:"false" json:",omitempty" when:"type=udp"`
	MinReplyLength int    `toml:"min_reply_length" default:"0" min:"0" max:"65535" json:",omitempty" when:"type=udp"`
	MaxReplyLength int    `toml:"max_reply_length" default:"65535" min:"0" max:"65535" json:",omitempty" when:"type=udp"`

	// HTTP. Without a list of URLs, Path is the only one.
	Path        string        `toml:"path" form:"path" default:"/" when:"type=http|https"`
	Host        string        `toml:"host" form:"host" default:"=the real server's address and port" when:"type=http|https" alias:"virtualhost"` // Host header; empty: the default
	Method      string        `toml:"method" form:"method" default:"GET" when:"type=http|https"`
	Status      []StatusRange `toml:"status" default:"200-299" when:"type=http|https" alias:"status_code"`
	Body        string        `toml:"body" form:"body" when:"type=http|https"`                                                // the reply's body must contain this
	BodyRegexp  string        `toml:"body_regexp" form:"regexp" json:",omitempty" when:"type=http|https" alias:"regex"`       // and match this
	BodyNot     string        `toml:"body_not" form:"regexp" json:",omitempty" when:"type=http|https" alias:"regex_no_match"` // and not match this
	BodyDigest  string        `toml:"body_digest" form:"digest" json:",omitempty" when:"type=http|https" alias:"digest"`      // md5:HEX or sha256:HEX of the whole body
	Headers     []string      `toml:"headers" form:"header" json:",omitempty" when:"type=http|https"`                         // Name: value
	RequestBody string        `toml:"request_body" form:"body" json:",omitempty" when:"type=http|https"`                      // what is sent
	HTTPVersion string        `toml:"http_version" oneof:"1.0 1.1 2" default:"1.1" json:",omitempty" when:"type=http|https" alias:"http_protocol"`
	MaxBody     int           `toml:"max_body" default:"1048576" min:"1" max:"67108864" json:",omitempty" when:"type=http|https"` // bytes that are read
	URLs        []CheckURL    `toml:"url" short:"path" json:",omitempty" when:"type=http|https"`                                  // all must be good, in this order

	// TLS, for https, tls, and for others with TLS or StartTLS.
	TLS        bool   `toml:"tls" default:"false" json:",omitempty" when:"type=tcp|smtp|grpc|redis|ldap|agent"`
	Verify     bool   `toml:"verify" default:"true" json:",omitempty" when:"type=tcp|https|tls|smtp|grpc|redis|ldap|agent"`
	TLSMin     string `toml:"tls_min_version" oneof:"1.0 1.1 1.2 1.3" default:"1.2" json:",omitempty" when:"type=tcp|https|tls|smtp|grpc|redis|ldap|agent"`
	CAFile     string `toml:"ca_file" form:"file" default:"=the system's" json:",omitempty" when:"type=tcp|https|tls|smtp|grpc|redis|ldap|agent" alias:"ca"`
	ServerName string `toml:"server_name" form:"dnsname" default:"=host without its port, else the address" json:",omitempty" when:"type=tcp|https|tls|smtp|grpc|redis|ldap|agent" alias:"sni_name sni enable_sni"`
	ClientCert string `toml:"client_cert" form:"file" json:",omitempty" when:"type=tcp|https|tls|smtp|grpc|redis|ldap|agent" alias:"certificate"`
	ClientKey  string `toml:"client_key" form:"file" default:"=client_cert" json:",omitempty" when:"type=tcp|https|tls|smtp|grpc|redis|ldap|agent"`
	ExpiryDays int    `toml:"expiry_warning_days" default:"14" min:"0" max:"3650" json:",omitempty" when:"type=tcp|https|tls|smtp|grpc|redis|ldap|agent"`

	// DNS.
	QueryName string   `toml:"query_name" form:"dnsname" default:"." json:",omitempty" when:"type=dns"`
	QueryType string   `toml:"query_type" form:"rrtype" default:"SOA" json:",omitempty" when:"type=dns"`
	Answers   []string `toml:"answer" form:"text" json:",omitempty" when:"type=dns"` // all must be among the answers
	RCodes    []string `toml:"rcode" form:"rcode" default:"=NOERROR" json:",omitempty" when:"type=dns"`
	Transport string   `toml:"transport" oneof:"udp tcp" default:"udp" json:",omitempty" when:"type=dns"`

	HeloName    string `toml:"helo_name" form:"host" default:"=the source address" json:",omitempty" when:"type=smtp"`
	StartTLS    bool   `toml:"starttls" default:"false" json:",omitempty" when:"type=smtp"`
	GRPCService string `toml:"grpc_service" form:"text" default:"=the server as a whole" json:",omitempty" when:"type=grpc"`

	// Logging in. The password is given in one of three ways.
	Username     string `toml:"username" form:"text" json:",omitempty" when:"type=mysql|postgres|redis|ldap"`
	Database     string `toml:"database" form:"text" default:"=username" json:",omitempty" when:"type=postgres"`
	Password     Secret `toml:"password" json:",omitempty" when:"type=redis|ldap"`
	PasswordFile string `toml:"password_file" form:"file" json:",omitempty" when:"type=redis|ldap"`
	Credential   string `toml:"credential" form:"name" json:",omitempty" when:"type=redis|ldap"`
	RootDSE      bool   `toml:"root_dse" default:"false" json:",omitempty" when:"type=ldap"`

	// A command that the parent runs. Dynamic gives its exit status a meaning
	// beyond good and bad: 2 to 255 set the weight to 0 to 253.
	Command []string `toml:"script" form:"command" json:",omitempty" when:"type=script" alias:"misc_path command"`
	User    string   `toml:"user" form:"user" default:"=global.script_user" json:",omitempty" when:"type=script"`
	Dynamic bool     `toml:"dynamic" default:"false" json:",omitempty" when:"type=script" alias:"misc_dynamic"`

	// AgentRequired makes an agent that does not answer a failure.
	AgentRequired bool `toml:"agent_required" default:"false" json:",omitempty" when:"type=agent"`

	// A file with a number, see FileTracker. With a weight the number times the
	// weight is added to the server's weight, and the check never fails.
	File       string `toml:"file" form:"file" json:",omitempty" when:"type=file"`
	UpWhen     string `toml:"up_when" oneof:"zero exists missing" default:"zero" json:",omitempty" when:"type=file"`
	FileWeight int    `toml:"weight" default:"0" min:"-65535" max:"65535" json:",omitempty" when:"type=file"`

	// Session names the BFD session whose state is the server's.
	Session string `toml:"bfd" form:"name" json:",omitempty" when:"type=bfd"`
}

// CheckURL is one of several requests of an HTTP check. What it does not say is
// as the check says.
type CheckURL struct {
	Path       string        `toml:"path" form:"path" required:"true"`
	Host       string        `toml:"host" form:"host" default:"=the check's" json:",omitempty" alias:"virtualhost"`
	Status     []StatusRange `toml:"status" default:"=the check's" json:",omitempty" alias:"status_code"`
	Body       string        `toml:"body" form:"body" default:"=the check's" json:",omitempty"`
	BodyRegexp string        `toml:"body_regexp" form:"regexp" default:"=the check's" json:",omitempty" alias:"regex"`
	BodyNot    string        `toml:"body_not" form:"regexp" default:"=the check's" json:",omitempty" alias:"regex_no_match"`
	BodyDigest string        `toml:"body_digest" form:"digest" default:"=the check's" json:",omitempty" alias:"digest"`
}

// Key returns a text that is equal for equal checks only, for use in maps.
func (c Check) Key() string {
	sum := c.digest()
	return string(sum[:])
}

// Question returns a digest of what the check asks and how, without when it asks
// and what is made of the answers: checks with the same Question, asked of the
// same target, have the same results.
func (c Check) Question() [sha256.Size]byte {
	c.Interval, c.IntervalDown, c.IntervalChanging, c.Jitter = 0, 0, 0, 0
	c.Rise, c.Fall, c.LogAllFailures = 0, 0, false
	c.Timeout, c.ConnectTimeout = 0, 0
	c.ConnectAddress, c.ConnectPort = netip.Addr{}, 0
	return c.digest()
}

func (c *Check) digest() [sha256.Size]byte {
	text, err := json.Marshal(c)
	if err != nil {
		panic("config: " + err.Error()) // no type in it can fail
	}
	return sha256.Sum256(strconv.AppendQuote(text, string(c.Password))) // JSON shows no secret
}

// Target returns what the check is sent to, of a server at address.
func (c *Check) Target(address netip.AddrPort) netip.AddrPort {
	ip, port := address.Addr(), address.Port()
	if c.ConnectAddress.IsValid() {
		ip = c.ConnectAddress
	}
	switch {
	case c.Kind == CheckPing || c.Kind == CheckFile || c.Kind == CheckBFD:
		port = 0 // so that all servers of one machine share the probe
	case c.ConnectPort != 0:
		port = c.ConnectPort
	}
	return netip.AddrPortFrom(ip, port)
}

// Stream says that the check is made over a TCP connection.
func (c *Check) Stream() bool {
	switch c.Kind {
	case CheckPing, CheckUDP, CheckScript, CheckFile, CheckBFD:
		return false
	case CheckDNS:
		return c.Transport == "tcp"
	}
	return true
}

// Encrypted says that the check speaks TLS.
func (c *Check) Encrypted() bool {
	return c.Kind == CheckHTTPS || c.Kind == CheckTLS || c.TLS || c.StartTLS
}

// Weighs says that the results of the check may change its server's weight.
func (c *Check) Weighs() bool {
	return c.Kind == CheckAgent || c.Kind == CheckScript && c.Dynamic || c.Kind == CheckFile && c.FileWeight != 0
}
