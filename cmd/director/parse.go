package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"director/config"
	"director/vrrp/link"
)

// parse is config.ParseWithWarnings that also puts numbers in place of the names of
// routing tables, which this host has in files of its own.
func parse(name string, text []byte) (*config.Config, []config.Warning, error) {
	cfg, warnings, err := config.ParseWithWarnings(name, text)
	if err != nil {
		return nil, warnings, err
	}
	find := sync.OnceValue(func() func(...string) (int, int) { return config.Positions(text) })
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
		line, col := find()(path...)
		errs = append(errs, config.Error{File: name, Line: line, Col: col, Key: strings.ReplaceAll(strings.Join(path, "."), ".[", "["), Msg: msg})
	})
	if len(errs) > 0 {
		return nil, warnings, errs
	}
	return cfg, warnings, nil
}
