//go:build !linux

package observe_test

import (
	"errors"
	"testing"

	"sekimori/internal/observe"
)

func TestLiveElsewhere(t *testing.T) {
	if _, err := observe.Host(t.Context(), observe.Options{}); !errors.Is(err, observe.ErrNotLinux) {
		t.Errorf("got %v", err)
	}
}
