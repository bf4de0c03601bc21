package checkd

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"director/checkers"
	"director/internal/control"
	"director/internal/watchdog"
	"director/ipvs"
)

// The bounds of an order's times. A drain's deadline is never far away: a day is
// longer than any connection is worth.
const (
	longestOrder    = 366 * 24 * time.Hour
	longestDeadline = 24 * time.Hour
	longestReason   = 500
)

// target is a real server or a sorry server that an order is for.
type target struct {
	service *service
	server  *checkers.Server
}

// key names the server within its service.
func (t target) key() ipvs.DestKey { return t.server.Config.Key }

// subject names it in events.
func (t target) subject() string { return t.service.pool.Config().Name + "/" + t.server.Config.Name }

// override is what is in force for it, nil: nothing.
func (t target) override() *control.Override { return t.service.overrides[t.key()] }

// ordered carries out an order and answers it.
func (d *Daemon) ordered(now time.Time, ask *watchdog.Order) {
	answer := watchdog.Ordered{ID: ask.ID}
	result, err := d.obey(now, &ask.Order)
	if err != nil {
		answer.Error = err.Error()
	} else {
		answer.Result = result
	}
	d.ch.Send(watchdog.Message{Ordered: &answer})
}

// obey carries out an order: all of it or nothing.
func (d *Daemon) obey(now time.Time, o *control.Order) (result control.OrderResult, err error) {
	if !d.configured || d.table.kernel == nil || !d.table.known {
		return result, errors.New("there is no IPVS table to change: no virtual server is configured, or the start is not over")
	}
	wanted, err := overrideOf(now, o)
	if err != nil {
		return result, err
	}
	targets, err := d.find(o)
	if err != nil {
		return result, err
	}
	past := make([]*control.Override, len(targets))
	for i, t := range targets {
		past[i] = t.override()
	}
	if o.Verb != control.VerbShow {
		if !o.Force && o.Verb != control.VerbReady {
			if err := losses(targets, wanted); err != nil {
				return result, err
			}
		}
		if err := d.put(targets, wanted); err != nil {
			if !o.Force && o.Verb != control.VerbReady {
				d.unput(targets, past)
				return result, fmt.Errorf("nothing was changed, as it could not be written down for after a restart; --force does it all the same: %w", err)
			}
			d.maintenance.stale = true // tried again
			result.Notes = append(result.Notes, fmt.Sprintf("a restart would forget this, as it could not be written down yet: %v", err))
		}
		for i, t := range targets {
			if wanted == nil && past[i] == nil {
				continue // nothing was ordered, nothing ends
			}
			d.maintained(now, t.subject(), o.Who(), past[i].What(), wanted.What(), "ordered by "+o.Who()+particulars(now, o), "operator")
			d.enforce(now, t)
		}
		d.flush(now)
	}
	d.readStats(now)
	have := map[*service]held{}
	for i, t := range targets {
		if _, known := have[t.service]; !known {
			have[t.service] = d.held(t.service)
		}
		result.Servers = append(result.Servers, control.OrderedServer{Service: t.service.pool.Config().Name, Was: past[i].What(),
			Server: d.serverStatus(t.service, t.server, have[t.service])})
	}
	result.Notes = append(result.Notes, d.notes(o, targets)...)
	return result, nil
}

// overrideOf returns what is in force after an order, nil for the end of all orders.
func overrideOf(now time.Time, o *control.Order) (*control.Override, error) {
	switch {
	case o.For < 0 || o.For > longestOrder:
		return nil, fmt.Errorf("--for %v is not allowed: up to %v is", o.For, longestOrder)
	case o.Deadline < 0 || o.Deadline > longestDeadline:
		return nil, fmt.Errorf("--deadline %v is not allowed: up to %v is", o.Deadline, longestDeadline)
	case o.Deadline > 0 && o.Verb != control.VerbDrain:
		return nil, fmt.Errorf("--deadline is for drain: %s has none", o.Verb)
	case o.For > 0 && o.Deadline >= o.For:
		return nil, fmt.Errorf("--deadline %v is not before the end of the order, --for %v", o.Deadline, o.For)
	case o.For > 0 && o.Verb == control.VerbReady:
		return nil, errors.New("--for is for drain, maintain and weight: ready is what they come back to")
	case len(o.Reason) > longestReason:
		return nil, fmt.Errorf("a reason of %d bytes is too long: up to %d are allowed", len(o.Reason), longestReason)
	case o.Weight != "" && o.Verb != control.VerbWeight:
		return nil, fmt.Errorf("a weight is not for %s", o.Verb)
	}
	v := &control.Override{Order: o.Verb, Author: o.Author, Claimed: o.Claimed, Reason: o.Reason, Since: now}
	switch o.Verb {
	case control.VerbReady, control.VerbShow:
		return nil, nil
	case control.VerbDrain, control.VerbMaintain:
	case control.VerbWeight:
		if _, err := checkers.ParseWeight(o.Weight); err != nil {
			return nil, err
		}
		v.Weight = o.Weight
	default:
		return nil, fmt.Errorf("%q is no order: drain, maintain, ready and weight are", o.Verb)
	}
	if o.For > 0 {
		v.Until = now.Add(o.For)
	}
	if o.Deadline > 0 {
		v.By = now.Add(o.Deadline)
	}
	return v, nil
}

// inPool puts an override into the terms of pools. It was checked before.
func inPool(v *control.Override) checkers.Override {
	if v == nil {
		return checkers.Override{}
	}
	switch v.Order {
	case control.VerbDrain:
		return checkers.Override{Order: checkers.Drain}
	case control.VerbMaintain:
		return checkers.Override{Order: checkers.Maintenance, Cut: v.After == control.AfterDeadline}
	}
	o, err := checkers.ParseWeight(v.Weight)
	if err != nil {
		return checkers.Override{}
	}
	return o
}

// losses refuses an order that would leave a virtual server without service.
func losses(targets []target, wanted *control.Override) error {
	var errs []error
	orders := map[*service]map[*checkers.Server]checkers.Override{}
	for _, t := range targets {
		if orders[t.service] == nil {
			orders[t.service] = map[*checkers.Server]checkers.Override{}
		}
		orders[t.service][t.server] = inPool(wanted)
	}
	for _, t := range targets {
		list := orders[t.service]
		delete(orders, t.service)
		if list == nil {
			continue // it was asked for with another server
		}
		if loss := t.service.pool.Loses(list); loss != checkers.NoLoss {
			cfg := t.service.pool.Config()
			err := fmt.Errorf("%s would lose %v", cfg.Name, loss)
			if len(cfg.Sorry) > 0 && t.service.pool.Answers() == nil {
				err = fmt.Errorf("%w, and its sorry server would answer", err)
			}
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w; nothing was changed: --force does it all the same", err)
	}
	return nil
}

// put writes an override down, to be enforced. Its error says that the record on the
// disk does not have it: it would be forgotten with this process.
func (d *Daemon) put(targets []target, wanted *control.Override) error {
	for _, t := range targets {
		if wanted == nil {
			delete(t.service.overrides, t.key())
			continue
		}
		own := *wanted
		t.service.overrides[t.key()] = &own
	}
	if err := d.saveMaintenance(); err != nil {
		return err
	}
	d.maintenance.stale = false
	return nil
}

// unput takes that back, before anything is enforced.
func (d *Daemon) unput(targets []target, past []*control.Override) {
	for i, t := range targets {
		if delete(t.service.overrides, t.key()); past[i] != nil {
			t.service.overrides[t.key()] = past[i]
		}
	}
}

// enforce puts in force what the record says of a server.
func (d *Daemon) enforce(now time.Time, t target) {
	delete(t.service.idle, t.key())
	d.announce(now, t.service, t.service.pool.Order(t.server, inPool(t.override()), now))
}

// particulars tells the rest of an order.
func particulars(now time.Time, o *control.Order) string {
	text := ""
	if o.Reason != "" {
		text = ": " + o.Reason
	}
	if o.Deadline > 0 {
		text += fmt.Sprintf("; out of service when no connection is left, after %v at the latest", o.Deadline)
	}
	if o.For > 0 {
		text += fmt.Sprintf("; until %s", now.Add(o.For).Format("2006-01-02 15:04:05 MST"))
	}
	return text
}

// notes tells the operator what is not to be seen in the servers themselves.
func (d *Daemon) notes(o *control.Order, targets []target) []string {
	var notes []string
	add := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(notes, text) {
			notes = append(notes, text)
		}
	}
	for _, t := range targets {
		s, name := t.service, t.service.pool.Config().Name
		for _, key := range s.keys {
			server := destKey(t.key(), key)
			have, want := d.table.have[key], d.table.want[key]
			if have == nil || want == nil {
				continue
			}
			if is, should := have.Dests[server], want.Dests[server]; is != should {
				add("the kernel did not take it for %s yet; it is tried again, `director status` tells why", t.subject())
				break
			}
		}
		if o.Verb == control.VerbDrain && s.source.PersistenceTimeout > 0 {
			add("%s: clients that persistence binds to the server keep coming until they have been away for %v, "+
				"unless net.ipv4.vs.expire_quiescent_template is 1", name, s.source.PersistenceTimeout)
		}
		if t.override() != nil && s.pool.Place(t.server) == checkers.Quiesced && s.source.HoldsPlaces() {
			add("%s: the scheduler %s refuses the new clients that it hashes to a server with weight 0, until that is out of the table or has its weight again; %s",
				name, s.source.Scheduler, s.source.Fallback())
		}
	}
	return notes
}

// maintained tells the parent what happened with a server by order of an operator, who
// may be nobody.
func (d *Daemon) maintained(now time.Time, subject string, by, from, to, reason, code string) {
	d.events = append(d.events, control.Event{Time: now, Generation: d.generation, Kind: "maintenance", Subject: subject,
		From: from, To: to, Reason: reason, Code: code, Author: by})
	d.news = true
}
