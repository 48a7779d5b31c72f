package audit

import (
	"sekimori/internal/firewall"
	"sekimori/packet"
)

// trace follows one packet, written in packet's language, to its end.
func trace(e *firewall.Engine, rules *firewall.Ruleset, text string) (firewall.Trace, error) {
	p, err := packet.ParsePacket(text)
	if err != nil {
		return firewall.Trace{}, err
	}
	var t firewall.Trace
	err = e.Do(func() error {
		in := e.Packets(p)
		var err error
		t, err = e.Trace(rules, e.WayOf(in, p.In != "", p.Out != ""), in)
		return err
	})
	return t, err
}
