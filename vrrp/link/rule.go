package link

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Rule is a routing policy rule of either family: which packets it is for, and
// where they are looked up.
type Rule struct {
	IPv6     bool
	Priority uint32 // the least comes first
	Invert   bool   // for all packets but those that match
	From, To netip.Prefix
	TOS      uint8
	Mark     uint32
	Mask     uint32 // of Mark; 0 with a Mark: all bits
	IIf, OIf string // input and output interface
	IPProto  uint8
	Sport    Range16
	Dport    Range16
	UID      *Range32
	TunnelID uint64
	// Action is table, goto, nop, blackhole, unreachable or prohibit; empty: table.
	Action string
	Table  uint32 // for the action table; 0 together with L3Mdev
	Goto   uint32 // priority of the rule to go on with, for the action goto
	L3Mdev bool   // the table is that of the VRF that the packet's interface belongs to
	// SuppressPrefix ignores routes of the table with prefixes of this length or
	// less, and SuppressGroup those through interfaces of this group; -1 is none.
	SuppressPrefix int
	SuppressGroup  int
	Protocol       uint8
}

// Range16 is an inclusive range of ports; the zero value is none.
type Range16 struct{ From, To uint16 }

// Range32 is an inclusive range of user numbers.
type Range32 struct{ From, To uint32 }

// The actions of a rule (linux/fib_rules.h, FR_ACT_).
var ruleActions = map[string]uint8{
	"": nl.FR_ACT_TO_TBL, "table": nl.FR_ACT_TO_TBL, "goto": nl.FR_ACT_GOTO, "nop": nl.FR_ACT_NOP,
	"blackhole": nl.FR_ACT_BLACKHOLE, "unreachable": nl.FR_ACT_UNREACHABLE, "prohibit": nl.FR_ACT_PROHIBIT,
}

// Key returns all that decides which packets the rule is for and what becomes of
// them: the kernel allows each such rule once.
func (r *Rule) Key() Key { return Key{Kind: KindRule, Rest: r.String()} }

// Variant adds what the key leaves out.
func (r *Rule) Variant() string { return fmt.Sprintf("protocol %d", r.Protocol) }

// On is empty: a rule stays when the interface that it names goes.
func (r *Rule) On() string { return "" }

// String describes the rule as ip(8) does.
func (r *Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rule %d:", r.Priority)
	if r.IPv6 {
		b.WriteString(" (IPv6)")
	}
	if r.Invert {
		b.WriteString(" not")
	}
	if r.From.IsValid() {
		fmt.Fprintf(&b, " from %v", r.From)
	} else {
		b.WriteString(" from all")
	}
	if r.To.IsValid() {
		fmt.Fprintf(&b, " to %v", r.To)
	}
	if r.TOS != 0 {
		fmt.Fprintf(&b, " tos %#x", r.TOS)
	}
	if r.Mark != 0 || r.Mask != 0 {
		fmt.Fprintf(&b, " fwmark %#x", r.Mark)
		if m := r.mask(); m != math.MaxUint32 {
			fmt.Fprintf(&b, "/%#x", m)
		}
	}
	if r.IIf != "" {
		b.WriteString(" iif " + r.IIf)
	}
	if r.OIf != "" {
		b.WriteString(" oif " + r.OIf)
	}
	if r.UID != nil {
		fmt.Fprintf(&b, " uidrange %d-%d", r.UID.From, r.UID.To)
	}
	if r.IPProto != 0 {
		fmt.Fprintf(&b, " ipproto %d", r.IPProto)
	}
	if r.Sport != (Range16{}) {
		fmt.Fprintf(&b, " sport %v", r.Sport)
	}
	if r.Dport != (Range16{}) {
		fmt.Fprintf(&b, " dport %v", r.Dport)
	}
	if r.TunnelID != 0 {
		fmt.Fprintf(&b, " tun_id %d", r.TunnelID)
	}
	switch {
	case r.L3Mdev:
		b.WriteString(" lookup [l3mdev-table]")
	case r.Action == "goto":
		fmt.Fprintf(&b, " goto %d", r.Goto)
	case r.Action != "" && r.Action != "table":
		b.WriteString(" " + r.Action)
	default:
		fmt.Fprintf(&b, " lookup %d", r.Table)
	}
	if r.SuppressPrefix >= 0 {
		fmt.Fprintf(&b, " suppress_prefixlength %d", r.SuppressPrefix)
	}
	if r.SuppressGroup >= 0 {
		fmt.Fprintf(&b, " suppress_ifgroup %d", r.SuppressGroup)
	}
	return b.String()
}

func (r Range16) String() string {
	if r.From == r.To {
		return fmt.Sprint(r.From)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

func (r *Rule) mask() uint32 {
	if r.Mark != 0 && r.Mask == 0 {
		return math.MaxUint32
	}
	return r.Mask
}

func (r *Rule) add(k *kernel) (already bool, err error) {
	parts, err := r.message()
	if err == nil {
		_, err = k.request(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, parts...)
	}
	if errors.Is(err, unix.EEXIST) {
		return true, nil
	}
	return false, err
}

func (r *Rule) remove(k *kernel) (already bool, err error) {
	parts, err := r.message()
	if err == nil {
		_, err = k.request(unix.RTM_DELRULE, 0, parts...)
	}
	if absent(err) {
		return true, nil
	}
	return false, err
}

func (r *Rule) message() ([]nl.NetlinkRequestData, error) {
	action, known := ruleActions[r.Action]
	if !known {
		return nil, fmt.Errorf("unknown action %q", r.Action)
	}
	msg := nl.NewRtMsg()
	msg.Family, msg.Scope, msg.Protocol = unix.AF_INET, 0, 0
	if r.IPv6 {
		msg.Family = unix.AF_INET6
	}
	msg.Tos, msg.Type, msg.Table = r.TOS, action, unix.RT_TABLE_UNSPEC
	if r.Invert {
		msg.Flags |= netlink.FibRuleInvert
	}
	parts := []nl.NetlinkRequestData{msg}
	put := func(kind int, data []byte) { parts = append(parts, nl.NewRtAttr(kind, data)) }
	put32 := func(kind int, v uint32) { put(kind, nl.Uint32Attr(v)) }
	put32(nl.FRA_PRIORITY, r.Priority)
	if r.From.IsValid() {
		msg.Src_len = uint8(r.From.Bits())
		put(nl.FRA_SRC, r.From.Addr().AsSlice())
	}
	if r.To.IsValid() {
		msg.Dst_len = uint8(r.To.Bits())
		put(nl.FRA_DST, r.To.Addr().AsSlice())
	}
	if r.Mark != 0 || r.Mask != 0 {
		put32(nl.FRA_FWMARK, r.Mark)
		put32(nl.FRA_FWMASK, r.mask())
	}
	if r.IIf != "" {
		put(nl.FRA_IIFNAME, nl.ZeroTerminated(r.IIf))
	}
	if r.OIf != "" {
		put(nl.FRA_OIFNAME, nl.ZeroTerminated(r.OIf))
	}
	if r.UID != nil {
		put(nl.FRA_UID_RANGE, append(nl.Uint32Attr(r.UID.From), nl.Uint32Attr(r.UID.To)...))
	}
	if r.IPProto != 0 {
		put(nl.FRA_IP_PROTO, []byte{r.IPProto})
	}
	if r.Sport != (Range16{}) {
		put(nl.FRA_SPORT_RANGE, append(nl.Uint16Attr(r.Sport.From), nl.Uint16Attr(r.Sport.To)...))
	}
	if r.Dport != (Range16{}) {
		put(nl.FRA_DPORT_RANGE, append(nl.Uint16Attr(r.Dport.From), nl.Uint16Attr(r.Dport.To)...))
	}
	if r.TunnelID != 0 {
		id := make([]byte, 8)
		for i := range id { // big-endian
			id[i] = byte(r.TunnelID >> (56 - 8*i))
		}
		put(nl.FRA_TUN_ID, id)
	}
	switch {
	case r.L3Mdev:
		put(nl.FRA_L3MDEV, []byte{1})
	case action == nl.FR_ACT_TO_TBL:
		put32(nl.FRA_TABLE, r.Table)
	case action == nl.FR_ACT_GOTO:
		put32(nl.FRA_GOTO, r.Goto)
	}
	if r.SuppressPrefix >= 0 {
		put32(nl.FRA_SUPPRESS_PREFIXLEN, uint32(r.SuppressPrefix))
	}
	if r.SuppressGroup >= 0 {
		put32(nl.FRA_SUPPRESS_IFGROUP, uint32(r.SuppressGroup))
	}
	if r.Protocol != 0 {
		put(nl.FRA_PROTOCOL, []byte{r.Protocol})
	}
	return parts, nil
}
