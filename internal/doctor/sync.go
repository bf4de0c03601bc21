package doctor

import (
	"fmt"
	"strings"

	"director/config"
)

const backupOnly = "net/ipv4/vs/backup_only"

// ownLoop: what the master sends to this host as to a real server arrives here with the
// virtual address, and the IPVS of a backup has the service as well. As MASTER this host
// serves well.
func ownLoop(v *visit) {
	if len(v.Config.Instances) == 0 {
		return // there is no other director
	}
	only, known := v.sysctl(backupOnly)
	sync := v.Config.IPVSSync
	follows := sync != nil && sync.Instance != ""
	if follows && (only == 1 || !known) {
		return
	}
	for _, s := range servers(v.Config) {
		if s.forward == config.NAT || s.vs.ActiveWith != "" || !v.Facts.Ways[s.addr].Local {
			continue
		}
		instance := v.Config.Instances[0].Name
		for _, f := range v.fronts(s.vs) {
			for _, a := range v.index.virtuals {
				if a.addr() == f.addr {
					instance = a.in.Name
				}
			}
		}
		cure := []string{fmt.Sprintf("active_with = %q   # in %s: the service is in the table of the MASTER alone", instance, config.DottedKey(s.path[:2]))}
		if follows {
			cure = append(cure, set(backupOnly, 1)+"   # or this")
		} else {
			cure = append(cure, fmt.Sprintf("vrrp_instance = %q   # or this in [ipvs_sync], so that the backup daemon runs on backups alone, with %s", instance, set(backupOnly, 1)))
		}
		v.add(Unwise, s.path, fmt.Sprintf("the real server %s is this host, and its IPVS has the service also while it is a backup", s.addr), cure...)
	}
}

// syncSettings: what connection sync can tell another director, and when.
func syncSettings(v *visit) {
	s := v.Config.IPVSSync
	if s == nil {
		return
	}
	path := []string{"ipvs_sync"}
	if n, ok := v.sysctl(backupOnly); ok && n == 1 && s.Instance == "" {
		v.add(Broken, path, "net.ipv4.vs.backup_only is 1, so that IPVS passes nothing on while the backup daemon runs, and it runs all the time",
			set(backupOnly, 0), fmt.Sprintf("vrrp_instance = %q   # or this in [ipvs_sync]: then it runs on backups alone", firstInstance(v.Config)))
	}
	const thresholds = "net/ipv4/vs/sync_threshold"
	var first, period int
	if n, _ := fmt.Sscan(v.Facts.Sysctl[thresholds], &first, &period); n == 2 {
		cure := fmt.Sprintf("sysctl -w %s=\"3 50\"", dotted(thresholds))
		if refresh, ok := v.sysctl("net/ipv4/vs/sync_refresh_period"); period == 0 && ok && refresh == 0 {
			v.add(Unwise, path, "net.ipv4.vs.sync_threshold has the period 0 and net.ipv4.vs.sync_refresh_period is 0: a connection is told of when its state changes, and forgotten by the other director while it goes on", cure)
		}
		if first > 3 {
			v.add(Note, path, fmt.Sprintf("net.ipv4.vs.sync_threshold is %s: a connection is told of with its packet number %d, and unknown to the other director before", strings.Join(strings.Fields(v.Facts.Sysctl[thresholds]), " "), first), cure)
		}
	}
	const version = "net/ipv4/vs/sync_version"
	if n, ok := v.sysctl(version); ok && n == 0 {
		for _, vs := range servers(v.Config) {
			if vs.addr.Is6() {
				v.add(Broken, path, "net.ipv4.vs.sync_version is 0, whose messages know no IPv6", set(version, 1))
			}
		}
	}
}

func firstInstance(c *config.Config) string {
	if len(c.Instances) > 0 {
		return c.Instances[0].Name
	}
	return "NAME"
}
