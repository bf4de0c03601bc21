package ipvs

import (
	"fmt"
	"slices"
	"strings"
)

// admOption is one option of ipvsadm that a table is written with.
type admOption struct {
	short string // one letter, or empty
	long  string
	value wanted
	verb  OpKind // the option is a command
	clear bool   // the option is the command to clear the table
	with  group  // the commands that it goes with
}

// wanted says whether an option has a value.
type wanted uint8

const (
	noValue wanted = iota
	oneValue
	maybeValue
)

// group is a set of commands.
type group uint8

const (
	onService  group = 1 << iota // add and edit a service
	onServer                     // add and edit a real server
	delService                   //
	delServer                    //
	onAny      = onService | onServer | delService | delServer
)

// admOptions are the options, in the order in which errors name them.
var admOptions = []admOption{
	{short: "A", long: "add-service", verb: AddService},
	{short: "E", long: "edit-service", verb: EditService},
	{short: "D", long: "delete-service", verb: DeleteService},
	{short: "a", long: "add-server", verb: AddDest},
	{short: "e", long: "edit-server", verb: EditDest},
	{short: "d", long: "delete-server", verb: DeleteDest},
	{short: "C", long: "clear", clear: true},
	{short: "t", long: "tcp-service", value: oneValue, with: onAny},
	{short: "u", long: "udp-service", value: oneValue, with: onAny},
	{long: "sctp-service", value: oneValue, with: onAny},
	{short: "f", long: "fwmark-service", value: oneValue, with: onAny},
	{short: "6", long: "ipv6", with: onAny},
	{short: "s", long: "scheduler", value: oneValue, with: onService},
	{short: "p", long: "persistent", value: maybeValue, with: onService},
	{short: "M", long: "netmask", value: oneValue, with: onService},
	{long: "pe", value: oneValue, with: onService},
	{short: "o", long: "ops", with: onService},
	{short: "b", long: "sched-flags", value: oneValue, with: onService},
	{short: "r", long: "real-server", value: oneValue, with: onServer | delServer},
	{short: "g", long: "gatewaying", with: onServer},
	{short: "i", long: "ipip", with: onServer},
	{short: "m", long: "masquerading", with: onServer},
	{short: "w", long: "weight", value: oneValue, with: onServer},
	{short: "x", long: "u-threshold", value: oneValue, with: onServer},
	{short: "y", long: "l-threshold", value: oneValue, with: onServer},
	{long: "tun-type", value: oneValue, with: onServer},
	{long: "tun-port", value: oneValue, with: onServer},
	{long: "tun-nocsum", with: onServer},
	{long: "tun-csum", with: onServer},
	{long: "tun-remcsum", with: onServer},
}

const verbNames = "-A, -E, -D, -a, -e, -d and -C"

// optionsByName are the same by their names, with their dashes.
var optionsByName = func() map[string]*admOption {
	m := map[string]*admOption{}
	for i := range admOptions {
		o := &admOptions[i]
		m["--"+o.long] = o
		if o.short != "" {
			m["-"+o.short] = o
		}
	}
	return m
}()

// optionNamed returns the option with a long name, which must be one.
func optionNamed(long string) *admOption { return optionsByName["--"+long] }

// isVerb reports whether the option is a command.
func (o *admOption) isVerb() bool { return o.verb != 0 || o.clear }

// text is how the option is named in errors.
func (o *admOption) text() string {
	if o.short != "" {
		return "-" + o.short
	}
	return "--" + o.long
}

// goesWith reports whether the option may stand beside a command.
func (o *admOption) goesWith(verb *admOption) bool {
	var g group
	switch verb.verb {
	case AddService, EditService:
		g = onService
	case AddDest, EditDest:
		g = onServer
	case DeleteService:
		g = delService
	case DeleteDest:
		g = delServer
	}
	return o == verb || o.with&g != 0
}

func allowedWith(verb *admOption) string {
	var list []string
	for i := range admOptions {
		o := &admOptions[i]
		if !o.isVerb() && o.goesWith(verb) {
			list = append(list, o.text())
		}
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// splitOptions returns the values of a line's options by their long names. Short
// options may stand together (-at) and before their value (-w5).
func splitOptions(words []string) (map[string]string, error) {
	given := map[string]string{}
	put := func(o *admOption, value string) error {
		if _, twice := given[o.long]; twice {
			return fmt.Errorf("%s is given twice", o.text())
		}
		given[o.long] = value
		return nil
	}
	for i := 0; i < len(words); i++ {
		// next takes the following word for a value.
		next := func(o *admOption) (string, error) {
			if i+1 < len(words) && (o.value == oneValue || !strings.HasPrefix(words[i+1], "-")) {
				i++
				return words[i], nil
			}
			if o.value == maybeValue {
				return "", nil
			}
			return "", fmt.Errorf("%s needs a value", o.text())
		}
		word := words[i]
		if long := strings.HasPrefix(word, "--"); long {
			name, value, attached := strings.Cut(word, "=")
			o := optionsByName[name]
			if o == nil {
				return nil, unknownOption(name)
			}
			switch {
			case attached && (o.value == noValue || value == ""):
				return nil, fmt.Errorf("%s: the option has no value, or an empty one", word)
			case !attached && o.value != noValue:
				var err error
				if value, err = next(o); err != nil {
					return nil, err
				}
			}
			if err := put(o, value); err != nil {
				return nil, err
			}
			continue
		}
		letters, isOption := strings.CutPrefix(word, "-")
		if !isOption || letters == "" {
			return nil, fmt.Errorf("%q is no option and belongs to none", word)
		}
		for letters != "" {
			o := optionsByName["-"+letters[:1]]
			if o == nil {
				return nil, unknownOption("-" + letters[:1])
			}
			letters = letters[1:]
			value := ""
			if o.value != noValue {
				value, letters = letters, ""
				if value == "" {
					var err error
					if value, err = next(o); err != nil {
						return nil, err
					}
				}
			}
			if err := put(o, value); err != nil {
				return nil, err
			}
		}
	}
	return given, nil
}

// unknownOption says why an option cannot stand in the description of a table.
func unknownOption(name string) error {
	switch {
	case name == "--set":
		return fmt.Errorf("--set is not part of a table; director sets the timeouts of [ipvs_timeouts]")
	case name == "--start-daemon" || name == "--stop-daemon":
		return fmt.Errorf("%s is not part of a table; director runs the sync daemons of [ipvs_sync]", name)
	case slices.Contains([]string{"-L", "-l", "--list", "-S", "--save", "-R", "--restore", "-Z", "--zero"}, name):
		return fmt.Errorf("%s does not change the table, allowed is one of %s", name, verbNames)
	}
	var known []string
	for i := range admOptions {
		o := &admOptions[i]
		known = append(known, o.text())
	}
	return fmt.Errorf("unknown option %s, allowed is %s", name, strings.Join(known, ", "))
}
