//go:build !race

package filters

// slower is how much longer things take under the race detector.
const slower = 1
