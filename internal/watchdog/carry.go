package watchdog

import (
	"fmt"
	"maps"

	"director/config"
	"director/internal/control"
)

// Orders for virtual routers go by name, and a configuration may change the names or
// have a router no more. What was released must not become MASTER for that.

// renamed returns the new names of the virtual routers that have another name in a new
// configuration, by the old ones. A virtual router is known by its interface, its VRID and
// its address family.
func renamed(from, to *config.Config) map[string]string {
	names := make(map[string]string)
	for i := range from.Instances {
		was := &from.Instances[i]
		if instance(to, was.Name) != nil {
			continue
		}
		for j := range to.Instances {
			is := &to.Instances[j]
			same := is.Interface == was.Interface && is.VRID == was.VRID &&
				(is.Family(true) && was.Family(true) || is.Family(false) && was.Family(false))
			if same && instance(from, is.Name) == nil {
				names[was.Name] = is.Name
			}
		}
	}
	return names
}

// carryOrders has what is ordered for virtual routers stand under their new names too,
// before the child gets the configuration that has these.
func (p *parent) carryOrders(t *transition) {
	orders := maps.Clone(p.standing)
	for was, is := range renamed(t.from.config, t.to.config) {
		o, ordered := p.standing[was]
		if _, has := p.standing[is]; ordered && !has {
			orders[is] = o
			t.carried = append(t.carried, is)
		}
	}
	if len(t.carried) > 0 {
		p.stand(orders)
	}
}

// dropCarried takes that back when the configuration is refused.
func (p *parent) dropCarried(t *transition) {
	orders := maps.Clone(p.standing)
	for _, name := range t.carried {
		delete(orders, name)
	}
	if len(t.carried) > 0 {
		p.stand(orders)
	}
}

// forgetOrders ends the orders for names that the configuration in force has no more;
// from is the one before it, nil at the start. While it is on trial they stay: it may be
// undone, now or by the next start.
func (p *parent) forgetOrders(from *config.Config) {
	if p.trial != nil && !p.trial.Undoing {
		return
	}
	names := map[string]string{}
	if from != nil {
		names = renamed(from, p.force.config)
	}
	p.endOrders(func(name string, _ control.Override) (why, code string) {
		if _, err := standingNames(p.force.config, []string{name}); err == nil {
			return "", ""
		}
		if is, ok := names[name]; ok {
			return fmt.Sprintf("the virtual router is called %s now, and the order stands for that", is), "renamed"
		}
		return "the configuration has it no more", "removed"
	})
}
