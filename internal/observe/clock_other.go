//go:build !linux

package observe

import "sekimori/internal/host"

func clockState(*host.Clock) {}
