package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"director/config"
	language "director/config/keepalived"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// Of each sample that Debian's keepalived starts, its own dump of what it has read says the same of every instance as director's model:
// versions, priorities, times, announcements, passwords, addresses, peers and trackers.
func TestModelsOfKeepalived(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(keepalivedSamples + "/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	twins, err := filepath.Glob("../etc/examples/*/a.conf")
	if err != nil {
		t.Fatal(err)
	}
	var compared atomic.Int32
	t.Run("samples", func(t *testing.T) {
		for _, file := range append(files, twins...) {
			path, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "lvs_sync_daemon") || strings.Contains(string(text), "net_namespace") {
				continue // needs the kernel's IPVS, or a namespace of that name
			}
			t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				cfg, _, err := language.Parse(path, text, languageOptions())
				if err != nil || len(cfg.Instances) == 0 {
					return
				}
				l := labtest.New(t, "model")
				h := interfaces(l)
				if keepalivedSays(t, h, path) != "good" {
					return
				}
				theirs := keepalivedReads(t, h, path)
				for i := range cfg.Instances {
					in := &cfg.Instances[i]
					if d := cmp.Diff(theirs[in.Name], facts(in)); d != "" {
						t.Errorf("%s (-keepalived +director):\n%s", in.Name, d)
					}
					compared.Add(1)
				}
			})
		}
	})
	if n := compared.Load(); n < 40 {
		t.Errorf("only %d instances were compared", n)
	}
}

var logTime = regexp.MustCompile(`(?m)^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}: ?`)

// keepalivedReads starts keepalived's VRRP process and returns what it says of its instances.
func keepalivedReads(t *testing.T, h *netlab.Host, path string) map[string]map[string]string {
	k, err := h.Start("dump", "keepalived", "-n", "-l", "-G", "-d", "-P", "-B", "-i", "lb1", "-f", path, "-p", h.Path("k.pid"), "-r", h.Path("v.pid"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.KillGroup()
	var dump string
	if err := netlab.EventuallyWithin(patience, func() error {
		_, rest, found := strings.Cut(logTime.ReplaceAllString(k.Log(), ""), "------< VRRP Topology >------\n")
		dump, _, _ = strings.Cut(rest, "------<")
		if !found || dump == rest {
			return fmt.Errorf("keepalived has not written its dump yet (%s)", k.State())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{}
	var one map[string]string
	section := ""
	for line := range strings.Lines(dump) {
		line = strings.TrimRight(line, "\n")
		key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		switch {
		case !strings.HasPrefix(line, " "): // what another of its processes has to say meanwhile
		case strings.HasPrefix(line, " VRRP Instance = "):
			one = map[string]string{}
			all[value] = one
		case strings.HasPrefix(line, "     ") && section != "":
			one[section] = strings.TrimSpace(one[section] + "; " + item(section, strings.TrimSpace(line)))
		default:
			section = sections[strings.TrimSpace(regexp.MustCompile(`( \(\d+\))? ?:$`).ReplaceAllString(line, ""))]
			if name := names[key]; name != "" {
				one[name] = value
			}
		}
	}
	return all
}

// sections and names are what keepalived's dump calls what is compared.
var (
	sections = map[string]string{
		"Virtual IP": "addresses", "Virtual IP Excluded": "excluded", "Unicast Peer": "peers", "Tracked scripts": "scripts",
		"Tracked interfaces": "interfaces", "Tracked files": "files", "Tracked processes": "processes", "Tracked BFDs": "bfd",
	}
	names = map[string]string{
		"VRRP Version": "version", "Virtual Router ID": "vrid", "Priority": "priority", "Advert interval": "interval", "Accept": "accept", "Preempt": "preempt",
		"Preempt delay": "preempt delay", "Down timer adverts": "down", "Authentication type": "auth", "Password": "password", "Using smtp notification": "mail",
		"Gratuitous ARP delay": "garp delay", "Gratuitous ARP repeat": "garp repeat", "Gratuitous ARP refresh": "garp refresh",
		"Gratuitous ARP refresh repeat": "garp refresh repeat", "Gratuitous ARP lower priority delay": "lower delay",
		"Gratuitous ARP lower priority repeat": "lower repeat", "Send advert after receive lower priority advert": "answer lower",
		"Send advert after receive higher priority advert": "answer higher", "Unicast TTL": "ttl",
	}
	weightOf = regexp.MustCompile(`^(\S+?)[,:]? weight (\S+)( reverse)?$`)
)

// item is one line of a list in the form of facts.
func item(section, line string) string {
	if m := weightOf.FindStringSubmatch(line); m != nil {
		return m[1] + " " + m[2] + m[3]
	}
	words := strings.Fields(line)
	if section == "peers" {
		return fmt.Sprintf("%s %s-%s", words[0], strings.Replace(words[2], "0", "1", map[bool]int{true: 1}[words[2] == "0"]), words[4])
	}
	return words[0]
}

// facts is what director's model says of an instance, in the words of keepalived's dump.
func facts(in *config.Instance) map[string]string {
	onOff := map[bool]string{true: "enabled", false: "disabled"}
	seconds := func(d config.Duration) string { return fmt.Sprintf("%g", d.D().Seconds()) }
	f := map[string]string{
		"version": fmt.Sprint(in.Version), "vrid": fmt.Sprint(in.VRID), "priority": fmt.Sprint(in.Priority), "accept": onOff[in.Accept],
		"preempt": onOff[!in.NoPreempt], "down": fmt.Sprint(in.DownTimerAdverts), "mail": map[bool]string{true: "yes", false: "no"}[in.Mail],
		"garp delay": seconds(in.Garp.Delay), "garp repeat": fmt.Sprint(in.Garp.Repeat), "garp refresh": seconds(in.Garp.Refresh),
		"garp refresh repeat": fmt.Sprint(in.Garp.RefreshRepeat), "lower delay": seconds(in.Garp.LowerPrioDelay), "lower repeat": fmt.Sprint(in.Garp.LowerPrioRepeat),
		"answer lower": fmt.Sprint(!in.LowerPrioNoAdvert), "answer higher": fmt.Sprint(in.HigherPrioSendAdvert),
		"interval": fmt.Sprintf("%d milli-sec", in.AdvertInterval.D().Milliseconds()),
	}
	if in.Version == 2 {
		f["interval"] = seconds(in.AdvertInterval) + " sec"
		f["auth"] = map[string]string{"": "none", "PASS": "SIMPLE_PASSWORD", "AH": "IPSEC_AH"}[in.Authentication.Type]
		if in.Authentication.Type != "" {
			f["password"] = string(in.Authentication.Password)
		}
	}
	if in.PreemptDelay > 0 {
		f["preempt delay"] = seconds(in.PreemptDelay) + " secs"
	}
	list := func(key string, n int, text func(int) string) {
		var all []string
		for i := range n {
			all = append(all, "; "+text(i))
		}
		if n > 0 {
			f[key] = strings.Join(all, "")
		}
	}
	addresses := func(key string, of []config.VirtualAddress) {
		list(key, len(of), func(i int) string {
			if p := of[i].Prefix; p.Bits() == p.Addr().BitLen() {
				return p.Addr().String()
			}
			return of[i].Prefix.String()
		})
	}
	addresses("addresses", in.Addresses)
	addresses("excluded", in.Excluded)
	list("peers", len(in.Peers), func(i int) string {
		return fmt.Sprintf("%s %d-%d", in.Peers[i].Address, in.Peers[i].MinTTL, in.Peers[i].MaxTTL)
	})
	if len(in.Peers) > 0 {
		f["ttl"] = fmt.Sprint(in.UnicastTTL)
	}
	for _, use := range in.Uses() {
		key := map[config.TrackKind]string{config.KindScript: "scripts", config.KindInterface: "interfaces", config.KindFile: "files",
			config.KindProcess: "processes", config.KindBFD: "bfd"}[use.Kind]
		f[key] += fmt.Sprintf("; %s %d%s", use.Name, use.Weight, map[bool]string{true: " reverse"}[use.Reverse])
	}
	return f
}
