package test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

var update = flag.Bool("update", false, "write the transcripts in docs anew")

// readme returns the fenced blocks of a language in the README's section for new users.
func readme(t testing.TB, lang string) []string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Two hosts, one address\n")
	return fenced(t, section, lang)
}

// fenced returns the fenced blocks of a language in a text, at least one.
func fenced(t testing.TB, text, lang string) []string {
	t.Helper()
	var blocks []string
	for _, part := range strings.Split(text, "\n```"+lang+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```\n")
		blocks = append(blocks, block+"\n")
	}
	if len(blocks) == 0 {
		t.Fatalf("there is no %s in:\n%s", lang, text)
	}
	return blocks
}

// A story is what somebody does who knows the README and nothing else: two directors, two web servers and a client on one
// network, and the page that tells of it.
type story struct {
	*labtest.Lab
	t      *testing.T
	hosts  map[string]*netlab.Host
	ports  map[string]*netlab.Port
	lb     map[string]*director
	nginx  map[string]*netlab.Nginx
	config map[string]string // the file of each director as the README has it
	page   strings.Builder
	open   bool // the page is within a block of commands
}

// emptyStory has no hosts yet.
func emptyStory(t *testing.T) *story {
	t.Helper()
	return &story{
		Lab: labtest.New(t, "story"), t: t, hosts: map[string]*netlab.Host{}, ports: map[string]*netlab.Port{},
		lb: map[string]*director{}, nginx: map[string]*netlab.Nginx{}, config: map[string]string{},
	}
}

// newStory makes the hosts, the web servers and the README's files. tidy changes the file's text.
func newStory(t *testing.T, webServers int, tidy func(string) string) *story {
	t.Helper()
	s := emptyStory(t)
	lan := s.Switch("lan")
	conf := tidy(readme(t, "toml")[0])
	s.put("lb1", lan, "192.0.2.1/24")
	s.direct("lb1", conf)
	s.put("lb2", lan, "192.0.2.2/24")
	s.direct("lb2", replaced(t, conf, "= 100", "= 90"))
	for i := range webServers {
		name := fmt.Sprintf("web%d", i+1)
		s.put(name, lan, fmt.Sprintf("192.0.2.%d/24", i+11))
		s.serve(name)
	}
	s.put("client", lan, "192.0.2.100/24")
	return s
}

// put makes a host.
func (s *story) put(name string, sw *netlab.Switch, addr string) *netlab.Host {
	s.t.Helper()
	s.hosts[name] = s.Host(name)
	s.ports[name] = s.Connect(s.hosts[name], "eth0", sw, addr)
	return s.hosts[name]
}

// direct writes a host's configuration.
func (s *story) direct(name, conf string) {
	s.t.Helper()
	h := s.hosts[name]
	s.lb[name] = &director{t: s.t, host: h, configPath: h.Path("director.toml"), runtimeDir: h.Path("run")}
	s.config[name] = conf
	s.lb[name].WriteConfig(conf)
}

// replaced is text with new in the place of old, which must be there.
func replaced(t testing.TB, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("there is no %q in:\n%s", old, text)
	}
	return strings.Replace(text, old, new, 1)
}

// serve starts the web server of a host.
func (s *story) serve(name string) {
	s.t.Helper()
	n, err := s.hosts[name].Nginx(netip.MustParseAddrPort("0.0.0.0:80"), name, netlab.NginxOptions{})
	s.Must(err)
	s.Must(os.WriteFile(s.hosts[name].Path("nginx/www/healthz"), []byte("ok\n"), 0o644))
	s.nginx[name] = n
}

// start starts a director, which believes that its host is called so.
func (s *story) start(name string) {
	s.t.Helper()
	d := s.lb[name]
	argv := append([]string{"unshare", "--uts", "sh", "-c", "hostname " + name + " && exec \"$@\"", "--"}, d.argv("run", "-c", d.ConfigPath())...)
	var err error
	d.Process, err = d.host.StartEnv("director", nil, argv...)
	s.Must(err)
	d.WaitReady()
}

// say writes prose.
func (s *story) say(format string, args ...any) {
	if s.open {
		s.page.WriteString("```\n\n")
		s.open = false
	}
	fmt.Fprintf(&s.page, format+"\n\n", args...)
}

// tell writes a command and what it printed.
func (s *story) tell(host, command, out string) {
	if !s.open {
		s.page.WriteString("```\n")
		s.open = true
	}
	fmt.Fprintf(&s.page, "%s# %s\n%s", host, command, s.stable(out))
}

// run runs a command on a host, as its administrator types it, and returns what it prints. It may end with another status than 0.
func (s *story) run(host, command string) string {
	s.t.Helper()
	out, err := s.try(host, command)
	if err != nil && out == "" {
		s.t.Fatal(err)
	}
	return out
}

// try is run with the command's failure.
func (s *story) try(host, command string) (string, error) {
	s.t.Helper()
	argv := strings.Fields(command)
	if argv[0] == "director" {
		d := s.lb[host]
		argv = append([]string{binary(s.t)}, argv[1:]...)
		if i := slices.Index(argv, "--peer"); i > 0 { // a copy of the other host's file
			argv[i+1] = s.lb[strings.TrimSuffix(argv[i+1], ".toml")].ConfigPath()
		}
		if argv[1] == "check" || argv[1] == "doctor" {
			argv = append(argv, "-c", d.ConfigPath())
		}
		if argv[1] != "check" {
			argv = append(argv, "--runtime-dir", d.RuntimeDir())
		}
	}
	return s.hosts[host].Run(argv...)
}

// show runs a command, tells it, and wants it to print some words. Blanks do not count.
func (s *story) show(host, command string, words ...string) {
	s.t.Helper()
	out := s.run(host, command)
	s.tell(host, command, out)
	if err := contains(out, words); err != nil {
		s.t.Errorf("%s# %s: %v", host, command, err)
	}
}

// await repeats a command until it prints the words, and tells that.
func (s *story) await(host, command string, words ...string) {
	s.t.Helper()
	var out string
	s.Eventually(patience, host+"# "+command, func() error {
		out = s.run(host, command)
		return contains(out, words)
	})
	s.tell(host, command, out)
}

// contains wants words in a text, or not where they begin with a tilde.
func contains(out string, words []string) error {
	flat := strings.Join(strings.Fields(out), " ")
	for _, w := range words {
		w, not := strings.CutPrefix(w, "~")
		if strings.Contains(flat, w) == not {
			return fmt.Errorf("%q: %v, in:\n%s", w, not, out)
		}
	}
	return nil
}

// edit changes something in the README's file of a director.
func (s *story) edit(name, old, new string) {
	s.t.Helper()
	s.lb[name].WriteConfig(replaced(s.t, s.config[name], old, new))
}

// restore gives a director the README's file again.
func (s *story) restore(name string) {
	s.t.Helper()
	s.lb[name].WriteConfig(s.config[name])
}

// text is the page so far.
func (s *story) text() string {
	s.say("")
	return strings.TrimRight(s.page.String(), "\n") + "\n"
}

// holdPage compares a page of docs with what was seen, or writes it.
func holdPage(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("../docs", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(page), text); diff != "" {
		t.Errorf("docs/%s is not what was seen; go test ./test -run %s -update writes it (-page +seen):\n%s", name, t.Name(), diff)
	}
}
