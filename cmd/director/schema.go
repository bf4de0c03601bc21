package main

import (
	"github.com/spf13/cobra"

	"director/config"
	"director/etc"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print the JSON Schema of the configuration, for editors",
		Long: `Print the JSON Schema of director.toml, with which editors complete keys, explain
them and mark what is wrong while it is written. A file names its schema in its
first line: #:schema ./director.schema.json`,
		Example: "  director schema >/etc/director/director.schema.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := config.JSONSchema(etc.Annotated)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}
