package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"director/config"
	"director/config/convert"
	"director/internal/configfile"
)

func newConvert() *cobra.Command {
	var output, from, id, report string
	var force bool
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "write another program's configuration in director's own language",
		Long: `Write the configuration of another program in director's own language (TOML):
keepalived.conf, ldirectord.cf, or what ` + "`ipvsadm -S -n`" + ` writes. The kind of file is
recognised by what is in it. Comments stay where they were, defaults are left out, and
what the other program takes for granted and director does not is written out.

What is written is read back and compared: it has the same meaning as the file, but for
what the report on standard error tells line by line. The same stands in the result as a
comment, in its place.

The conditions (@id) of a keepalived.conf are decided for this host or for --id, and
what it includes becomes part of the result. Passwords are in the result as they are in
the file: -o makes a file that only its owner can read.

Exit status:
  0  all of it was carried over
  1  the file is wrong or cannot be read, or the result cannot be written
  2  something was left out, see the report; or the command line is wrong`,
		Example: "  director convert /etc/keepalived/keepalived.conf -o /etc/director/director.toml\n" +
			"  director convert keepalived.conf --id lb2 -o lb2.toml && director check lb2.toml\n" +
			"  ipvsadm -S -n | director convert -\n  director convert /etc/ha.d/ldirectord.cf --report json >director.toml 2>report.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("convert takes one file, or - for standard input, got %q", args)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if report != "text" && report != "json" {
				return &usageError{fmt.Errorf("--report %q is not known, allowed are text and json", report)}
			}
			format := convert.Format(from)
			if from != "" && !slices.Contains(convert.Formats(), format) {
				return &usageError{fmt.Errorf("--from %q is not known, allowed are %s", from, formats())}
			}
			result, err := convertFile(cmd.InOrStdin(), args[0], format, id)
			if err != nil {
				return err
			}
			if err := writeResult(cmd.OutOrStdout(), output, force, result.Text); err != nil {
				return &failure{exitFailure, err}
			}
			if report == "json" {
				err = reportJSON(cmd.ErrOrStderr(), result)
			} else {
				err = reportText(cmd.ErrOrStderr(), args[0], result)
			}
			if err != nil {
				return &failure{exitFailure, err}
			}
			if result.LeftOut() {
				return &failure{exitLeftOut, nil} // the report has told it
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write; default: standard output")
	cmd.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	cmd.Flags().StringVar(&from, "from", "", "the kind of file: "+formats())
	cmd.Flags().StringVar(&id, "id", "", "what the conditions (@id) of a keepalived.conf are decided for; default: the host's name without its domain")
	cmd.Flags().StringVar(&report, "report", "text", "form of the report on standard error, text or json")
	return cmd
}

// formats lists the kinds of files.
func formats() string {
	var all []string
	for _, f := range convert.Formats() {
		all = append(all, string(f))
	}
	return strings.Join(all, ", ")
}

// convertFile reads and converts a file.
func convertFile(stdin io.Reader, name string, from convert.Format, id string) (*convert.Result, error) {
	var text []byte
	var err error
	if name == "-" {
		name = "standard input"
		text, err = configfile.From(stdin, name)
	} else {
		text, err = configfile.ReadAny(name)
	}
	if err != nil {
		return nil, &failure{exitFailure, err}
	}
	if from == "" {
		if from, err = convert.Recognise(text); err != nil {
			return nil, &failure{exitFailure, fmt.Errorf("%s: %w", name, err)}
		}
	}
	o := convert.Options{Keepalived: surroundings(), Names: hostNames().Parsing()}
	if id != "" {
		o.Keepalived.ID = id
	}
	return convert.Convert(name, text, from, o)
}

// writeResult writes the result to a file that only its owner can read: it may hold
// passwords.
func writeResult(stdout io.Writer, output string, force bool, text []byte) error {
	if output == "" {
		_, err := stdout.Write(text)
		return err
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(output, how, 0o600)
	if os.IsExist(err) {
		return fmt.Errorf("%s is there already: name another file, or use --force", output)
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// lossesOf returns how many remarks there are of a kind.
func lossesOf(remarks []config.Remark, loss config.Loss) int {
	n := 0
	for _, r := range remarks {
		if r.Loss == loss {
			n++
		}
	}
	return n
}

// reportText tells each remark on a line, as editors like it, and what they come to.
func reportText(w io.Writer, name string, r *convert.Result) error {
	var b strings.Builder
	for _, m := range r.Remarks {
		fmt.Fprintf(&b, "%s:%d: %s: %s: %s\n", m.File, m.Line, strings.ReplaceAll(m.Loss.String(), "_", " "), m.Key, m.Msg)
	}
	fmt.Fprintf(&b, "%s (%s): ", name, r.Format)
	if len(r.Remarks) == 0 {
		b.WriteString("all of it was carried over\n")
	} else {
		fmt.Fprintf(&b, "left out %d, without effect %d, changed %d\n",
			lossesOf(r.Remarks, config.LeftOut), lossesOf(r.Remarks, config.NoEffect), lossesOf(r.Remarks, config.Changed))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// reportJSON writes the report for programs.
func reportJSON(w io.Writer, r *convert.Result) error {
	type remark struct {
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Keyword string `json:"keyword"`
		Kind    string `json:"kind"` // left_out, no_effect or changed
		Message string `json:"message"`
	}
	out := struct {
		Format   convert.Format `json:"format"`
		LeftOut  int            `json:"left_out"`
		NoEffect int            `json:"no_effect"`
		Changed  int            `json:"changed"`
		Remarks  []remark       `json:"remarks"`
	}{r.Format, lossesOf(r.Remarks, config.LeftOut), lossesOf(r.Remarks, config.NoEffect), lossesOf(r.Remarks, config.Changed), []remark{}}
	for _, m := range r.Remarks {
		out.Remarks = append(out.Remarks, remark{m.File, m.Line, m.Col, m.Key, m.Loss.String(), m.Msg})
	}
	return printJSON(w, out)
}
