package watchdog

import "fmt"

// Departure is why an observer process ends when that is no fault of its own. It is
// all that such a process can say to the parent: it is its exit status.
type Departure int

// The departures. Their numbers are exit statuses, away from those of other ends.
const (
	// MasterGone: the SNMP agent has closed the connection.
	MasterGone Departure = 40 + iota
	// MasterSilent: it does not answer in time.
	MasterSilent
	// MasterRefused: it does not want the session or what is registered.
	MasterRefused
	// MasterGarbled: it said what makes no sense.
	MasterGarbled
)

var departures = map[Departure]string{
	MasterGone:    "the SNMP agent has closed the connection",
	MasterSilent:  "the SNMP agent does not answer in time",
	MasterRefused: "the SNMP agent refuses the session: the log has its reason",
	MasterGarbled: "the SNMP agent said what makes no sense: the log has it",
}

func (d Departure) known() bool { return departures[d] != "" }

// Error tells a departure to a person.
func (d Departure) Error() string {
	if d.known() {
		return departures[d]
	}
	return fmt.Sprintf("exit status %d", int(d))
}
