package ipvs_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"director/ipvs"
	"director/ipvs/ipvstest"
)

// Each line means what the second one says, which has everything spelled out.
func TestParseCommands(t *testing.T) {
	for line, want := range map[string]string{
		"-A -t 192.0.2.1:80":                                                             "-A -t 192.0.2.1:80 -s wlc",
		"ipvsadm -A -t 192.0.2.1:80":                                                     "-A -t 192.0.2.1:80 -s wlc",
		"/sbin/ipvsadm --add-service --tcp-service 192.0.2.1:80":                         "-A -t 192.0.2.1:80 -s wlc",
		"-At 192.0.2.1:80 -srr":                                                          "-A -t 192.0.2.1:80 -s rr",
		"-A --tcp-service=192.0.2.1:80 --scheduler=rr -p":                                "-A -t 192.0.2.1:80 -s rr -p 360",
		"-A -p -u 192.0.2.1:80 -o":                                                       "-A -u 192.0.2.1:80 -s wlc -p 360 -o",
		"-A -p50 -u 192.0.2.1 --ops":                                                     "-A -u 192.0.2.1:0 -s wlc -p 50 -o",
		"-A --sctp-service [2001:db8::1]:9 -p 9 -M 64":                                   "-A --sctp-service [2001:db8::1]:9 -s wlc -p 9 -M 64",
		"-A -t 192.0.2.1:80 -p 9 -M 255.255.255.0 --pe sip":                              "-A -t 192.0.2.1:80 -s wlc -p 9 -M 255.255.255.0 --pe sip",
		"-A -t 192.0.2.1:80 --pe sip":                                                    "-A -t 192.0.2.1:80 -s wlc --pe sip",
		"-A -t 192.0.2.1:80 -p 9 -M 255.255.255.255":                                     "-A -t 192.0.2.1:80 -s wlc -p 9",
		"-E -f 3 -s sh -b sh-port,flag-1":                                                "-E -f 3 -s sh -b sh-fallback,sh-port",
		"-E -6 -f 3 -s mh -b mh-port,flag-3":                                             "-E -f 3 -6 -s mh -b mh-port,flag-3",
		"-A -f -1 -s rr":                                                                 "-A -f 4294967295 -s rr",
		"-D -f 4294967295 -6":                                                            "-D -f 4294967295 -6",
		"-D --udp-service 192.0.2.1:53":                                                  "-D -u 192.0.2.1:53",
		"-a -t 192.0.2.1:80 -r 10.0.0.1":                                                 "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1",
		"-a -t 192.0.2.1:80 -r 10.0.0.1:81 -g":                                           "-a -t 192.0.2.1:80 -r 10.0.0.1:81 -g -w 1",
		"-a -f 3 -r 10.0.0.1":                                                            "-a -f 3 -r 10.0.0.1:0 -g -w 1",
		"-a -f 3 -6 -r [2001:db8::5]":                                                    "-a -f 3 -6 -r [2001:db8::5]:0 -g -w 1",
		"-e -t 192.0.2.1:80 -r 10.0.0.1:8080 -mw 2147483647":                             "-e -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 2147483647",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -x 10 -y10 -m -w0":                               "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0 -x 10 -y 10",
		"-a -t 192.0.2.1:80 -r [2001:db8::5]:80 -i":                                      "-a -t 192.0.2.1:80 -r [2001:db8::5]:80 -i -w 1 --tun-type ipip",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 --ipip --tun-type ipip":                          "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-type gre":                               "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -i -w 1 --tun-type gre --tun-nocsum",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-type gre --tun-csum":                    "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -i -w 1 --tun-type gre --tun-csum",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-port 6080 --tun-type gue --tun-remcsum": "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
		"-d -t [2001:db8::1]:80 -r [2001:db8::5]":                                        "-d -t [2001:db8::1]:80 -r [2001:db8::5]:80",
		"-C":         "-C",
		"--clear":    "-C",
		"":           "",
		" # comment": "",
		"ipvsadm":    "",
	} {
		list, err := ipvs.ParseCommands(line+"\n", ipvs.Names{})
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		got := ""
		if len(list) > 0 {
			got = list[0].String()
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", line, got, want)
		}
	}
}

func TestParseCommandsRefuses(t *testing.T) {
	const verbs = "-A, -E, -D, -a, -e, -d and -C"
	for line, want := range map[string]string{
		"-t 192.0.2.1:80":                                                "no command, allowed is one of " + verbs,
		"-A -D -t 192.0.2.1:80":                                          "-A and -D on one line, allowed is one of " + verbs,
		"-A":                                                             "the line names 0 services, allowed is exactly one of -t, -u, --sctp-service and -f",
		"-A -t 192.0.2.1:80 -f 3":                                        "the line names 2 services",
		"-A -t 192.0.2.1:80 -t 192.0.2.1:80":                             "-t is given twice",
		"-A -t 192.0.2.1:80 --tcp-service=a:1":                           "-t is given twice",
		"-A -t 192.0.2.1:80 -r 10.0.0.1":                                 "-r does not go with -A, allowed is -t, -u, --sctp-service, -f, -6, -s, -p, -M, --pe, -o, -b",
		"-D -t 192.0.2.1:80 -s rr":                                       "-s does not go with -D, allowed is -t, -u, --sctp-service, -f, -6",
		"-d -t 192.0.2.1:80 -r 10.0.0.1 -w 1":                            "-w does not go with -d, allowed is -t, -u, --sctp-service, -f, -6, -r",
		"-C -t 192.0.2.1:80":                                             "-t does not go with -C, allowed is nothing",
		"-A -t 192.0.2.1:80 -6":                                          "-6 goes with -f only",
		"-A -t 192.0.2.1:80 # end":                                       `"#" is no option and belongs to none`,
		"-A -t 192.0.2.1:80 -":                                           `"-" is no option and belongs to none`,
		"-A -t":                                                          "-t needs a value",
		"-A -t 192.0.2.1:80 -s":                                          "-s needs a value",
		"-A -t 192.0.2.1:80 --ops=1":                                     "--ops=1: the option has no value, or an empty one",
		"-A -t 192.0.2.1:80 --scheduler=":                                "--scheduler=: the option has no value, or an empty one",
		"-A -t 192.0.2.1:80 -q":                                          "unknown option -q, allowed is -A, -E",
		"-A -t 192.0.2.1:80 --persist":                                   "unknown option --persist, allowed is",
		"--set 900 120 300":                                              "--set is not part of a table; director sets the timeouts of [ipvs_timeouts]",
		"--start-daemon master":                                          "--start-daemon is not part of a table; director runs the sync daemons of [ipvs_sync]",
		"-L":                                                             "-L does not change the table, allowed is one of " + verbs,
		"-A -t www.example.com:80":                                       `-t "www.example.com:80": "www.example.com" is no address; a table is saved without names by`,
		"-A -t 192.0.2.1:http":                                           `-t "192.0.2.1:http": port "http": allowed is a number from 0 to 65535`,
		"-A -t 192.0.2.1:65536":                                          `port "65536": allowed is a number from 0 to 65535`,
		"-A -t 2001:db8::1:80":                                           "an IPv6 address stands in brackets: [2001:db8::1]:80",
		"-A -t [2001:db8::1:80":                                          "allowed is ADDRESS:PORT, or [ADDRESS]:PORT for IPv6",
		"-A -t [2001:db8::1]80":                                          "allowed is ADDRESS:PORT, or [ADDRESS]:PORT for IPv6",
		"-A -t [192.0.2.1]:80":                                           "allowed is ADDRESS:PORT, or [ADDRESS]:PORT for IPv6",
		"-A -t [fe80::1%eth0]:80":                                        `"fe80::1%eth0" is no address`,
		"-A -t 192.0.2.1":                                                "port is 0, which stands for every port and needs -p",
		"-A -f 0":                                                        `-f "0": allowed is a firewall mark from 1 to 4294967295`,
		"-A -f 4294967296":                                               "allowed is a firewall mark",
		"-A -f 0x10":                                                     "allowed is a firewall mark",
		"-A -t 192.0.2.1:80 -s best":                                     `-s "best": allowed is one of rr, wrr, lc`,
		"-A -t 192.0.2.1:80 -p 0":                                        `-p "0": allowed is a number from 1 to 2678400`,
		"-A -t 192.0.2.1:80 -p 2678401":                                  "allowed is a number from 1 to 2678400",
		"-A -t 192.0.2.1:80 -M 255.255.255.0":                            "-M groups the clients that -p binds to their servers, and -p is missing",
		"-A -t 192.0.2.1:80 -p 9 -M 24":                                  `-M "24": allowed for IPv4 is a mask such as 255.255.255.0`,
		"-A -t [2001:db8::1]:80 -p 9 -M 129":                             `-M "129": allowed is a number from 1 to 128`,
		"-A -t [2001:db8::1]:80 -p 9 -M 0":                               `-M "0": allowed is a number from 1 to 128`,
		"-A -t 192.0.2.1:80 --pe best":                                   `--pe "best": allowed is sip`,
		"-A -t 192.0.2.1:80 -o":                                          "-o schedules each datagram for itself and goes with -u and -f only",
		"-A -t 192.0.2.1:80 -s sh -b mh-port":                            `-b "mh-port": allowed with -s sh is sh-fallback, sh-port, flag-1, flag-2, flag-3`,
		"-A -t 192.0.2.1:80 -s rr -b sh-port":                            `-b "sh-port": allowed with -s rr is flag-1, flag-2, flag-3`,
		"-a -t 192.0.2.1:80":                                             "-r is missing: which real server?",
		"-a -t 192.0.2.1:80 -r 224.0.0.1":                                `-r "224.0.0.1": no real server can have this address`,
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -m -i":                           "allowed is one of -g, -i and -m",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -w -1":                           `-w "-1": allowed is a number from 0 to 2147483647`,
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -w 2147483648":                   "allowed is a number from 0 to 2147483647",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -x 10 -y 11":                     `-y "11": allowed is a number from 0 to 10`,
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -x 4294967296":                   "allowed is a number from 0 to 4294967295",
		"-a -t 192.0.2.1:80 -r [2001:db8::5]:80":                         "a real server of another IP version than its service needs a tunnel, -i",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -m --tun-type gre":               "the options of a tunnel go with -i only",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 --tun-csum":                      "the options of a tunnel go with -i only",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-type vxlan":             `--tun-type "vxlan": allowed is ipip, gue, gre`,
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-type gue":               "--tun-type gue needs --tun-port",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-type gue --tun-port 0":  `--tun-port "0": allowed is a number from 1 to 65535`,
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-port 6080":              "--tun-port goes with --tun-type gue only",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-csum":                   "--tun-csum goes with --tun-type gue and gre only",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-type gre --tun-remcsum": "--tun-remcsum goes with --tun-type gue only",
		"-a -t 192.0.2.1:80 -r 10.0.0.1 -i --tun-type gue --tun-port 1 --tun-csum --tun-nocsum": "allowed is one of --tun-nocsum, --tun-csum and --tun-remcsum",
	} {
		list, err := ipvs.ParseCommands("-C\n"+line, ipvs.Names{})
		var wrong ipvs.CommandErrors
		if list != nil || !errors.As(err, &wrong) || len(wrong) != 1 || wrong[0].Line != 2 || !strings.Contains(wrong[0].Err.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", line, err, want)
		}
	}
}

func TestParseCommandsTellsEveryError(t *testing.T) {
	_, err := ipvs.ParseCommands("-A -t 192.0.2.1:80\n\n-Q\n# fine\n-A -f 0\n", ipvs.Names{})
	if err == nil || !strings.HasPrefix(err.Error(), "line 3: unknown option -Q") || !strings.Contains(err.Error(), "\nline 5: -f") {
		t.Errorf("got %v", err)
	}
}

func TestParseCommandsLooksNamesUp(t *testing.T) {
	unknown := errors.New("nobody knows it")
	names := ipvs.Names{
		Host: func(name string, f ipvs.Family) (netip.Addr, error) {
			switch name + " " + f.String() {
			case "www ipv4", "www family-0":
				return netip.MustParseAddr("192.0.2.1"), nil
			case "www ipv6":
				return netip.MustParseAddr("2001:db8::5"), nil
			}
			return netip.Addr{}, unknown
		},
		Port: func(name string, p ipvs.Protocol) (uint16, error) {
			if name == "http" && p == ipvs.TCP {
				return 80, nil
			}
			return 0, unknown
		},
	}
	const text = "-A -t www:http\n-a -t www:http -r www:http\n-A -t [2001:db8::1]:http\n-a -t [2001:db8::1]:http -r www"
	list, err := ipvs.ParseCommands(text, names)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		got = append(got, c.String())
	}
	want := []string{
		"-A -t 192.0.2.1:80 -s wlc", "-a -t 192.0.2.1:80 -r 192.0.2.1:80 -g -w 1",
		"-A -t [2001:db8::1]:80 -s wlc", "-a -t [2001:db8::1]:80 -r [2001:db8::5]:80 -g -w 1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, line := range []string{"-A -t mail:http", "-A -t www:smtp", "-A -u www:http"} {
		if _, err := ipvs.ParseCommands(line, names); !errors.Is(err.(ipvs.CommandErrors)[0], unknown) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestRunSaysWhatTheKernelWould(t *testing.T) {
	table := ipvs.Table{}
	list, err := ipvs.ParseCommands(strings.Join([]string{
		"-A -t 192.0.2.1:80", "-A -t 192.0.2.1:80", "-a -t 192.0.2.2:80 -r 10.0.0.1", "-d -t 192.0.2.1:80 -r 10.0.0.1",
		"-a -t 192.0.2.1:80 -r 10.0.0.1", "-a -t 192.0.2.1:80 -r 10.0.0.1", "-E -t 192.0.2.1:80 -s rr",
	}, "\n"), ipvs.Names{})
	if err != nil {
		t.Fatal(err)
	}
	err = table.Run(list)
	const want = "line 2: add 192.0.2.1:80/tcp: it is in the table already\n" +
		"line 3: add 192.0.2.2:80/tcp 10.0.0.1:80: the table has no such service\n" +
		"line 4: delete 192.0.2.1:80/tcp 10.0.0.1:80: the service has no such real server\n" +
		"line 6: add 192.0.2.1:80/tcp 10.0.0.1:80: it is in the table already"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if !errors.Is(err.(ipvs.CommandErrors)[0], syscall.EEXIST) {
		t.Error("the kernel's error number is lost")
	}
	if got := table.String(); got != "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1\n" {
		t.Errorf("the table is\n%s", got)
	}
	if list, _ = ipvs.ParseCommands("-C", ipvs.Names{}); table.Run(list) != nil || len(table) != 0 {
		t.Errorf("after -C the table is\n%s", table)
	}
}

// strange reports what ipvsadm refuses, and the parser with it, although the kernel takes it.
func strange(k ipvs.ServiceKey, s ipvs.Service) bool {
	return k.FWMark == 0 && (k.Addr.Port() == 0 && s.PersistenceTimeout == 0 || k.Protocol != ipvs.UDP && s.Flags&ipvs.FlagOnePacket != 0)
}

func TestTablesSurviveTheirText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := ipvstest.Tables(ipvs.Schedulers()).Draw(t, "table")
		for k, e := range table {
			if strange(k, e.Service) {
				delete(table, k)
			}
		}
		list, err := ipvs.ParseCommands(table.String(), ipvs.Names{})
		if err != nil {
			t.Fatal(err)
		}
		got := ipvs.Table{}
		if err := got.Run(list); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(table.Canonical().String(), got.String()); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzParseCommands: what is understood is printed so that it is understood again as the
// same, and is something that can be said to the kernel.
func FuzzParseCommands(f *testing.F) {
	for _, s := range []string{
		"-A -t 192.0.2.1:443 -s mh -p 300 -M 255.255.255.0 -b mh-fallback,mh-port\n-a -t 192.0.2.1:443 -r 10.0.0.3:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum\n",
		"-A -f 7 -6 -s sed -p 3600 -M 64\n-E --fwmark-service=7 -p\n", "-C\n-D --sctp-service [2001:db8::1]:9", "ipvsadm -At[::1]:0 -p5",
		"-a -u 192.0.2.1:53 -r 10.0.0.1 -mw5 -x7 -y 5",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ipvs.ParseCommands(text, ipvs.Names{})
		if err != nil {
			return
		}
		var again strings.Builder
		for i, c := range list {
			if err := c.Op.Valid(); err != nil && !c.Clear {
				t.Fatalf("%s: %v", c, err)
			}
			list[i].Line = i + 1
			fmt.Fprintln(&again, c)
		}
		second, err := ipvs.ParseCommands(again.String(), ipvs.Names{})
		if err != nil || !slices.Equal(list, second) {
			t.Fatalf("%v\n%s", err, again.String())
		}
	})
}
