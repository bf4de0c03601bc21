//go:build !manual

package main

import "github.com/spf13/cobra"

// manual returns nothing: see the other one.
func manual() []*cobra.Command { return nil }
