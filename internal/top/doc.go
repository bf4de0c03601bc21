// Package top is the live view of rates and connections: `director top`. It joins two
// sources. States come from the daemon, as an overview that its parent has at hand. Numbers
// come from the kernel's IPVS, whose own averages over the last seconds are right from the
// first look on, and which is asked by this process: the daemon's loops do nothing for it,
// and only the real servers of services on the screen are read.
package top
