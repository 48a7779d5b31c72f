package observe

import (
	"time"

	"golang.org/x/sys/unix"

	"sekimori/internal/host"
)

// clockState asks the kernel whether something keeps its clock: adjtimex(2)
// without any change.
func clockState(c *host.Clock) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return
	}
	c.Synchronized = "yes"
	if t.Status&unix.STA_UNSYNC != 0 {
		c.Synchronized = "no"
	}
	c.MaxError = time.Duration(t.Maxerror) * time.Microsecond
	_, c.UTCOffset = time.Now().Zone()
}
