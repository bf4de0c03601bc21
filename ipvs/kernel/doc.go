// Package kernel carries IPVS tables to and from the Linux kernel. It is the
// only importer of moby/ipvs.
//
// Services, timeouts and flush go through moby/ipvs. Real servers, dumps and
// 64-bit statistics are this package's own generic netlink, because moby/ipvs
// reads a weight as 16 bits, leaves out the address family and the tunnel (so
// that a change of weight undoes it), loses errors in dumps, and takes a system
// call each way for every one of 10,000 servers. Three traps of moby/ipvs for
// services are handled here: without ip_vs in the kernel it reports success for
// everything, so Open asks first; it retries a lost answer for ever, so each call
// has a deadline; and it sends an IPv4-mapped IPv6 address as four bytes, so
// services with one go by the own encoder.
//
// A Kernel may be used by several goroutines; its calls run one after another,
// which IPVS needs: its dumps count entries and go wrong when the table changes
// meanwhile.
package kernel
