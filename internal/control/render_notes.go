package control

import (
	"fmt"
	"strconv"
	"strings"
)

// roomy is how many rows of one kind leave room for lines that only say that all is
// in order. What is not in order is shown however many rows there are.
const roomy = 5

// notes are the lines beneath the row of an instance.
type notes struct {
	t        *table
	rows     int  // instances of the page
	full     bool // everything, in order or not
	troubled bool // there is an alarm about the instance
}

// add adds a line; one that is in order only where there is room.
func (n *notes) add(label, s string, st style) {
	if n.full || n.rows <= roomy || st == warn || st == bad {
		n.t.note(label, s, st)
	}
}

// detail adds a line that nobody needs while all is in order.
func (n *notes) detail(label, s string, wanted bool) {
	if n.full || wanted || n.troubled {
		n.t.note(label, s, faint)
	}
}

// addresses tells of each address that is not as it should be, and of the others in
// one line when the row does not have them all.
func (n *notes) addresses(i Instance) {
	master := i.State == "MASTER"
	byDevice := make(map[string][]string)
	var devices []string
	calm := 0
	for _, a := range i.Addresses {
		switch {
		case a.Error != "":
			n.add("address", fmt.Sprintf("%s on %s: %s", a.Prefix, a.Device, a.Error), bad)
		case a.Installed && !master && !a.Own:
			n.add("address", fmt.Sprintf("%s on %s here although not MASTER", a.Prefix, a.Device), warn)
		case !a.Installed && master:
			n.add("address", fmt.Sprintf("%s on %s missing", a.Prefix, a.Device), bad)
		default:
			calm++
			if byDevice[a.Device] == nil {
				devices = append(devices, a.Device)
			}
			byDevice[a.Device] = append(byDevice[a.Device], a.Prefix.String())
		}
	}
	if calm == 0 || calm == 1 && len(i.Addresses) == 1 && i.Addresses[0].Device == i.Interface && !n.full {
		return
	}
	where := "not here"
	if master {
		where = "here"
	}
	var parts []string
	for _, d := range devices {
		list := byDevice[d]
		if len(list) > roomy && !n.full {
			list = append(list[:roomy:roomy], strconv.Itoa(len(list)-roomy)+" more")
		}
		parts = append(parts, strings.Join(list, ", ")+" on "+d)
	}
	n.add("address", where+": "+strings.Join(parts, "; "), faint)
}

// items tells of routes or rules, of all or of those that are not as they should be.
func (n *notes) items(kind string, list []KernelItem, master bool) {
	calm := 0
	for _, item := range list {
		s, st := item.text(master)
		if !master && item.Installed && !item.Own {
			s, st = s+" although not MASTER", warn
		}
		if (st == plain || st == faint) && len(list) > roomy && !n.full {
			calm++
			continue
		}
		n.add(kind, s, st)
	}
	where := " not here"
	if master {
		where = " here"
	}
	if calm > 0 {
		n.add(kind, plural(uint64(calm), kind, kind+"s")+where, faint)
	}
}

// firstAddress is the first address, and how many follow.
func firstAddress(list []Address) string {
	switch len(list) {
	case 0:
		return "-"
	case 1:
		return list[0].Prefix.Addr().String()
	}
	return fmt.Sprintf("%s +%d", list[0].Prefix.Addr(), len(list)-1)
}

// census counts instances, all and by their state.
func census(list []Instance) string {
	return fmt.Sprintf("%d instances: %s", len(list), CountStates(list))
}

// CountStates counts instances by their state: "2 MASTER, 1 BACKUP".
func CountStates(list []Instance) string {
	count := make(map[string]int)
	for _, i := range list {
		count[i.State]++
	}
	var parts []string
	for _, state := range []string{"MASTER", "BACKUP", "FAULT", "INIT"} {
		if count[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[state], state))
			delete(count, state)
		}
	}
	for state, c := range count { // a state of a newer daemon
		parts = append(parts, fmt.Sprintf("%d %s", c, state))
	}
	return strings.Join(parts, ", ")
}
