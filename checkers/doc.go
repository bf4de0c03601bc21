// Package checkers decides which real servers serve: it turns the results of
// probes into the IPVS entries that should stand in the kernel.
//
// The package is pure. It probes nothing and writes nothing; time is an
// argument. The layers, from the bottom:
//
//   - Health counts the results of one check: Rise good ones in a row make it
//     up, Fall bad ones down.
//   - A Server is up while all its checks are up, and down as soon as one is down.
//   - Quorum compares the weight of the healthy servers with what a pool needs,
//     with hysteresis.
//   - A Pool joins them to a virtual service: its Entry is the wanted content of
//     the kernel's table. It chooses the sorry server that answers without a quorum
//     (sorry.go), keeps servers in service that are down where too few would be left
//     (panic.go), and lets the weight of those that come back rise (ramp.go).
//
// What an operator orders for a server, an Override, stands above all that.
//
// A server begins with an unknown state and keeps the place that it has in the
// kernel's table until the first verdict. A new one is therefore out of service
// until it has proven itself, unless its configuration trusts it (StartsIn), and
// one that was serving before this process started goes on serving until it is
// proven dead. The first verdict is waited for so long at most (VerdictWithin): then
// the server counts as one that is not well (overdue.go). A verdict that agrees with the present place needs one result; one
// that changes the place needs Rise or Fall of them:
//
//	state    place  good results to be up  bad results to be down
//	unknown  out    Rise                   1
//	unknown  in     1                      Fall
//	up       in     -                      Fall
//	down     out    Rise                   -
package checkers
