package notify

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail"

	"director/config"
	"director/internal/control"
)

const (
	longestSubject = 200 // characters of a mail's subject
	mostAddresses  = 50  // of an instance, that a mail lists
)

// compose makes the mail of a note. Each try makes the same mail: should a server
// get it twice, its Message-ID tells.
func (m *mailer) compose(nt *note) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := msg.From(m.from); err != nil {
		return nil, fmt.Errorf("sender %s: %w", m.from, err)
	}
	if err := msg.To(m.settings.To...); err != nil {
		return nil, fmt.Errorf("recipients: %w", err)
	}
	e := nt.event
	msg.Subject(mailSubject(m.routerID, e))
	msg.SetDateWithValue(e.Time)
	msg.SetMessageIDWithValue(fmt.Sprintf("director.%d.%d@%s", e.Time.UnixNano(), e.Seq, hostPart(m.routerID)))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notes, please
	msg.SetBodyString(mail.TypeTextPlain, mailBody(m.routerID, nt))
	return msg, nil
}

// mailSubject says in one line where what became what, and why.
func mailSubject(routerID string, e control.Event) string {
	s := fmt.Sprintf("[%s] %s %s: %s", routerID, title(e.Kind), e.Subject, e.To)
	if e.Kind == control.KindAlarm {
		s = fmt.Sprintf("[%s] %s %s: %s %s", routerID, title(e.Kind), e.Subject, e.Code, e.To)
	}
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	s = oneLine(s)
	if r := []rune(s); len(r) > longestSubject {
		s = string(r[:longestSubject-3]) + "..."
	}
	return s
}

// title names the kind of a subject for a reader.
func title(kind string) string {
	switch kind {
	case "instance":
		return "VRRP instance"
	case "group":
		return "VRRP sync group"
	case "service":
		return "virtual server"
	case "server":
		return "real server"
	case "maintenance":
		return "maintenance of"
	case "script":
		return "track script"
	case "bfd":
		return "BFD session"
	case "tracker":
		return "tracked"
	case "address":
		return "virtual address"
	case "gate":
		return "takeover of VRRP instance"
	case "ipvs":
		return "IPVS entry"
	case "file":
		return "director's own file"
	case "reload":
		return "configuration"
	case control.KindAlarm:
		return "ALARM"
	}
	return kind
}

// oneLine keeps what a line and a mail header can hold.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s))
}

// mailBody tells all that is known of a change.
func mailBody(routerID string, nt *note) string {
	e := nt.event
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name+":", oneLine(value))
		}
	}
	fmt.Fprintf(&b, "%s %s on %s is %s.\n\n", title(e.Kind), oneLine(e.Subject), oneLine(routerID), oneLine(e.To))
	line("host", routerID)
	line("time", e.Time.Format("2006-01-02 15:04:05.000 -0700"))
	line("sequence", strconv.FormatUint(e.Seq, 10))
	line("old state", e.From)
	line("new state", e.To)
	line("reason", e.Reason)
	line("reason code", e.Code)
	line("ordered by", e.Author)
	if e.Kind == "instance" {
		line("priority", strconv.Itoa(e.Priority))
	}
	line("addresses", strings.Join(addresses(nt.held, e), ", "))
	line("generation", strconv.FormatUint(e.Generation, 10))
	if e.Alarm != nil {
		alarmText(line, e.Alarm)
	}
	if len(nt.skipped) > 0 {
		b.WriteByte('\n')
		fmt.Fprintf(&b, "Mail was delayed. Before, and told only here, it was %s.\n", strings.Join(nt.skipped, ", then "))
	}
	if late := time.Since(e.Time).Round(time.Second); nt.failures > 0 && late > 0 {
		fmt.Fprintf(&b, "\nThis mail is %v late: the mail server did not take it before.\n", late)
	}
	return b.String()
}

// alarmText adds the evidence of an alarm to a mail.
func alarmText(line func(name, value string), a *control.Alarm) {
	if a.Service != "" {
		line("raised", a.Since.Format("2006-01-02 15:04:05.000 -0700"))
		return
	}
	line("interface", a.Interface)
	line("VRID", strconv.Itoa(int(a.VRID)))
	line("sightings", fmt.Sprintf("%d, the first at %s", a.Count, a.First.Format("2006-01-02 15:04:05.000 -0700")))
	for _, ev := range a.Evidence {
		line("evidence", ev.String())
	}
}

// addresses lists what an instance or a service stands for.
func addresses(h *held, e control.Event) []string {
	if i := h.instance(e); i != nil {
		var list []string
		for _, addrs := range [2][]config.VirtualAddress{i.Addresses, i.Excluded} {
			for _, a := range addrs {
				list = append(list, a.Prefix.String())
			}
		}
		return upTo(list, mostAddresses)
	}
	if s := h.service(e); s != nil {
		var list []string
		for _, id := range s.Services() {
			list = append(list, id.String())
		}
		return upTo(list, mostAddresses)
	}
	return nil
}

// upTo shortens a long list.
func upTo(list []string, most int) []string {
	if more := len(list) - most; more > 0 {
		list = append(list[:most], fmt.Sprintf("and %d more", more))
	}
	return list
}
