package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/internal/ptytest"
)

// shellBeside makes a shell's command, with this program as director in its PATH and a
// daemon that answers it.
func shellBeside(t *testing.T, dir string, argv ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(exe, filepath.Join(dir, "director")); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "TERM=xterm", "HOME=" + dir, "DIRECTOR_RUNTIME_DIR=" + dir, "DIRECTOR_TEST_MAIN=1"}
	return c
}

// TestCompletionInShells types into real shells.
func TestCompletionInShells(t *testing.T) {
	for _, shell := range []struct {
		name, rc, settings string
		argv               []string
	}{
		{"bash", "bashrc", `PS1='ready> '
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
. /usr/share/bash-completion/bash_completion
. <(director completion bash)
`, []string{"bash", "--rcfile", "bashrc", "-i"}},
		{"zsh", ".zshrc", `PS1='ready> '
unsetopt beep prompt_sp
bindkey -e
mkdir -p ~/functions
director completion zsh >~/functions/_director
fpath=(~/functions $fpath)
autoload -U compinit
compinit -u -d ~/zcompdump
`, []string{"zsh", "-i"}},
	} {
		t.Run(shell.name, func(t *testing.T) {
			dir := serve(t, &farmDaemon{status: smallFarm()})
			if err := os.WriteFile(filepath.Join(dir, shell.rc), []byte(shell.settings), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := shellBeside(t, dir, shell.argv...)
			cmd.Dir = dir
			x := ptytest.Start(t, 100, 24, cmd)
			x.WaitFor("ready>")
			complete := func(line string, want ...string) {
				t.Helper()
				for range 5 { // the daemon of a busy machine may answer after completionLimit
					x.Type("\x15" + line)
					for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
						text := x.Text()
						if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(text, w) }) {
							return
						}
					}
				}
				x.WaitFor(want...)
			}
			complete("director vrrp release g\t", "ready> director vrrp release gateway")
			complete("director drain web \t\t", "10.0.0.13:80", "app1", "app2", "all")
			complete("director drain web 10\t", "ready> director drain web 10.0.0.13:80")
			complete("director explain dns/\t", "ready> director explain dns/app9")
			complete("director weight web app1 5\t", "ready> director weight web app1 50%")
			complete("director events --kind instance,se\t\t\t", "instance,server", "instance,service")
			x.Type("\x15exit\r")
			x.WaitExit()
		})
	}
}

// TestCompletionInFish asks the shell what it would offer.
func TestCompletionInFish(t *testing.T) {
	dir := serve(t, &farmDaemon{status: smallFarm()})
	for line, want := range map[string]string{
		"director vrrp release g":              "gateway\n",
		"director drain web ":                  "10.0.0.13:80\nall\napp1\napp2\n",
		"director drain web 10":                "10.0.0.13:80\n",
		"director explain dns/":                "dns/app9\n",
		"director weight web app1 ":            "0\n10%\n25%\n50%\n75%\n",
		"director events --kind instance,se":   "instance,server\ninstance,service\n",
		"director events --subject=gate":       "--subject=gateway\n",
		"director completion z":                "zsh\tprint the completion script for zsh\n",
		"director status nothing":              "",
		"director --color al":                  "always\n",
		"director ready --everywhere app2 app": "app1\napp9\n",
	} {
		os.Remove(filepath.Join(dir, "director"))
		out, err := shellBeside(t, dir, "fish", "--no-config", "-c", "director completion fish | source; complete -C $argv[1]", line).CombinedOutput()
		if d := cmp.Diff(want, string(out)); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", line, err, d)
		}
	}
}
