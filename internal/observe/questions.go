package observe

import (
	"encoding/binary"
	"strings"
)

// question is what a service over UDP is asked: one datagram, as any client of its
// protocol would send it, and what an answer means.
type question struct {
	protocol string
	text     []byte
	meaning  func(answer []byte) string
}

// questions are those for what usually listens on a port.
func questions(port uint16) []question {
	switch port {
	case 7:
		return []question{{"echo", []byte("sekimori"), nil}}
	case 13, 17, 19:
		return []question{{"chargen", []byte{0}, nil}}
	case 53:
		return []question{dnsQuestion()}
	case 69:
		return []question{{"tftp", []byte("\x00\x01sekimori-asks\x00octet\x00"), nil}}
	case 111:
		return []question{portmapQuestion()}
	case 123:
		return []question{
			{"ntp", append([]byte{0x23}, make([]byte, 47)...), nil},
			// mode 6, read variables; mode 7, the list of clients
			{"ntp-control", []byte{0x16, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, nil},
			{"ntp-monlist", append([]byte{0x17, 0, 3, 0x2a}, make([]byte, 4)...), nil},
		}
	case 137:
		return []question{{"netbios", netbiosQuestion(), nil}}
	case 161:
		return []question{{"snmp", snmpQuestion(), nil}}
	case 389:
		return []question{{"cldap", cldapQuestion(), nil}}
	case 1900:
		return []question{{"ssdp", []byte("M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nMan: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n"), nil}}
	case 3702:
		return []question{{"ws-discovery", []byte(wsProbe), nil}}
	case 5353:
		return []question{{"mdns", dnsMessage("_services._dns-sd._udp.local", 12, 0), nil}}
	case 11211:
		// a frame header of memcached's UDP protocol, then the command
		return []question{{"memcached", []byte("\x00\x01\x00\x00\x00\x01\x00\x00stats\r\n"), nil}}
	}
	return nil
}

// dnsMessage is a question for one name, RFC 1035 section 4.
func dnsMessage(name string, kind, flags uint16) []byte {
	m := binary.BigEndian.AppendUint16(nil, 0x5e41)
	m = binary.BigEndian.AppendUint16(m, flags)
	m = append(m, 0, 1, 0, 0, 0, 0, 0, 0)
	for label := range strings.SplitSeq(name, ".") {
		m = append(append(m, byte(len(label))), label...)
	}
	m = append(m, 0)
	return append(binary.BigEndian.AppendUint16(m, kind), 0, 1)
}

// dnsQuestion asks a name server whether it works for anybody: with recursion
// desired, for the name servers of the root, which each resolver knows.
func dnsQuestion() question {
	text := dnsMessage("", 2, 0x0100)
	text = append(text[:12], 0, 0, 2, 0, 1) // the root is the empty name
	return question{"dns", text, func(a []byte) string {
		if len(a) < 12 {
			return "broken"
		}
		code, available := a[3]&0x0f, a[3]&0x80 != 0
		switch {
		case code == 5:
			return "refused"
		case available:
			return "recursive"
		}
		return "not recursive"
	}}
}

// portmapQuestion is a call of DUMP, RFC 1833.
func portmapQuestion() question {
	var m []byte
	for _, n := range []uint32{0x5e41, 0, 2, 100000, 2, 4, 0, 0, 0, 0} {
		m = binary.BigEndian.AppendUint32(m, n)
	}
	return question{"portmap", m, nil}
}

// netbiosQuestion asks for the status of the name "*", RFC 1002 section 4.2.17.
func netbiosQuestion() []byte {
	m := []byte{0x5e, 0x41, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 32, 'C', 'K'}
	for range 30 {
		m = append(m, 'A')
	}
	return append(m, 0, 0, 0x21, 0, 1)
}

// snmpQuestion is a GetRequest for sysDescr.0 with the community "public", RFC 1157.
func snmpQuestion() []byte {
	return []byte{
		0x30, 0x26, 0x02, 0x01, 0x00, 0x04, 0x06, 'p', 'u', 'b', 'l', 'i', 'c',
		0xa0, 0x19, 0x02, 0x01, 0x01, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00,
		0x30, 0x0e, 0x30, 0x0c, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x02, 0x01, 0x01, 0x01, 0x00, 0x05, 0x00,
	}
}

// cldapQuestion is a search for the root of the directory, RFC 1798 and RFC 4511.
func cldapQuestion() []byte {
	return []byte{
		0x30, 0x25, 0x02, 0x01, 0x01, 0x63, 0x20, 0x04, 0x00, 0x0a, 0x01, 0x00, 0x0a, 0x01, 0x00, 0x02, 0x01, 0x00,
		0x02, 0x01, 0x00, 0x01, 0x01, 0x00, 0x87, 0x0b, 'o', 'b', 'j', 'e', 'c', 't', 'c', 'l', 'a', 's', 's', 0x30, 0x00,
	}
}

// wsProbe is a probe for anything, WS-Discovery 1.1 section 5.
const wsProbe = `<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" ` +
	`xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>` +
	`<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action><a:MessageID>urn:uuid:5e415e41-0000-4000-8000-5e415e415e41</a:MessageID>` +
	`<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header><s:Body><d:Probe/></s:Body></s:Envelope>`
