package link

import (
	"fmt"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Setting is an IPv4 setting of an interface (/proc/sys/net/ipv4/conf/DEVICE/NAME)
// that is to have at least a value. Its removal sets it to what it was before.
type Setting struct {
	Device string
	Name   string // PromoteSecondaries, ARPIgnore or ARPAnnounce
	Value  uint32 // the least; at least 1
}

const (
	// PromoteSecondaries keeps the other addresses of a subnet when its first one is
	// removed. Without it the kernel removes them all, virtual or not.
	PromoteSecondaries = "promote_secondaries"
	// ARPIgnore at 1 has an interface answer for its own addresses only. Without it
	// the interface below a VMAC answers for the virtual addresses, too, under its own
	// MAC address.
	ARPIgnore = "arp_ignore"
	// ARPAnnounce at 2 has an interface never ask under an address that is not its
	// own. Without it the interface below a VMAC asks for the way to a client under
	// the virtual address and its own MAC address, and the client learns that.
	ARPAnnounce = "arp_announce"
)

// The kernel's numbers for per-interface IPv4 settings (linux/if_link.h, linux/ip.h).
const iflaInetConf = 1

var ipv4Devconf = map[string]int{PromoteSecondaries: 20, ARPIgnore: 19, ARPAnnounce: 18}

// Key returns the interface and the name.
func (s Setting) Key() Key { return Key{Kind: KindSetting, Device: s.Device, Rest: s.Name} }

// Variant is the value.
func (s Setting) Variant() string { return strconv.FormatUint(uint64(s.Value), 10) }

// On returns the interface.
func (s Setting) On() string { return s.Device }

func (s Setting) String() string { return "setting " + s.Name + " of " + s.Device }

func (s Setting) add(k *kernel) (already bool, err error) {
	err = k.on(s.Device, func(d *device) error {
		now, ok, err := s.read(k, d)
		if err != nil {
			return err
		}
		if ok && now >= s.Value {
			// What a former process has changed is ours to put back.
			_, changed := k.former.of(s)
			already = !changed
			return nil
		}
		if err := k.former.note(s, now); err != nil {
			return err
		}
		return s.write(k, d, s.Value)
	})
	return already, err
}

func (s Setting) remove(k *kernel) (already bool, err error) {
	err = k.on(s.Device, func(d *device) error {
		value, _ := k.former.of(s)
		now, ok, err := s.read(k, d)
		if err != nil {
			return err
		}
		if already = ok && now == value; already {
			return nil
		}
		return s.write(k, d, value)
	})
	if absent(err) {
		already, err = true, nil // it went with the interface
	}
	if err != nil {
		return false, err
	}
	return already, k.former.drop(s)
}

// read and write go by netlink, because /proc/sys is often read-only for a daemon.
func (s Setting) read(k *kernel, d *device) (value uint32, ok bool, err error) {
	number, known := ipv4Devconf[s.Name]
	if !known {
		return 0, false, fmt.Errorf("unknown setting %q", s.Name)
	}
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(d.Index)
	reply, err := k.request(unix.RTM_GETLINK, 0, info)
	if err != nil {
		return 0, false, err
	}
	value, ok = inetConf(reply, number)
	return value, ok, nil
}

func (s Setting) write(k *kernel, d *device, value uint32) error {
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(d.Index)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(iflaInetConf, nil).AddRtAttr(ipv4Devconf[s.Name], nl.Uint32Attr(value))
	_, err := k.request(unix.RTM_SETLINK, 0, info, spec)
	return err
}

// inetConf finds an IPv4 setting in the description of a link: an array that
// begins with number 1.
func inetConf(reply [][]byte, number int) (uint32, bool) {
	for _, message := range reply {
		array := attribute(behind(message, unix.SizeofIfInfomsg), unix.IFLA_AF_SPEC, unix.AF_INET, iflaInetConf)
		if at := 4 * (number - 1); len(array) >= at+4 {
			return nl.NativeEndian().Uint32(array[at:]), true
		}
	}
	return 0, false
}
