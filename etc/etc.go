// Package etc carries the files of this folder that the program itself uses.
package etc

import _ "embed"

// Annotated is director.toml, the sample that explains every key.
//
//go:embed director.toml
var Annotated string
