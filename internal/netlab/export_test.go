package netlab

// What the tests outside of the package look at.
const (
	NetnsDir    = netnsDir
	RegistryDir = registryDir
)

var ErrNoAnswer = errNoAnswer
