// Package agentx is the protocol between an SNMP master agent and its subagents
// (AgentX, RFC 2741): the PDUs and their encoding, and the answers that a view of
// objects gives to a master's requests. It is pure; the connection is its user's.
package agentx

import "fmt"

// version is the protocol's only one (RFC 2741 section 6.1).
const version = 1

// MaxPayload is the longest payload of a PDU that is read, in bytes. The requests of
// a master come out of SNMP messages, which are of 64 KiB at most; an object's name
// takes up to ten times as much here as there.
const MaxPayload = 1 << 20

// Type is the kind of a PDU (RFC 2741 section 6.1, h.type).
type Type uint8

// The kinds of PDUs.
const (
	Open Type = 1 + iota
	Close
	Register
	Unregister
	Get
	GetNext
	GetBulk
	TestSet
	CommitSet
	UndoSet
	CleanupSet
	Notify
	Ping
	IndexAllocate
	IndexDeallocate
	AddAgentCaps
	RemoveAgentCaps
	Response
)

var typeNames = [...]string{
	Open: "Open", Close: "Close", Register: "Register", Unregister: "Unregister", Get: "Get", GetNext: "GetNext", GetBulk: "GetBulk",
	TestSet: "TestSet", CommitSet: "CommitSet", UndoSet: "UndoSet", CleanupSet: "CleanupSet", Notify: "Notify", Ping: "Ping",
	IndexAllocate: "IndexAllocate", IndexDeallocate: "IndexDeallocate", AddAgentCaps: "AddAgentCaps",
	RemoveAgentCaps: "RemoveAgentCaps", Response: "Response",
}

// String names a kind as RFC 2741 does.
func (t Type) String() string { return nameOf(typeNames[:], int(t), "PDU type") }

// Flags are those of a header (RFC 2741 section 6.1, h.flags).
type Flags uint8

// The flags. The encoder sets NonDefaultContext where a PDU has a context; with it an
// empty one is written as well, as net-snmp does for the default context.
const (
	InstanceRegistration Flags = 1 << iota
	NewIndex
	AnyIndex
	NonDefaultContext
	NetworkByteOrder // numbers have their most significant byte first, else last
)

// CloseReason is why a session is closed (RFC 2741 section 6.2.2).
type CloseReason uint8

// The reasons.
const (
	CloseOther CloseReason = 1 + iota
	CloseParseError
	CloseProtocolError
	CloseTimeouts
	CloseShutdown
	CloseByManager
)

var closeNames = [...]string{
	CloseOther: "other", CloseParseError: "parse error", CloseProtocolError: "protocol error", CloseTimeouts: "timeouts",
	CloseShutdown: "shutdown", CloseByManager: "by manager",
}

// String names a reason in the words of RFC 2741.
func (r CloseReason) String() string { return nameOf(closeNames[:], int(r), "reason") }

// Error is the res.error of a Response: of SNMP (RFC 3416) below 256, else of AgentX
// (RFC 2741 section 6.2.16). 0 is success.
type Error uint16

// Those that are used here.
const (
	NoError               Error = 0
	GenErr                Error = 5
	CommitFailed          Error = 14
	UndoFailed            Error = 15
	NotWritable           Error = 17
	OpenFailed            Error = 256
	NotOpen               Error = 257
	UnsupportedContext    Error = 262
	DuplicateRegistration Error = 263
	UnknownRegistration   Error = 264
	ParseError            Error = 266
	RequestDenied         Error = 267
	ProcessingError       Error = 268
)

var errorNames = map[Error]string{
	NoError: "no error", GenErr: "genErr", CommitFailed: "commitFailed", UndoFailed: "undoFailed", NotWritable: "notWritable",
	OpenFailed: "openFailed", NotOpen: "notOpen", UnsupportedContext: "unsupportedContext",
	DuplicateRegistration: "duplicateRegistration", UnknownRegistration: "unknownRegistration", ParseError: "parseError",
	RequestDenied: "requestDenied", ProcessingError: "processingError",
}

// Error names an error as the standards do.
func (e Error) Error() string {
	if s, ok := errorNames[e]; ok {
		return s
	}
	return fmt.Sprintf("error %d", uint16(e))
}

func nameOf(names []string, n int, what string) string {
	if n < len(names) && names[n] != "" {
		return names[n]
	}
	return fmt.Sprintf("%s %d", what, n)
}

// Header is what every PDU begins with.
type Header struct {
	Type  Type
	Flags Flags
	// Session is the master's number of the session, Transaction that of the SNMP
	// request a PDU belongs to, and Packet pairs a Response with its request.
	Session, Transaction, Packet uint32
}

// PDU is one message. Which of its fields it has is a matter of its type; the others
// are neither written nor read.
type PDU struct {
	Header
	// Context is what the objects are in, empty: the default one.
	Context string

	Timeout     uint8       // Open, Register: seconds within which requests are answered, 0: as the master likes
	Name        OID         // Open: who this is; Register, Unregister: the subtree; AddAgentCaps, RemoveAgentCaps
	Description string      // Open, AddAgentCaps
	Reason      CloseReason // Close

	// Of Register and Unregister: the least number wins where several register the
	// same; with RangeSubID, counted from 1, that number of the name goes up to
	// UpperBound.
	Priority   uint8
	RangeSubID uint8
	UpperBound uint32

	NonRepeaters, MaxRepetitions uint16  // GetBulk
	Ranges                       []Range // Get, GetNext, GetBulk

	// Of a Response: the time in hundredths of a second, meant by a master's alone,
	// and which variable, counted from 1, the error concerns; 0: none.
	UpTime uint32
	Error  Error
	Index  uint16

	Variables []Variable // Response, TestSet, Notify, IndexAllocate, IndexDeallocate
}

// Range is an element of a search range list (RFC 2741 section 5.2): the name that is
// asked for, or after which, with Include at which, a search begins that ends before
// End; without an End it goes on to the last object.
type Range struct {
	Start   OID
	Include bool
	End     OID
}
