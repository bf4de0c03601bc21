package config

// Tracking lists what an instance or a sync group depends on beside its own
// interface. The tables are part of the instance's own.
type Tracking struct {
	TrackScripts    []Track          `toml:"track_script" short:"name"`
	TrackInterfaces []TrackInterface `toml:"track_interface" short:"name"`
	TrackBFD        []Track          `toml:"track_bfd" short:"name"`
}

// Track is the use of a tracker by an instance or a group.
//
// With the weight 0 the instance is in FAULT while the tracker is down. A
// negative weight is added to the priority while it is down, a positive one
// while it is up. Reverse turns that round: FAULT while it is up, or the weight
// counted with the other sign.
type Track struct {
	Name    string `toml:"name" form:"name" required:"true"`
	Weight  int    `toml:"weight" default:"=the script's weight" min:"-253" max:"253"`
	Reverse bool   `toml:"reverse" default:"=the script's reverse"`
}

// TrackInterface is a Track that names an interface: one that is down or does
// not exist is down.
type TrackInterface struct {
	Name    string `toml:"name" form:"interface" required:"true"`
	Weight  int    `toml:"weight" default:"=0" min:"-253" max:"253"`
	Reverse bool   `toml:"reverse" default:"=false"`
}

// TrackKind is a kind of trackers. Within one, a name means one thing.
type TrackKind string

// The kinds.
const (
	KindScript    TrackKind = "script"
	KindInterface TrackKind = "interface"
	KindBFD       TrackKind = "bfd"
)

// Use is one entry of a Tracking.
type Use struct {
	Kind TrackKind
	Track
}

// Uses lists all entries, kind by kind in the order of the file.
func (t *Tracking) Uses() []Use {
	var all []Use
	for _, kind := range trackKinds() {
		for _, e := range t.entries(kind) {
			all = append(all, Use{kind, *e})
		}
	}
	return all
}

func trackKinds() []TrackKind { return []TrackKind{KindScript, KindInterface, KindBFD} }

// key is the key that lists the uses of a kind.
func (k TrackKind) key() string { return "track_" + string(k) }

// entries returns the entries of a kind, to be read and resolved.
func (t *Tracking) entries(kind TrackKind) []*Track {
	var list []*Track
	switch kind {
	case KindScript:
		list = pointers(t.TrackScripts)
	case KindBFD:
		list = pointers(t.TrackBFD)
	case KindInterface:
		for i := range t.TrackInterfaces {
			list = append(list, (*Track)(&t.TrackInterfaces[i]))
		}
	}
	return list
}

func pointers(list []Track) []*Track {
	p := make([]*Track, len(list))
	for i := range list {
		p[i] = &list[i]
	}
	return p
}
