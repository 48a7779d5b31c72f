// Package machine reads what the machine itself is: kernel parameters now and as
// configured for the next boot, what the kernel says about its defences, mounts, and
// who provides the machine, as far as files tell. Nothing is asked of a network.
package machine
