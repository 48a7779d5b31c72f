//go:build !unix

package main

import (
	"io/fs"
	"os"
)

func lockDirectory(string) (unlock func(), err error) { return func() {}, nil }

func openNoFollow(name string) (*os.File, error) { return os.Open(name) }

func ownAs(*os.File, fs.FileInfo) error { return nil }

func syncDirectory(string) error { return nil }
