package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"director/config"
	"director/internal/configfile"
	"director/internal/secret"
	"director/internal/verdict"
	"director/internal/watchdog"
)

func newCheck(o *options) *cobra.Command {
	var peer string
	var asJSON, strict, dump bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "check a configuration file",
		Long: `Check a configuration file without touching anything. Every error and warning is
printed with its place, as file:line:column, its line and a mark below the value.
A file whose name ends in .conf is in the language of keepalived.

With --peer the file is compared with that of the other host: what must agree and
does not is an error, such as the virtual router ID or the password.

With --dump all that is in force is printed when the file is right: every key with its
value, as TOML, and where it comes from: a line of the file, a default of director or
keepalived, another table or another key. Secrets are not shown.

Exit status:
  0  the file is right; there may be warnings
  1  it has an error, with --strict a warning, or cannot be read
  2  the command line is wrong`,
		Example: "  director check -c ./director.toml && director reload\n  director check /etc/keepalived/keepalived.conf\n" +
			"  director check --peer /tmp/director.toml.of.lb2\n  director check --json | jq -r '.[] | select(.severity==\"error\").message'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{fmt.Errorf("check takes one file, got %q", args)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.configPath = args[0]
			}
			e := newExamination(o.configPath)
			e.file()
			if e.cfg != nil && peer != "" {
				e.compare(peer)
			}
			list := verdict.Of(e.errs, e.warnings, e.source)
			errs, warnings := verdict.Count(list)
			var err error
			switch {
			case dump && errs == 0:
				err = e.dump(cmd, list, asJSON)
			case asJSON:
				err = printJSON(cmd.OutOrStdout(), list)
			default:
				err = e.tell(cmd, list)
			}
			if err != nil {
				return err
			}
			if errs > 0 || strict && warnings > 0 {
				return &failure{exitFailure, nil} // told already
			}
			return nil
		},
	}
	configFlag(cmd, o)
	cmd.Flags().StringVar(&peer, "peer", "", "the file of the other host, to compare with")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a list in JSON")
	cmd.Flags().BoolVar(&dump, "dump", false, "print all that is in force and where it comes from; with --json a list")
	cmd.Flags().BoolVar(&strict, "strict", false, "let warnings be errors for the exit status")
	return cmd
}

// dump prints what is in force, and the warnings beside it.
func (e *examination) dump(cmd *cobra.Command, list []verdict.Finding, asJSON bool) error {
	stderr := cmd.ErrOrStderr()
	if err := verdict.Render(stderr, list, e.source, colours(cmd, stderr)); err != nil {
		return err
	}
	tree, settings := config.Effective(e.cfg, e.find)
	if asJSON {
		return printJSON(cmd.OutOrStdout(), settings)
	}
	_, err := cmd.OutOrStdout().Write(tree.Write())
	return err
}

// examination gathers what is wrong with one configuration.
type examination struct {
	path     string
	texts    map[string]string // of the files that were read, by their names
	cfg      *config.Config    // nil: it has errors
	find     config.Finder
	errs     config.Errors
	warnings []config.Warning
}

func newExamination(path string) *examination {
	return &examination{path: path, texts: make(map[string]string)}
}

// source returns the text of a file that findings are about.
func (e *examination) source(file string) string {
	text, read := e.texts[file]
	if !read {
		if b, err := configfile.Read(file); err == nil { // what it includes; without it no line is shown
			text = string(b)
		}
		e.texts[file] = text
	}
	return text
}

// fail records an error about a file: its own ones, or one that is no line's matter.
func (e *examination) fail(file string, err error) {
	var many config.Errors
	if errors.As(err, &many) {
		e.errs = append(e.errs, many...)
		return
	}
	e.errs = append(e.errs, config.Error{File: file, Msg: err.Error()})
}

// read reads and parses a file. The result is nil when it cannot be used.
func (e *examination) read(file string) (cfg *config.Config, find config.Finder, warnings []config.Warning) {
	text, err := configfile.ReadAny(file)
	if err != nil {
		e.fail(file, err)
		return nil, nil, nil
	}
	e.texts[file] = string(text)
	cfg, warnings, err = parse(file, text)
	if err != nil {
		e.fail(file, err)
	}
	return cfg, positions(file, text), warnings
}

// file looks at the file, and at what it names on this host.
func (e *examination) file() {
	cfg, find, warnings := e.read(e.path)
	e.warnings = warnings
	if cfg == nil {
		return
	}
	e.find = find
	if err := config.FillSecrets(find, cfg, secret.Read); err != nil {
		e.fail(e.path, err)
	}
	cfg, err := watchdog.WithScriptUser(cfg)
	if err != nil {
		e.fail(e.path, err)
		return
	}
	warnings, err = watchdog.CheckScripts(find, cfg)
	e.warnings = append(e.warnings, warnings...)
	if err != nil {
		e.fail(e.path, err)
	}
	e.cfg = cfg
}

// compare compares the configuration with that of the other host.
func (e *examination) compare(peer string) {
	cfg, find, _ := e.read(peer)
	if cfg == nil {
		return
	}
	errs, warnings := config.ComparePeers(config.Side{Name: e.path, Find: e.find, Config: e.cfg}, config.Side{Name: peer, Find: find, Config: cfg})
	e.errs = append(e.errs, errs...)
	e.warnings = append(e.warnings, warnings...)
}

// tell prints the findings, and what the file holds when it is right.
func (e *examination) tell(cmd *cobra.Command, list []verdict.Finding) error {
	stderr := cmd.ErrOrStderr()
	if err := verdict.Render(stderr, list, e.source, colours(cmd, stderr)); err != nil {
		return err
	}
	errs, warnings := verdict.Count(list)
	switch {
	case errs > 0:
		_, err := fmt.Fprintf(stderr, "%s: %s, %s\n", e.path, count(errs, "error"), count(warnings, "warning"))
		return err
	case warnings > 0:
		if _, err := fmt.Fprintf(stderr, "%s: %s\n", e.path, count(warnings, "warning")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: valid: %s, %s\n", e.path,
		count(len(e.cfg.Instances), "VRRP instance"), count(len(e.cfg.VirtualServers), "virtual server"))
	return err
}
