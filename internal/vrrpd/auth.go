package vrrpd

import (
	"fmt"
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
	"director/vrrp/link"
)

// rememberedSenders is how many routers of a multicast group are known by their
// signed adverts: more than a group has.
const rememberedSenders = 8

// auth is the authentication of one router, beyond the password that the settings
// hold. At most one of the two is set.
type auth struct {
	hmac    *vrrp.HMAC
	ah      *vrrp.AH
	trailer []byte // of the advert that is being sent, for all its copies
	// unsigned counts adverts that were taken although they were not signed.
	unsigned uint64
}

// configureAuth puts the configured authentication in force. What was sent and
// heard stays known while its kind is the same.
func (r *router) configureAuth(now time.Time, cfg *config.Instance) {
	senders := rememberedSenders
	if set := r.sm.Settings(); set.Unicast() {
		senders = len(set.Peers)
	}
	// On each path every router has another address.
	for i := range r.paths {
		switch p := &r.paths[i]; {
		case p.cfg == nil:
		case p.unicast():
			senders += len(p.set.Peers)
		default:
			senders += rememberedSenders
		}
	}
	a := &cfg.Authentication
	switch a.Type {
	case config.AuthHMAC:
		set := hmacSettings(a, senders)
		if r.auth.hmac == nil {
			r.auth = auth{hmac: vrrp.NewHMAC(set)}
		} else {
			r.auth.hmac.Reconfigure(set)
		}
	case config.AuthAH:
		if r.auth.ah == nil {
			r.auth = auth{ah: vrrp.NewAH(password(a), senders, now)}
		} else {
			r.auth.ah.Reconfigure(password(a), senders)
		}
	default:
		r.auth = auth{}
	}
}

func password(a *config.Authentication) (p vrrp.Password) {
	copy(p[:], a.Password)
	return p
}

// hmacSettings translates the configuration, which has been checked.
func hmacSettings(a *config.Authentication, senders int) vrrp.HMACSettings {
	s := vrrp.HMACSettings{Active: a.ActiveKey, Window: a.TimeWindow.D(), Senders: senders}
	for _, k := range a.Keys {
		if secret, err := k.Bytes(); err == nil {
			s.Keys = append(s.Keys, vrrp.Key{ID: k.ID, Secret: secret})
		}
	}
	switch a.Mode {
	case "permissive":
		s.Mode = vrrp.ModePermissive
	case "receive-only":
		s.Mode = vrrp.ModeReceiveOnly
	}
	if a.AntiReplay == "monotonic" {
		s.Replay = vrrp.ReplayMonotonic
	}
	return s
}

// sendsBy returns the port by which the router's adverts leave that are heard at a
// place: on its own link, or on a heartbeat path.
func (r *router) sendsBy(at routerKey) portKey {
	key := at.port()
	key.ah = r.auth.ah != nil
	return key
}

// verify checks the signature of an advert that passed all other checks.
func (r *router) verify(adv *vrrp.Advert, d *link.Datagram) vrrp.Discard {
	if ah := d.Protocol == vrrp.ProtocolAH; ah != (r.auth.ah != nil) {
		return vrrp.DiscardAuthType
	}
	switch {
	case r.auth.ah != nil:
		return r.auth.ah.Verify(d.Header, d.Payload, d.Arrival)
	case r.auth.hmac != nil:
		signed, why := r.auth.hmac.Verify(adv, d.Src, d.Arrival)
		if !signed && why == vrrp.DiscardNone {
			r.auth.unsigned++
		}
		return why
	}
	return vrrp.DiscardNone
}

// message returns the VRRP message of a packet: what follows the authentication
// header, if it came with one.
func message(d *link.Datagram) []byte {
	if d.Protocol != vrrp.ProtocolAH {
		return d.Payload
	}
	pdu, _ := vrrp.SplitAH(d.Payload)
	return pdu
}

// authSnapshot tells how the router authenticates, nil when it does not.
func (r *router) authSnapshot() *control.Authentication {
	c := &r.cfg.Authentication
	if c.Type == "" {
		return nil
	}
	s := &control.Authentication{Type: c.Type}
	if h := r.auth.hmac; h != nil {
		set := h.Settings()
		s.ActiveKey, s.Mode, s.AntiReplay = set.Active, set.Mode.String(), set.Replay.String()
		if set.Replay == vrrp.ReplayTime {
			s.TimeWindow = set.Window
		}
		for _, k := range set.Keys {
			s.Keys = append(s.Keys, int(k.ID))
		}
		s.Unsigned = r.auth.unsigned
		h.Senders(func(o vrrp.Sender) {
			s.Senders = append(s.Senders, control.AuthSender{Address: o.Addr, Key: o.Key, At: o.At})
		})
	}
	return s
}

// keyOf returns the number of the key that an advert claims to be signed with, 0
// without one. Nothing of it is verified.
func keyOf(adv *vrrp.Advert) uint8 {
	if len(adv.Trailer) != vrrp.TrailerLen {
		return 0
	}
	return adv.Trailer[1]
}

// authText names the configured authentication.
func (r *router) authText() string {
	h := r.auth.hmac
	if h == nil {
		return "authentication " + r.sm.Settings().AuthType.String()
	}
	s := "HMAC with key"
	for i, k := range h.Settings().Keys {
		if i > 0 {
			s += ","
		}
		s += fmt.Sprintf(" %d", k.ID)
	}
	return s
}
