package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"director/config"
	"director/config/keepalived"
	"director/internal/configfile"
	"director/vrrp/link"
)

// parse reads a configuration in director's own language, or in keepalived's when
// the file's name ends in .conf. It puts numbers in place of the names of routing
// tables, which this host has in files of its own.
func parse(name string, text []byte) (*config.Config, []config.Warning, error) {
	read := config.ParseWithWarnings
	if isKeepalived(name) {
		read = func(name string, text []byte) (*config.Config, []config.Warning, error) {
			return keepalived.Parse(name, text, surroundings())
		}
	}
	cfg, warnings, err := read(name, text)
	if err != nil {
		return nil, warnings, err
	}
	find := positions(name, text)
	tables := sync.OnceValues(func() (map[string]uint32, error) { return link.RouteTables(os.DirFS("/")) })
	var errs config.Errors
	cfg.Tables(func(path []string, table *string) {
		if _, known := config.TableNumber(*table); known || *table == "" {
			return
		}
		names, err := tables()
		if n, ok := names[*table]; ok {
			*table = strconv.FormatUint(uint64(n), 10)
			return
		}
		msg := fmt.Sprintf("there is no routing table %q in /etc/iproute2/rt_tables, allowed is a number or one of %s",
			*table, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
		if err != nil {
			msg += "; " + err.Error()
		}
		at := find(path...)
		errs = append(errs, config.Error{File: at.File, Line: at.Line, Col: at.Col, Key: config.DottedKey(path), Msg: msg})
	})
	if len(errs) > 0 {
		return nil, warnings, errs
	}
	return cfg, warnings, nil
}

// isKeepalived says that a file is in the language of keepalived.
func isKeepalived(name string) bool { return filepath.Ext(name) == ".conf" }

// positions returns what finds the keys of a configuration in its text.
func positions(name string, text []byte) config.Finder {
	if isKeepalived(name) {
		return keepalived.Positions(name, text, surroundings())
	}
	return config.Positions(name, text)
}

// surroundings is what a keepalived.conf may ask of this host.
func surroundings() keepalived.Options {
	host, err := os.Hostname()
	if err != nil {
		host = "" // then no condition @host holds
	}
	host, _, _ = strings.Cut(host, ".")
	dir, err := os.Getwd()
	if err != nil {
		dir = "/" // the names of files are absolute in the daemon's unit
	}
	return keepalived.Options{
		ID: host, Dir: dir, Glob: filepath.Glob, Read: configfile.Read, Env: os.LookupEnv,
		Random: func(least, most int) int { return least + rand.IntN(most-least+1) },
	}
}
