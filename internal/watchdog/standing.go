package watchdog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
)

// What operators have ordered for virtual routers is kept here, by the parent: the
// VRRP child does not touch files while it keeps routers alive. A new child is told
// before it gets its configuration.

// Standing tells the VRRP child what stands for which instances. It answers with
// Ordered when ID is not zero.
type Standing struct {
	ID     uint64 `json:",omitempty"`
	Orders map[string]control.Override
}

// standingName is the file in the state directory.
const standingName = "vrrp-orders.json"

const standingVersion = 1

type standingFile struct {
	Version int                         `json:"version"`
	Orders  map[string]control.Override `json:"orders"`
}

// longestStanding bounds how long an order may stand that ends by itself.
const longestStanding = 366 * 24 * time.Hour

// readStanding reads what stood when the daemon ended.
func readStanding(dir string) (map[string]control.Override, error) {
	text, err := os.ReadFile(filepath.Join(dir, standingName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var f standingFile
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil && f.Version != standingVersion {
		err = fmt.Errorf("version %d, known is %d", f.Version, standingVersion)
	}
	for name, o := range f.Orders {
		if err == nil && o.Order != control.VerbRelease && o.Order != control.VerbPrefer {
			err = fmt.Errorf("%q of %s is no order", o.Order, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("record of orders %s: %w", filepath.Join(dir, standingName), err)
	}
	return f.Orders, nil
}

// writeStanding writes it, whole or not at all, and makes sure that it is on the disk.
func writeStanding(dir string, orders map[string]control.Override) error {
	path := filepath.Join(dir, standingName)
	if len(orders) == 0 {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(standingFile{standingVersion, orders})
	if err != nil {
		return err
	}
	return writeWhole(path, append(text, '\n'), nil)
}

// recallOrders takes up what stood when the daemon ended.
func (p *parent) recallOrders() {
	orders, err := readStanding(p.o.StateDir)
	if err != nil {
		aside := filepath.Join(p.o.StateDir, standingName+".unreadable")
		p.log.Warn("orders for virtual routers are forgotten", "reason", err, "kept", aside)
		_ = os.Rename(filepath.Join(p.o.StateDir, standingName), aside) // what fails is told again at the next start
	}
	p.standing = orders
	p.expireLater()
}

// standingNames returns the instances that an order names, those of sync groups among
// them: their members move together.
func standingNames(c *config.Config, names []string) ([]string, error) {
	var list []string
	for _, name := range names {
		found := instance(c, name) != nil
		members := []string{name}
		for i := range c.Groups {
			if g := &c.Groups[i]; g.Name == name || slices.Contains(g.Members, name) {
				members, found = g.Members, true
			}
		}
		if !found {
			var known []string
			for i := range c.Instances {
				known = append(known, c.Instances[i].Name)
			}
			return nil, fmt.Errorf("there is no virtual router %q: there is %s", name, strings.Join(known, ", "))
		}
		for _, m := range members {
			if !slices.Contains(list, m) {
				list = append(list, m)
			}
		}
	}
	return list, nil
}

// orderInstances carries out an order for virtual routers: all of it or nothing.
func (p *parent) orderInstances(o control.Order, reply func(orderReply)) {
	c := p.child(RoleVRRP)
	refuse := func(err error) { reply(orderReply{err: err}) }
	names, err := standingNames(p.force.config, o.Instances)
	switch {
	case p.phase == stopping:
		refuse(errors.New(p.stopReason()))
		return
	case err != nil:
		refuse(err)
		return
	case o.Verb != control.VerbRelease && o.Verb != control.VerbPrefer && o.Verb != control.VerbAuto:
		refuse(fmt.Errorf("%q is no order for virtual routers: release, prefer and auto are", o.Verb))
		return
	case o.For < 0 || o.For > longestStanding || o.For > 0 && o.Verb == control.VerbAuto:
		refuse(fmt.Errorf("--for %v is not allowed: release and prefer may last up to %v", o.For, longestStanding))
		return
	case !c.answers():
		refuse(fmt.Errorf("nothing was changed: %s is %s", c.role.Title(), p.state(c)))
		return
	}
	for i := range p.force.config.Instances {
		in := &p.force.config.Instances[i]
		if slices.Contains(names, in.Name) && in.Priority == vrrp.PriorityOwner && o.Verb != control.VerbAuto {
			refuse(fmt.Errorf("%s has priority 255, that of the addresses' owner, who is always MASTER: give it 254 or less first", in.Name))
			return
		}
	}
	now := time.Now()
	orders := maps.Clone(p.standing)
	if orders == nil {
		orders = make(map[string]control.Override)
	}
	result := control.OrderResult{}
	for _, name := range names {
		at := control.OrderedInstance{Name: name, Was: standingText(orders, name)}
		delete(orders, name)
		if o.Verb != control.VerbAuto {
			order := control.Override{Order: o.Verb, Author: o.Author, Claimed: o.Claimed, Reason: o.Reason, Since: now}
			if o.For > 0 {
				order.Until = now.Add(o.For)
			}
			orders[name], at.Now = order, &order
		}
		result.Instances = append(result.Instances, at)
	}
	if err := writeStanding(p.o.StateDir, orders); err != nil {
		refuse(fmt.Errorf("nothing was changed: the order cannot be written down: %w", err))
		return
	}
	p.standing = orders
	for _, i := range result.Instances {
		if to := standingText(orders, i.Name); to != i.Was {
			by := control.Override{Author: o.Author, Claimed: o.Claimed, Reason: o.Reason}
			p.standingEvent(i.Name, i.Was, to, "ordered "+by.Says(), "operator", by.Who())
		}
	}
	p.expireLater()
	p.lastOrder++
	p.await(c, p.lastOrder, func(r orderReply) {
		if r.err == nil {
			r.result = result
		}
		reply(r)
	})
	c.run.ch.Send(Message{Standing: &Standing{ID: p.lastOrder, Orders: orders}})
}

// standingText names what stands for an instance.
func standingText(orders map[string]control.Override, name string) string {
	if o, ok := orders[name]; ok {
		return o.Order
	}
	return control.VerbAuto
}

func (p *parent) standingEvent(name, from, to, reason, code, author string) {
	p.event(control.Event{Kind: "maintenance", Subject: name, From: from, To: to, Reason: reason, Code: code, Author: author,
		Generation: p.force.number})
}

// endOrders ends those orders that over says, and tells the child.
func (p *parent) endOrders(over func(name string, o control.Override) (why, code string)) {
	orders := maps.Clone(p.standing)
	for _, name := range slices.Sorted(maps.Keys(p.standing)) {
		if why, code := over(name, p.standing[name]); why != "" {
			delete(orders, name)
			p.standingEvent(name, p.standing[name].Order, control.VerbAuto, why, code, "")
		}
	}
	if len(orders) != len(p.standing) {
		p.stand(orders)
	}
}

// stand puts orders in force in place of those that stand, writes them down and tells the
// child.
func (p *parent) stand(orders map[string]control.Override) {
	p.standing = orders
	if err := writeStanding(p.o.StateDir, orders); err != nil {
		p.log.Error("a change of what is ordered for virtual routers is not written down", "reason", err)
	}
	if c := p.child(RoleVRRP); c.run != nil {
		c.run.ch.Send(Message{Standing: &Standing{Orders: orders}})
	}
}

// clockLook is how often the clock is looked at while an order has an end: a host without a clock of its own begins in the past,
// and is set right later.
const clockLook = time.Minute

// expireLater ends each order at its time.
func (p *parent) expireLater() {
	var next time.Time
	for _, o := range p.standing {
		if !o.Until.IsZero() && (next.IsZero() || o.Until.Before(next)) {
			next = o.Until
		}
	}
	if p.expiry != nil {
		p.expiry.Stop()
	}
	if next.IsZero() {
		return
	}
	p.expiry = p.after(min(max(time.Until(next), 0), clockLook), func() {
		now := time.Now()
		p.endOrders(func(_ string, o control.Override) (why, code string) {
			if !o.Until.IsZero() && !now.Before(o.Until) {
				return "its time is over", "expired"
			}
			return "", ""
		})
		if p.phase != stopping {
			p.expireLater()
		}
	})
}
