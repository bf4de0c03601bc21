package config

// timing checks the keys of an instance that say when and how it becomes MASTER and
// remains it, and resolves their defaults.
func (v *validator) timing(at place, in *Instance) {
	garp := at.child("garp")
	if !garp.has("lower_prio_repeat") {
		in.Garp.LowerPrioRepeat = in.Garp.Repeat
	}
	if !garp.has("lower_prio_delay") {
		in.Garp.LowerPrioDelay = in.Garp.Delay
	}
	if at := at.child("preempt_delay"); in.PreemptDelay > 0 && v.ok(at) {
		switch {
		case in.NoPreempt:
			v.errorf(at, "contradicts nopreempt = true, allowed is one of the two: with nopreempt a master of lower priority is never replaced, and there is nothing to delay")
		case in.Priority == 255:
			v.errorf(at, "contradicts priority = 255, allowed with a delay is a priority from 1 to 254: the address owner starts as master (RFC 9568 section 6.4.1)")
		}
	}
	if at, prio := at.child("owner_ignore_adverts"), at.child("priority"); in.OwnerIgnoreAdverts && in.Priority != 255 && v.ok(prio) {
		v.errorf(at, "contradicts priority = %d, allowed with priority = 255 alone: any other master must yield to a better one", in.Priority)
	}
}
