package control

// gate tells a promotion gate's newest answer.
func (v View) gate(g Gate) (string, style) {
	s, st := g.Name, plain
	if g.At.IsZero() {
		s, st = s+" not asked yet", faint
	} else {
		s += " " + g.Answer + " " + v.ago(g.At)
		if g.Detail != "" {
			s += ": " + g.Detail
		}
		if g.Answer != "passed" {
			st = warn
		}
	}
	if !g.AskedAt.IsZero() {
		s += ", asked " + v.ago(g.AskedAt)
	}
	return s, st
}
