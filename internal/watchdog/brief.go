package watchdog

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"director/config"
)

// One mistake in a template is many errors in a large file. Here is what bounds them in
// everything that is kept and told on: status, history, log, notifications, web.
const (
	// maxFindings is how many errors, and warnings, of one configuration are told.
	maxFindings = 20
	// maxText bounds one of them, and the reason of an event, in bytes.
	maxText = 4 << 10
)

// restFormat tells of those that are left out.
const restFormat = "and %d more: `director check` tells all"

// brief leaves out all but the first errors of a configuration, and tells how many.
func brief(err error) error {
	var list config.Errors
	if !errors.As(err, &list) || len(list) <= maxFindings {
		return err
	}
	return append(list[:maxFindings:maxFindings], config.Error{File: list[0].File, Msg: fmt.Sprintf(restFormat, len(list)-maxFindings)})
}

// briefly does the same with warnings.
func briefly(list []config.Warning) []config.Warning {
	if len(list) <= maxFindings {
		return list
	}
	return append(list[:maxFindings:maxFindings], config.Warning{File: list[0].File, Msg: fmt.Sprintf(restFormat, len(list)-maxFindings)})
}

// bounded returns a text that is not longer than maxText.
func bounded(text string) string {
	const mark = " ..."
	if len(text) <= maxText {
		return text
	}
	end := maxText - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// lines splits an error into those it consists of.
func lines(err error) []string {
	var list config.Errors
	if errors.As(err, &list) && len(list) > 0 {
		out := make([]string, len(list))
		for i, e := range list {
			out[i] = bounded(e.Error())
		}
		return out
	}
	return []string{bounded(err.Error())}
}
