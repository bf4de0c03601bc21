//go:build race

package link

// raceEnabled: the race detector allocates, and sync.Pool forgets under it.
const raceEnabled = true
