package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Block keeps packets to a virtual address from the programs of this host: it is
// what Accept_Mode false means (RFC 9568 section 6.1). Neighbour discovery is let
// through (section 6.4.3), IPVS services have taken theirs before, and what is
// routed onwards does not come this way.
type Block struct{ Addr netip.Addr }

// Key returns the address.
func (b Block) Key() Key { return Key{Kind: KindBlock, Rest: b.Addr.String()} }

// Variant is empty.
func (b Block) Variant() string { return "" }

// On is empty: it is for all interfaces.
func (b Block) On() string { return "" }

func (b Block) String() string { return "drop of what is sent to " + b.Addr.String() + " itself" }

func (b Block) add(k *kernel) (already bool, err error) {
	w, err := k.firewall()
	if err != nil {
		return false, err
	}
	return w.block(b.Addr)
}

func (b Block) remove(k *kernel) (already bool, err error) {
	w, err := k.firewall()
	if err != nil {
		return false, err
	}
	return w.unblock(b.Addr)
}

func (k *kernel) firewall() (*firewall, error) {
	if k.walls == nil {
		c, err := nftables.New(nftables.AsLasting())
		if err != nil {
			return nil, fmt.Errorf("open nftables: %w", err)
		}
		k.walls = newFirewall(c)
	}
	return k.walls, nil
}

// The names in nftables: `nft list table inet director`.
const (
	tableName = "director"
	chainName = "no-accept"
)

// blockPriority is behind IPVS, which takes packets to its services at NAT's source
// priority less two and one (98 and 99).
const blockPriority = nftables.ChainPriority(110)

// firewall is the nftables table of director: a chain that drops what is sent to the
// addresses of two sets. It is there while one of the sets has a member.
type firewall struct {
	conn   *nftables.Conn
	table  *nftables.Table
	v4, v6 *nftables.Set
}

func newFirewall(c *nftables.Conn) *firewall {
	t := &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
	return &firewall{
		conn: c, table: t,
		v4: &nftables.Set{Table: t, Name: "virtual4", KeyType: nftables.TypeIPAddr},
		v6: &nftables.Set{Table: t, Name: "virtual6", KeyType: nftables.TypeIP6Addr},
	}
}

func (f *firewall) close() { _ = f.conn.CloseLasting() }

func (f *firewall) set(a netip.Addr) *nftables.Set {
	if a.Is4() {
		return f.v4
	}
	return f.v6
}

// block adds an address, and the table when it is not there. All of it happens at
// once: whoever flushes the rules of the host takes away all or nothing.
func (f *firewall) block(a netip.Addr) (already bool, err error) {
	exists, err := f.exists()
	if err != nil {
		return false, err
	}
	if !exists {
		f.build()
	} else if members, err := f.members(f.set(a)); err != nil || members[a] {
		return members[a], err
	}
	if err := f.conn.SetAddElements(f.set(a), []nftables.SetElement{{Key: a.AsSlice()}}); err != nil {
		return false, err
	}
	return false, f.conn.Flush()
}

func (f *firewall) unblock(a netip.Addr) (already bool, err error) {
	exists, err := f.exists()
	if err != nil || !exists {
		return !exists, err
	}
	left := 0
	for _, s := range []*nftables.Set{f.v4, f.v6} {
		members, err := f.members(s)
		if err != nil {
			return false, err
		}
		if s == f.set(a) && !members[a] {
			return true, nil
		}
		left += len(members)
	}
	if left == 1 {
		f.conn.DelTable(f.table)
	} else if err := f.conn.SetDeleteElements(f.set(a), []nftables.SetElement{{Key: a.AsSlice()}}); err != nil {
		return false, err
	}
	return false, f.conn.Flush()
}

// exists reports whether the host has the table.
func (f *firewall) exists() (bool, error) {
	tables, err := f.conn.ListTablesOfFamily(f.table.Family)
	if err != nil {
		return false, fmt.Errorf("list nftables: %w", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName }), nil
}

// members lists the addresses of a set.
func (f *firewall) members(s *nftables.Set) (map[netip.Addr]bool, error) {
	elements, err := f.conn.GetSetElements(s)
	if err != nil {
		return nil, fmt.Errorf("list nftables set %s: %w", s.Name, err)
	}
	members := make(map[netip.Addr]bool, len(elements))
	for _, e := range elements {
		if a, ok := netip.AddrFromSlice(e.Key); ok {
			members[a] = true
		}
	}
	return members, nil
}

// build queues the making of the table with all but its members.
func (f *firewall) build() {
	f.conn.AddTable(f.table)
	policy := nftables.ChainPolicyAccept
	priority := blockPriority
	chain := f.conn.AddChain(&nftables.Chain{
		Name: chainName, Table: f.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: &priority, Policy: &policy,
	})
	for _, s := range []*nftables.Set{f.v4, f.v6} {
		_ = f.conn.AddSet(s, nil) // fails for values only
	}
	rule := func(exprs ...expr.Any) {
		f.conn.AddRule(&nftables.Rule{Table: f.table, Chain: chain, Exprs: exprs})
	}
	equal := func(value ...byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value} }
	// meta l4proto ipv6-icmp icmpv6 type nd-router-solicit to nd-redirect accept
	rule(
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(unix.IPPROTO_ICMPV6),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{133}, ToData: []byte{137}},
		&expr.Verdict{Kind: expr.VerdictAccept},
	)
	for _, family := range []struct {
		proto       byte
		offset, len uint32
		set         *nftables.Set
	}{{unix.NFPROTO_IPV4, 16, 4, f.v4}, {unix.NFPROTO_IPV6, 24, 16, f.v6}} {
		rule(
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equal(family.proto),
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: family.offset, Len: family.len},
			&expr.Lookup{SourceRegister: 1, SetName: family.set.Name, SetID: family.set.ID},
			&expr.Counter{},
			&expr.Verdict{Kind: expr.VerdictDrop},
		)
	}
}

// WatchFirewall calls changed when the nftables rules of the host have changed,
// whoever did it: a firewall that is loaded anew flushes the rules of all. Changes that
// come together are told as one, calm after the last of them. It ends with ctx; an
// error says that it cannot begin.
func WatchFirewall(ctx context.Context, calm time.Duration, changed func()) error {
	socket, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return fmt.Errorf("link: subscribe to nftables: %w", err)
	}
	timer := time.AfterFunc(time.Hour, changed)
	timer.Stop()
	stop := context.AfterFunc(ctx, socket.Close)
	go func() {
		defer stop()
		defer timer.Stop()
		for ctx.Err() == nil {
			// What an event says does not matter, nor that some were lost.
			if _, _, err := socket.Receive(); errors.Is(err, os.ErrClosed) {
				return
			}
			timer.Reset(calm)
		}
	}()
	return nil
}
