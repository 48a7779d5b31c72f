//go:build !race

package filters

// raced is whether the race detector watches, which takes memory and time.
const raced = false
