package colour

import "testing"

func TestStyles(t *testing.T) {
	for got, want := range map[string]string{
		Bad.On("x"):           "\x1b[31mx\x1b[0m",
		Good.Strong().On("x"): "\x1b[1;32mx\x1b[0m",
		Plain.On("x"):         "x",
		Bad.On(""):            "",
		Bad.If(false, "y"):    "y",
		Bad.If(true, "y"):     "\x1b[31my\x1b[0m",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
