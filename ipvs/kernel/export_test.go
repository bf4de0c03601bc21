package kernel

import "golang.org/x/sys/unix"

// AbandonDump begins a dump and reads nothing of it, as after a timeout.
func (k *Kernel) AbandonDump() error {
	c := k.conn
	c.seq++
	c.out = appendMessage(c.out[:0], c.family, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, c.seq, cmdGetService)
	endMessage(c.out, 0)
	if err := c.wait(); err != nil {
		return err
	}
	c.stale = true
	return c.send()
}
