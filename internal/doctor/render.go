package doctor

import (
	"fmt"
	"io"
	"strings"

	"director/internal/colour"
)

// Render writes a report as text, with the terminal's colours when colours is set.
func Render(out io.Writer, r Report, colours bool) error {
	var b strings.Builder
	paint := func(st colour.Style, text string) string { return st.If(colours, text) }
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s  %s  %s\n", paint(styleOf(f.Severity), string(f.Severity)), paint(colour.Bold, f.ID), clean(f.Place()))
		fmt.Fprintf(&b, "  %s\n", clean(f.Found))
		fmt.Fprintf(&b, "  %s %s\n", paint(colour.Faint, "why "), clean(f.Why))
		label := "cure"
		for _, c := range f.Cure {
			fmt.Fprintf(&b, "  %s %s\n", paint(colour.Faint, label), clean(c))
			label = "    "
		}
		b.WriteByte('\n')
	}
	if len(r.Unseen) > 0 {
		b.WriteString(paint(colour.Bold, "Not looked at:") + "\n")
		for _, u := range r.Unseen {
			fmt.Fprintf(&b, "  %s: %s\n", clean(u.What), clean(u.Why))
		}
		b.WriteByte('\n')
	}
	if r.hasSysctl() {
		b.WriteString("What sysctl sets lasts until the next boot: write it into /etc/sysctl.d/90-director.conf as well.\n\n")
	}
	daemon := "no daemon answers"
	if r.Running {
		daemon = "the daemon runs"
	}
	verdict := paint(colour.Good, "nothing broken")
	if r.Broken > 0 {
		verdict = paint(colour.Bad, fmt.Sprintf("%d broken", r.Broken))
	}
	fmt.Fprintf(&b, "%s: %s, %d unwise, %d to note; %s\n", clean(r.File), verdict, r.Unwise, r.Notes, daemon)
	_, err := io.WriteString(out, b.String())
	return err
}

func styleOf(s Severity) colour.Style {
	switch s {
	case Broken:
		return colour.Bad
	case Unwise:
		return colour.Warn
	case Note:
		return colour.Faint
	}
	return colour.Plain
}

func (r Report) hasSysctl() bool {
	for _, f := range r.Findings {
		for _, c := range f.Cure {
			if strings.HasPrefix(c, "sysctl -w ") {
				return true
			}
		}
	}
	return false
}

// clean takes out what could steer a terminal: texts come from files and programs of
// the host.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < 0x20 || (r >= 0x7f && r < 0xa0):
			return -1
		}
		return r
	}, s)
}
