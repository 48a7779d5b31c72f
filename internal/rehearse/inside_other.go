//go:build !linux

package rehearse

import (
	"context"
	"errors"
	"io"
)

// Inside needs Linux.
func Inside(context.Context, io.Reader, io.Writer) error {
	return errors.New("rules can be rehearsed on Linux only")
}
