package probe

import "testing"

func TestMatchAtStart(t *testing.T) {
	plain := Match{Value: []byte{2, 3}, AtStart: true}
	bits := Match{Value: []byte{0xf0, 3}, Mask: []byte{0xf0, 0xff}, AtStart: true}
	for _, c := range []struct {
		name  string
		m     Match
		reply string
		want  bool
	}{
		{"there", plain, "\x02\x03x", true},
		{"elsewhere", plain, "x\x02\x03", false},
		{"less of it", plain, "\x02", false},
		{"nothing", plain, "", false},
		{"bits there", bits, "\xf7\x03x", true},
		{"bits elsewhere", bits, "x\xf7\x03", false},
		{"fewer bytes", bits, "\xf7", false},
		{"bits, nothing", bits, "", false},
	} {
		if got := c.m.found([]byte(c.reply)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		anywhere := c.m
		anywhere.AtStart = false
		if got := anywhere.found([]byte("x" + c.reply)); c.want && !got {
			t.Errorf("%s: not found anywhere", c.name)
		}
	}
	if got := plain.want(); got != "hex:0203 at the start" && got != `"\x02\x03" at the start` {
		t.Errorf("is called %s", got)
	}
}
