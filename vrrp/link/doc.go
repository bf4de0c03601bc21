// Package link is everything of VRRP that touches the kernel: the sockets that
// carry adverts, the wait for packets and deadlines, the addresses that a
// master owns, their announcement by gratuitous ARP, and the watch over
// interfaces. It knows packets only as bytes between two addresses; what they
// mean is the business of package vrrp.
//
// The parts and who may call them:
//
//   - [Poller] and its [Socket]s belong to one goroutine, the event loop. Only
//     [Poller.Wake] may be called from elsewhere. Nothing in them blocks apart
//     from [Poller.Wait], and sending and receiving adverts allocates nothing.
//   - [Monitor] reports interfaces and addresses from a goroutine of its own
//     through a callback.
//   - [Worker] changes addresses and sends gratuitous ARP in a goroutine of its
//     own, in order per instance, and reports each result through a callback;
//     so a slow netlink call never delays an advert.
//
// All of them open their sockets in the network namespace of the thread that
// calls the constructor and stay in it.
//
// The process needs CAP_NET_RAW and CAP_NET_ADMIN.
package link
