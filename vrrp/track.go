package vrrp

// Verdict is what a tracker says of the thing it watches.
type Verdict uint8

// The verdicts. A tracker is Unknown until it has seen enough results.
const (
	Unknown Verdict = iota
	Up
	Down
	numVerdicts
)

var verdictNames = [numVerdicts]string{"unknown", "up", "down"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "unknown verdict"
}

// ParseVerdict returns the verdict of a name, and false for another text.
func ParseVerdict(name string) (Verdict, bool) {
	for v, n := range verdictNames {
		if n == name {
			return Verdict(v), true
		}
	}
	return Unknown, false
}

// Debounce turns single results into a Verdict: Rise successes in a row are up,
// Fall failures in a row are down, from the first result on.
type Debounce struct {
	Rise, Fall int // at least 1

	verdict Verdict
	run     int // results in a row against the verdict
	last    bool
}

// Verdict returns the present verdict.
func (d *Debounce) Verdict() Verdict { return d.verdict }

// Resume puts back a verdict by its name, as it was before a restart; another
// name leaves it Unknown.
func (d *Debounce) Resume(name string) {
	if v, ok := ParseVerdict(name); ok {
		d.verdict = v
	}
}

// Step takes one result and reports whether the verdict changed.
func (d *Debounce) Step(ok bool) (changed bool) {
	if ok != d.last {
		d.run = 0
	}
	d.last = ok
	d.run++
	switch {
	case ok && d.verdict != Up && d.run >= d.Rise:
		d.verdict = Up
	case !ok && d.verdict != Down && d.run >= d.Fall:
		d.verdict = Down
	default:
		return false
	}
	return true
}

// maxTerm is the most that a term adds or takes away. A number that takes away
// more means FAULT, as in keepalived.
const maxTerm = 253

// Term is the part that one tracker has in the effective priority.
type Term struct {
	Weight  int  // -254..254; 0: the tracker means FAULT instead
	Reverse bool // turns the meaning round, see Value and Fault
	Verdict Verdict
	// Numeric terms carry a Number by which the weight is multiplied. Such a
	// tracker is Up while the number is 0, and Down with any other.
	Numeric bool
	Number  int // within 32 bits
}

// product is the weight times the number, not yet kept within bounds.
func (t Term) product() int {
	p := int64(t.Weight) * int64(t.Number)
	if t.Reverse {
		p = -p
	}
	return int(min(max(p, -maxTerm-1), maxTerm))
}

// Value is what the term adds: a positive weight counts while the tracker is
// up, a negative one while it is down, as in keepalived. Reversed, the weight
// counts at the same time with the other sign. A numeric term adds the weight
// times the number, within -253..253.
func (t Term) Value() int {
	switch {
	case t.Verdict == Unknown:
		return 0
	case t.Numeric:
		return max(t.product(), -maxTerm)
	case (t.Weight > 0 && t.Verdict == Up) || (t.Weight < 0 && t.Verdict == Down):
		if t.Reverse {
			return -t.Weight
		}
		return t.Weight
	}
	return 0
}

// Fault says that the router cannot serve: a tracker without weight is down, or
// up when it is reversed; or a number takes away 254 or more.
func (t Term) Fault() bool {
	if t.Numeric && t.Weight != 0 {
		return t.Verdict != Unknown && t.product() < -maxTerm
	}
	return t.Weight == 0 && (t.Verdict == Down && !t.Reverse || t.Verdict == Up && t.Reverse)
}

// Open says that nobody can say yet whether the router may serve: a tracker
// that can mean FAULT has no verdict.
func (t Term) Open() bool { return t.Verdict == Unknown && (t.Weight == 0 || t.Numeric) }

// EffectivePriority is base with all terms added, kept within 1..254. The
// address owner (255) is not moved by tracking (RFC 9568 section 5.2.4 gives
// 255 to the owner alone).
func EffectivePriority(base uint8, terms []Term) uint8 {
	if base == PriorityOwner {
		return base
	}
	sum := int(base)
	for _, t := range terms {
		sum += t.Value()
	}
	return uint8(min(max(sum, 1), PriorityOwner-1))
}
