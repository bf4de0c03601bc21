package keepalived

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/config"

	"github.com/google/go-cmp/cmp"
)

// expanded returns the lines of a text after the expansion, and what is wrong.
func expanded(t *testing.T, text string, o Options) (lines []string, wrong string) {
	t.Helper()
	r := config.NewReport("x.conf")
	for _, l := range expand(r, "x.conf", []byte(text), o, nil) {
		lines = append(lines, l.text)
	}
	if r.Failed() {
		_, _, err := r.Build(config.NewTree())
		wrong = err.Error()
	}
	return lines, wrong
}

// TestExpansion expands the forms that the manual page of keepalived shows, and
// those that keepalived --config-test has told.
func TestExpansion(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"comments":           {"a # b\n! c\nd \"e # f\" ! g\nh\\#i\\!j", "a|d \"e # f\"|h#i!j"},
		"conditions":         {"@lb1 a\n@lb2 b\n@^lb1 c\n@^lb2 d\n@lb1 @^lb2 e", "a|d|e"},
		"parameters":         {"$A=1\n$B=${A}.2\n${B}x $A $A/24 $A\n$A=3\n${B}", "1.2x 1 $A/24 1|3.2"},
		"undefined":          {"a ${X} $Y", "a ${X} $Y"},
		"condition inside":   {"$C=@lb1\n$C a\n$C=@lb2\n$C b", "a"},
		"empty":              {"$A=\nx${A}y $A", "xy"},
		"blocks":             {"$A= \\\na {\\\n\n b ${N} \\\n}\n$N=1\n$A\n$N=2\n$A", "a {|b 1|}|a {|b 2|}"},
		"nested blocks":      {"$B= \\\nb ${N} \\\nc\n$A= \\\na \\\n$N=5 \\\n$B \\\nd\n$A", "a|b 5|c|d"},
		"in a line":          {"$B= \\\nb \\\nc\nx ${B} y", "x b|c y"},
		"skipped block":      {"@lb2 $A= \\\na \\\nb\nc", "c"},
		"sequences":          {"~SEQ(X,1,3) a$X b${X}\n~SEQ(X, 3) c${X}\n~SEQ(X,5,2,9) d${X}\n~SEQ(X,3,1) e${X}\n~SEQ(X,-2) f${X}", "a1 b1|a2 b2|a3 b3|c1|c2|c3|d5|d7|d9|e3|e2|e1|f-1|f-2"},
		"hexadecimal":        {"~SEQx(X, 0x90, 0x10, 0xb0) ${X}", "90|a0|b0"},
		"lists":              {"~LST(A,1,2)~LST(B,3,4) ${A}${B}\n~LST({A,B},{1,2},{3,4}) ${A}-${B}", "13|14|23|24|1-2|3-4"},
		"sequence of blocks": {"$A= \\\na ${N} \\\nb\n~SEQ(N,1,2) $A", "a 1|b|a 2|b"},
		"built-in":           {"${_HASH} ${_BANG} ${_INSTANCE} ${_PWD} ${_RANDOM 3 9} ${_ENV VIP_NET} ${_ENV NONE} ${_X}", "# ! lb1 /etc 9 192.0.2 ${_ENV NONE} ${_X}"},
	} {
		t.Run(name, func(t *testing.T) {
			got, wrong := expanded(t, tc.text, options())
			if d := cmp.Diff(tc.want, strings.Join(got, "|")); d != "" || wrong != "" {
				t.Errorf("%s\n(-want +got):\n%s", wrong, d)
			}
		})
	}
}

// TestPlaces looks at line and column of statements: those of the text itself, and
// of a parameter's own lines.
func TestPlaces(t *testing.T) {
	const text = "\ufeffa {  b c }\n$X= \\\n  d \\\n  e\n$X\n$Y=1\n  f ${Y} g\n"
	r := config.NewReport("x.conf")
	var got []string
	var walk func([]*statement)
	walk = func(list []*statement) {
		for _, s := range list {
			for _, w := range s.words {
				got = append(got, fmt.Sprintf("%s %d:%d", w.text, w.at.Line, w.at.Col))
			}
			walk(s.kids)
		}
	}
	walk(tree(r, expand(r, "x.conf", []byte(text), options(), nil)))
	want := []string{"a 1:1", "b 1:6", "c 1:8", "d 3:3", "e 4:3", "f 7:3", "1 7:3", "g 7:3"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestBraces expands the patterns of included files.
func TestBraces(t *testing.T) {
	for pattern, want := range map[string]string{
		"a": "a", "{a,b}c": "ac bc", "x{foo/{,cat,dog},bar}": "xfoo/ xfoo/cat xfoo/dog xbar", "a{b": "a{b", "{a}": "a",
	} {
		if got := strings.Join(braces(pattern), " "); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}

// TestBounds stops what would never end, or fill the memory, with one error.
func TestBounds(t *testing.T) {
	var doubles strings.Builder
	for i := range 38 {
		fmt.Fprintf(&doubles, "$A%d= \\\n${A%d} \\\n${A%d}\n", i+1, i, i)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"itself":    {"$A=${A}\n$A", "it holds itself"},
		"twice":     {"$A=${B}${B}\n$B=${A}${A}\n$A", "becomes longer"},
		"lines":     {"$A0=x\n" + doubles.String() + "$A38", "becomes too long"},
		"sequences": {"~SEQ(A,1,99999)~SEQ(B,1,99999) x", "becomes too long"},
		"nothing":   {"~SEQ(A,1,99999)~SEQ(B,1,99999)~SEQ(C,1,99999) $D=1", "takes too long"},
		"emptiness": {"$A0=\n" + doubles.String() + "$A38", "takes too long"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.maxLines, o.maxFiles = 20000, 100
			_, wrong := expanded(t, tc.text, o)
			if !strings.Contains(wrong, tc.want) {
				t.Errorf("%q", wrong)
			}
		})
	}
	if _, wrong := expanded(t, "include x", Options{Glob: func(p string) ([]string, error) { return []string{p}, nil },
		Read: func(string) ([]byte, error) { return []byte("include x"), nil }}); !strings.Contains(wrong, "include each other") {
		t.Errorf("a file that includes itself: %q", wrong)
	}
	if _, wrong := expanded(t, strings.Repeat("include x\n", 101), Options{Glob: func(p string) ([]string, error) { return []string{p}, nil },
		Read: func(string) ([]byte, error) { return []byte("a"), nil }, maxLines: 1e6, maxFiles: 100}); !strings.Contains(wrong, "more than 100 files") {
		t.Errorf("many files: %q", wrong)
	}
	r := config.NewReport("x.conf")
	tree(r, expand(r, "x.conf", []byte(strings.Repeat("a {\n", 100000)), options(), nil))
	if !r.Failed() {
		t.Error("no error for 100,000 blocks in each other")
	}
}

// TestLargeFile reads 100,000 lines, and twice as many in about twice the time.
func TestLargeFile(t *testing.T) {
	farm := func(lines int) []byte {
		var b strings.Builder
		for n := 0; b.Len() == 0 || n*10 < lines; n++ {
			fmt.Fprintf(&b, "virtual_server 10.%d.%d.%d 80 {\n  delay_loop 5\n  lb_algo wrr\n  lb_kind DR\n  protocol TCP\n  real_server 10.200.%d.%d 80 {\n    weight 2\n    TCP_CHECK { connect_timeout 2 }\n  }\n}\n",
				n>>16, n>>8&255, n&255, n>>8&255, n&255)
		}
		return []byte(b.String())
	}
	var took [2]time.Duration
	for i, lines := range []int{50000, 100000} {
		text := farm(lines)
		runtime.GC()
		began := processorTime(t)
		cfg, _, err := Parse("x.conf", text, options())
		took[i] = processorTime(t) - began
		if err != nil || len(cfg.VirtualServers) != lines/10 {
			t.Fatal(err)
		}
	}
	t.Logf("100,000 lines in %s of processor time", took[1])
	if took[1] > 8*took[0]+time.Second {
		t.Errorf("50,000 lines in %s, 100,000 in %s", took[0], took[1])
	}
}

// processorTime is what this process has used so far: unlike the clock's it is its own,
// whatever else the machine does.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
