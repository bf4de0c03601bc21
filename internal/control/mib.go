package control

// MIBState is a state of an instance or a sync group as KEEPALIVED-MIB numbers it
// (VrrpState); unknown(4) for what it does not know.
func MIBState(s string) int {
	switch s {
	case "INIT":
		return 0
	case "BACKUP":
		return 1
	case "MASTER":
		return 2
	case "FAULT":
		return 3
	case "STOP":
		return 5 // shutdown
	}
	return 4
}

// MIBMasterReason is why a router became MASTER as RFC 6527 numbers it
// (vrrpv3StatisticsNewMasterReason), by the stable name of the transition's reason.
func MIBMasterReason(code string) int {
	switch code {
	case "preempted":
		return 2
	case "master_down":
		return 3 // masterNoResponse
	}
	return 1 // priority: the owner, a router that goes on, or one whose master gave up
}
