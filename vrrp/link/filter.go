package link

import (
	"golang.org/x/net/bpf"

	"director/vrrp"
)

// vridFilter returns a socket filter that keeps the packets of a family whose VRRP
// header carries one of the VRIDs, or with ours false all others. Packets too
// short to have a VRID are dropped either way. It takes the same few instructions for any
// number of them: the set is eight words of 32 bits, one of which is picked by
// the upper bits of the VRID and shifted by the lower.
func vridFilter(w wire, vrids []uint8, ours bool) ([]bpf.RawInstruction, error) {
	var words [8]uint32
	for _, v := range vrids {
		words[v>>5] |= 1 << (v & 31)
	}
	if !ours {
		for i := range words {
			words[i] = ^words[i]
		}
	}
	header := bpf.Instruction(bpf.LoadMemShift{Off: 0}) // X = length of the IP header
	vrid := bpf.LoadIndirect{Off: 1, Size: 1}
	if w.ah {
		vrid.Off += vrrp.AHLen
	}
	if w.family == vrrp.IPv6 {
		// A raw socket of IPv6 sees no IP header.
		header = bpf.LoadConstant{Dst: bpf.RegX, Val: 0}
	}
	return bpf.Assemble(append([]bpf.Instruction{header}, keepByte(vrid, words)...))
}

// keepByte keeps the packets of which a byte is in a set, and drops those that do
// not have it. load puts it into register A.
func keepByte(load bpf.Instruction, words [8]uint32) []bpf.Instruction {
	program := []bpf.Instruction{
		load, // outside the packet: drop
		bpf.StoreScratch{Src: bpf.RegA, N: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 31},
		bpf.StoreScratch{Src: bpf.RegA, N: 0},
		bpf.LoadScratch{Dst: bpf.RegA, N: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 5},
		bpf.LoadScratch{Dst: bpf.RegX, N: 0}, // X = bit, A = word
	}
	for i, word := range words {
		if word == 0 {
			continue
		}
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(i), SkipFalse: 5},
			bpf.LoadConstant{Dst: bpf.RegA, Val: word},
			bpf.ALUOpX{Op: bpf.ALUOpShiftRight},
			bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1, SkipFalse: 1},
			bpf.RetConstant{Val: 1 << 18}, // keep the whole packet
			bpf.RetConstant{Val: 0},
		)
	}
	return append(program, bpf.RetConstant{Val: 0})
}
