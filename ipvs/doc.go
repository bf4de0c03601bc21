// Package ipvs is the plain model of the kernel's IPVS table: what a virtual
// service and a real server are, when two of them are the same, which
// operations lead from one table to another, and what each operation does.
//
// The package is pure. It opens no socket and reads no clock; package
// ipvs/kernel carries a Table to and from the kernel, and ipvs/ipvstest holds
// a kernel in memory that follows the same rules.
//
// Three ideas are used throughout:
//
//   - A Table is a map from ServiceKey to Entry. The keys are comparable values,
//     equal exactly when the kernel would take them for the same object.
//   - What one writes to IPVS is not what one reads back: the kernel adds a
//     "hashed" bit, keeps a mask that has no meaning without persistence, and
//     so on. Canonical removes all that. Diff compares canonical forms only, so
//     that a table that was just written is found to be the wanted one.
//   - An Op is one kernel operation as a plain value. It prints as the ipvsadm
//     command that would do the same.
package ipvs
