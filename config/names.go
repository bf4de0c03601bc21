package config

// names are those of the tables of one kind, in their order, and the place of each in it.
type names struct {
	list  []string
	index map[string]int
}

func namesOf[T any](tables []T, name func(*T) string) *names {
	n := &names{make([]string, len(tables)), make(map[string]int, len(tables))}
	for i := range tables {
		n.list[i] = name(&tables[i])
		n.index[n.list[i]] = i
	}
	return n
}

// has says that there is a table of a name.
func (n *names) has(name string) bool {
	_, has := n.index[name]
	return has
}

// allNames are the names that others refer to. They are gathered once: there may be
// thousands of tables, and as many that refer to them.
type allNames struct {
	instances, sessions, servers *names
}

func (c *Config) names() allNames {
	return allNames{
		instances: namesOf(c.Instances, func(in *Instance) string { return in.Name }),
		sessions:  namesOf(c.BFD, func(s *BFD) string { return s.Name }),
		servers:   namesOf(c.VirtualServers, func(vs *VirtualServer) string { return vs.Name }),
	}
}
