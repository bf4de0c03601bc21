// Package colour is how text looks on a terminal: the one set of codes of all commands.
// Whether an output has colours is decided where it is opened.
package colour

// Style is how a piece of text looks: the parameters of SGR (ECMA-48).
type Style string

// The styles.
const (
	Plain   Style = ""
	Bold    Style = "1"
	Faint   Style = "2"
	Inverse Style = "7"
	Bad     Style = "31" // red: broken, down, an error
	Good    Style = "32" // green: up, in order
	Warn    Style = "33" // yellow: not in order, or only now
	Act     Style = "36" // cyan: what the program itself does
)

// Strong is the style in bold.
func (s Style) Strong() Style { return Bold + ";" + s }

// On puts the style on a text.
func (s Style) On(text string) string {
	if s == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// If puts the style on a text where styles are wanted.
func (s Style) If(wanted bool, text string) string {
	if !wanted {
		return text
	}
	return s.On(text)
}
