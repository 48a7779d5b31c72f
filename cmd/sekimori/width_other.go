//go:build !unix

package main

import "os"

// columns is the width of the terminal behind f, 0 where it is not known.
func columns(*os.File) int { return 0 }
