package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"director/config"
	"director/internal/configfile"
	"director/internal/control"
	"director/internal/doctor"
	"director/internal/doctor/examine"
	"director/internal/secret"
	"director/internal/watchdog"
)

func newDoctor(o *options) *cobra.Command {
	var asJSON, probe bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "tell what would break the configuration on this host, and the cure",
		Long: `Look at the host as the configuration needs it: kernel settings and modules,
interfaces, addresses and routes, the firewall, other programs, the daemon if
one runs. Each finding has the line of the configuration that it concerns, what
was found, why that matters and what puts it right. Nothing is changed.

An ordinary user gets what an ordinary user can see, and is told what was not
looked at. The exit status is 1 when something is broken, and 0 when nothing
is, whatever else was found.`,
		Example: "  director doctor\n  director doctor -c ./director.toml --json | jq -r '.findings[] | select(.severity==\"broken\").cure[]'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			daemon, away := askStatus(cmd.Context(), o.socket())
			if away == nil && !cmd.Flags().Changed("config") {
				o.configPath = daemon.ConfigPath // which need not be where it usually is
			}
			// A configuration may name a network namespace: it is looked at from there.
			if err := enterNamespace(o.configPath); err != nil {
				return err
			}
			report, err := diagnose(o, daemon, away, probe)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				err = printJSON(out, report)
			} else {
				err = doctor.Render(out, report, colours(cmd, out))
			}
			if err == nil && report.Broken > 0 {
				err = &failure{exitFailure, nil} // told already
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&probe, "probe", false, "also ask on the links who has the virtual addresses (ARP, neighbour discovery)")
	configFlag(cmd, o)
	return cmd
}

// diagnose reads the configuration, looks at the host and makes all checks, with what the
// daemon says of itself, or why it says nothing. Its error is about the configuration.
func diagnose(o *options, daemon *control.Status, away error, probe bool) (doctor.Report, error) {
	text, err := configfile.Read(o.configPath)
	if err != nil {
		return doctor.Report{}, &failure{exitFailure, err}
	}
	cfg, warnings, err := parse(o.configPath, text)
	if err != nil {
		return doctor.Report{}, err
	}
	var list []doctor.Advice
	advise := func(s doctor.Severity, warnings ...config.Warning) {
		for _, w := range warnings {
			list = append(list, doctor.Advice{Severity: s, Line: w.Line, Key: w.Key, Text: w.Msg})
		}
	}
	errs := func(err error) error {
		var many config.Errors
		if err == nil || !errors.As(err, &many) {
			return err
		}
		for _, e := range many {
			advise(doctor.Broken, config.Warning(e))
		}
		return nil
	}
	advise(doctor.Note, warnings...)
	find := positions(o.configPath, text)
	var unseen []doctor.Unseen
	if os.Geteuid() != 0 {
		unseen = append(unseen, doctor.Unseen{What: "secrets and scripts", Why: "the daemon reads and runs them as another user; root may look"})
	} else {
		if err := errs(config.FillSecrets(find, cfg, secret.Read)); err != nil {
			return doctor.Report{}, err
		}
		if cfg, err = watchdog.WithScriptUser(cfg); err != nil {
			return doctor.Report{}, &failure{exitFailure, err}
		}
		warnings, err := watchdog.CheckScripts(find, cfg)
		advise(doctor.Unwise, warnings...)
		if err := errs(err); err != nil {
			return doctor.Report{}, err
		}
	}
	if away != nil && !errors.Is(away, control.ErrNotRunning) {
		unseen = append(unseen, doctor.Unseen{What: "the running daemon", Why: away.Error()})
	}
	rest, farm := doctor.Split(cfg)
	about := examine.Options{Config: rest, ConfigPath: o.configPath, RuntimeDir: o.runtimeDir, Socket: o.socket(), Daemon: daemon, Probe: probe}
	facts := examine.Host(about)
	facts.Advice, facts.Denied = list, errors.Is(away, fs.ErrPermission)
	facts.Unseen = append(unseen, facts.Unseen...)
	in := doctor.Input{File: o.configPath, Config: rest, Find: find, Facts: facts}
	report := doctor.Diagnose(in)
	if farm == nil {
		return report, nil
	}
	about.Config, in.Config = farm, farm
	if in.Facts, err = examine.Farm(about, namespaceDir+cfg.Global.IPVSNamespace); err != nil {
		return doctor.Report{}, &failure{exitFailure, err}
	}
	return report.Join(cfg.Global.IPVSNamespace, doctor.Diagnose(in)), nil
}

// brokenHere lists what doctor finds broken, but for what the daemon itself reports: it
// knows that, and would else take its own alarm for a reason.
func brokenHere(ctx context.Context, configPath, runtimeDir string) ([]string, error) {
	o := &options{configPath: configPath, runtimeDir: runtimeDir}
	daemon, away := askStatus(ctx, o.socket())
	report, err := diagnose(o, daemon, away, false)
	if err != nil {
		return nil, err
	}
	list := []string{}
	for _, f := range report.Findings {
		if f.Severity == doctor.Broken && f.ID != "daemon" {
			list = append(list, f.ID+": "+f.Found)
		}
	}
	return list, nil
}
