// Package netlab makes hosts out of nothing: the machines, cables and peers that director's tests and its demo run on.
//
// # The lab
//
// A [Lab] holds hosts and switches. A [Host] is a network namespace with a folder for its files: it has its own interfaces,
// addresses, routes, sockets and IPVS table, and shares everything else with the real machine. A [Switch] is a bridge in a
// namespace of its own, and a [Port] the cable between the two. A cable can be cut in the two ways that matter to a
// failover: [Port.Cut] loses every frame and tells nobody, [Port.Unplug] takes the carrier away. [Port.Isolate] makes two routers lose
// each other while both still see the clients, and [Host.PowerOff] is a sudden death.
//
//	lab, err := netlab.New("demo")
//	defer lab.Close()
//	r1, err := lab.Host("r1")
//	lan, err := lab.Switch("lan")
//	port, err := lab.Connect(r1, "eth0", lan, netip.MustParsePrefix("192.0.2.1/24"))
//
// The namespaces are named and stand in /run/netns, so that a person can look around while the lab stands:
// `ip netns exec demo1-r1 ip addr`. A lab of a process that was killed is removed by the next one that is made.
//
// Programs run on a host by [Host.Run] (to the end), [Host.Start] (in the background, log in the host's folder) or [Host.Command];
// code of this process by [Host.Do], and its sockets by [Host.DialContext], [Host.Listen] and [Host.ListenPacket]. A program sees the same
// file system on every host: give a daemon its own run directory below [Host.Dir] by its flags.
//
// Peers that are ready to use: [Host.Nginx], [Host.Keepalived], [Host.WebServer] (in this process, quick) and [Host.EchoServer].
// What the clients see is measured by [Host.LoadHTTP], [Host.LoadUDP] and [Host.LongTransfer]; what is on the wire by
// [Host.Capture] and [Switch.Capture], with the kernel's time stamps and a reading of VRRP and ARP that owes nothing to director's own.
//
// # User Mode Linux
//
// IPVS needs a kernel that has ip_vs. Where the running one has not, [UML] boots one that has, as an ordinary process, on
// this machine's own root file system (read-only, with a new and empty /tmp, /run, /var/log and /var/lib). It
// needs the Debian packages user-mode-linux and busybox, and no rights: the command is root inside all the same. It has one processor, and a
// system call in it costs some 60 us: fit to see that something works, not how fast.
//
// Package labtest makes all of it into parts of a Go test.
package netlab
