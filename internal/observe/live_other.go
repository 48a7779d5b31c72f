//go:build !linux

package observe

import "context"

const liveSupported = false

func (c *collector) liveKernel(context.Context) []link { return nil }
