package labtest

import (
	"bytes"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"director/internal/netlab"
)

func TestInnerOutput(t *testing.T) {
	const passed = `=== RUN   TestK
    k_test.go:1: before
=== RUN   TestK/adds
    k_test.go:5: adding
=== RUN   TestK/adds/twice
    k_test.go:6: again
=== RUN   TestK/removes
=== NAME  TestK
    k_test.go:9: between
--- PASS: TestK (0.02s)
    --- PASS: TestK/adds (0.00s)
        --- PASS: TestK/adds/twice (0.00s)
    --- PASS: TestK/removes (0.00s)
PASS
`
	for _, c := range []struct {
		name    string
		in      string
		code    int
		err     error
		result  string
		text    []string // parts of the explanation
		verdict string   // of the subtests, in order
	}{
		{"passed", passed, 0, nil, "PASS", nil, "adds=PASS removes=PASS"},
		{"CR LF", strings.ReplaceAll(passed, "\n", "\r\n"), 0, nil, "PASS", nil, "adds=PASS removes=PASS"},
		{"failed", strings.NewReplacer("PASS: TestK/removes", "FAIL: TestK/removes", "PASS: TestK (", "FAIL: TestK (").Replace(passed),
			1, nil, "FAIL", []string{"exit code 1", "before", "between"}, "adds=PASS removes=FAIL"},
		{"only a subtest of a subtest skipped", strings.Replace(passed, "PASS: TestK/adds/twice", "SKIP: TestK/adds/twice", 1), 0, nil, "PASS", nil, "adds=PASS removes=PASS"},
		{"skipped", "=== RUN   TestK\n    k_test.go:3: no mood\n--- SKIP: TestK (0.00s)\nPASS\n", 0, nil, "SKIP", []string{"no mood"}, ""},
		{"not run", "testing: warning: no tests to run\nPASS\n", 0, nil, "FAIL", []string{"did not run TestK", "no tests to run"}, ""},
		{"another test ran", "=== RUN   TestKernel\n--- PASS: TestKernel (0.00s)\nPASS\n", 0, nil, "FAIL", []string{"did not run TestK"}, ""},
		{"silent", "", 0, nil, "FAIL", []string{"did not run"}, ""},
		{"panic", "=== RUN   TestK\n=== RUN   TestK/adds\npanic: ouch\n\ngoroutine 7 [running]:\n", 2, nil, "FAIL", []string{"exit code 2"}, "adds="},
		{"passed but bad exit", passed, 66, nil, "FAIL", []string{"exit code 66"}, "adds=PASS removes=PASS"},
		{"kernel died", "=== RUN   TestK\n=== RUN   TestK/adds\nlast words", -1, errors.New("uml: dead"), "FAIL", []string{"uml: dead"}, "adds="},
	} {
		for _, piece := range []int{1, 7, 4096} {
			o := &innerOutput{name: "TestK"}
			for b := []byte(c.in); len(b) > 0; {
				n := min(piece, len(b))
				if _, err := o.Write(b[:n]); err != nil {
					t.Fatal(err)
				}
				b = b[n:]
			}
			o.flush()
			result, text := o.conclude(c.code, c.err)
			if result != c.result {
				t.Errorf("%s, pieces of %d: %s: %s", c.name, piece, result, text)
			}
			for _, part := range c.text {
				if !strings.Contains(text, part) {
					t.Errorf("%s, pieces of %d: %q lacks %q", c.name, piece, text, part)
				}
			}
			var subs []string
			for _, s := range o.order {
				subs = append(subs, s+"="+o.verdict[s])
			}
			if got := strings.Join(subs, " "); got != c.verdict {
				t.Errorf("%s, pieces of %d: subtests %q, want %q", c.name, piece, got, c.verdict)
			}
		}
	}
	var live bytes.Buffer
	o := &innerOutput{name: "TestK", live: true, w: &live}
	_, _ = o.Write([]byte(passed))
	if !strings.HasPrefix(live.String(), "    uml| === RUN   TestK\n") || strings.Count(live.String(), "\n") != strings.Count(passed, "\n") {
		t.Errorf("live output:\n%s", live.String())
	}
	if got := o.text["adds"]; !strings.Contains(got, "adding") || !strings.Contains(got, "again") || strings.Contains(got, "between") {
		t.Errorf("output of adds: %q", got)
	}
}

func TestForwarding(t *testing.T) {
	t.Setenv("CI", "true")
	t.Setenv("HOME", "/nowhere")
	env := netlab.UMLEnv()
	if !slices.Contains(env, "CI=true") || slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }) {
		t.Errorf("environment: %q", env)
	}
	run := flag.Lookup("test.run")
	old := run.Value.String()
	defer func() { _ = run.Value.Set(old) }()
	for value, want := range map[string]string{
		"": "^TestK$", "TestK": "^TestK$", "TestK/adds": "^TestK$/adds", "TestK/adds/twice": "^TestK$/adds/twice", "TestA|TestK/adds": "^TestK$",
	} {
		if err := run.Value.Set(value); err != nil {
			t.Fatal(err)
		}
		if got := innerPattern("TestK"); got != want {
			t.Errorf("-run %q becomes %q, want %q", value, got, want)
		}
	}
	for _, f := range forwardedFlags() {
		if strings.HasPrefix(f, "-test.run") || strings.HasPrefix(f, "-test.timeout") || strings.HasPrefix(f, "-test.v") {
			t.Errorf("flag %s is forwarded", f)
		}
	}
}
