package sshwire

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
)

// exchange is a way to agree on a secret.
type exchange struct {
	hash func() hash.Hash
	// start gives our half, as the message 30 carries it; finish takes theirs and
	// gives the secret as it goes into the hash.
	start func() (ours []byte, finish func(theirs []byte) ([]byte, error), err error)
}

// exchanges are those that we know, best first.
func exchanges() []struct {
	name string
	exchange
} {
	return []struct {
		name string
		exchange
	}{
		{"curve25519-sha256", exchange{sha256.New, dh(ecdh.X25519())}},
		{"curve25519-sha256@libssh.org", exchange{sha256.New, dh(ecdh.X25519())}},
		{"mlkem768x25519-sha256", exchange{sha256.New, hybrid}},
		{"ecdh-sha2-nistp256", exchange{sha256.New, dh(ecdh.P256())}},
		{"ecdh-sha2-nistp384", exchange{sha512.New384, dh(ecdh.P384())}},
		{"ecdh-sha2-nistp521", exchange{sha512.New, dh(ecdh.P521())}},
	}
}

// dh is Diffie-Hellman over a curve, RFC 8731 and RFC 5656.
func dh(curve ecdh.Curve) func() ([]byte, func([]byte) ([]byte, error), error) {
	return func() ([]byte, func([]byte) ([]byte, error), error) {
		key, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return key.PublicKey().Bytes(), func(theirs []byte) ([]byte, error) {
			secret, err := shared(curve, key, theirs)
			return mpint(secret), err
		}, nil
	}
}

func shared(curve ecdh.Curve, key *ecdh.PrivateKey, theirs []byte) ([]byte, error) {
	public, err := curve.NewPublicKey(theirs)
	if err != nil {
		return nil, err
	}
	return key.ECDH(public)
}

// hybrid is ML-KEM-768 with X25519, draft-ietf-sshm-mlkem-hybrid-kex.
func hybrid() ([]byte, func([]byte) ([]byte, error), error) {
	pq, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	ours := join(pq.EncapsulationKey().Bytes(), key.PublicKey().Bytes())
	return ours, func(theirs []byte) ([]byte, error) {
		if len(theirs) != mlkem.CiphertextSize768+32 {
			return nil, errors.New("its half of the key has another length")
		}
		first, err := pq.Decapsulate(theirs[:mlkem.CiphertextSize768])
		if err != nil {
			return nil, err
		}
		second, err := shared(ecdh.X25519(), key, theirs[mlkem.CiphertextSize768:])
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(join(first, second))
		return text(sum[:]), nil
	}, nil
}

// mpint is a positive number as RFC 4251 section 5 has it.
func mpint(n []byte) []byte {
	n = bytes.TrimLeft(n, "\x00")
	if len(n) > 0 && n[0] >= 0x80 {
		n = join([]byte{0}, n)
	}
	return text(n)
}

// ciphers are those that we know; keyed ones have their MAC with them.
func knownCiphers() []string {
	return []string{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"}
}

func knownMACs() []string {
	return []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"}
}

// first is the first of ours that they offer.
func first(ours, theirs []string) (string, error) {
	for _, o := range ours {
		if slices.Contains(theirs, o) {
			return o, nil
		}
	}
	return "", fmt.Errorf("no algorithm in common with %s", strings.Join(theirs, ","))
}

// agree exchanges keys: KEXINIT, one exchange, NEWKEYS.
func (t *transport) agree(banner string, theirs []byte, offered [10][]string) error {
	var kexNames []string
	for _, e := range exchanges() {
		kexNames = append(kexNames, e.name)
	}
	kex, err := first(kexNames, offered[0])
	if err != nil {
		return err
	}
	if len(offered[1]) == 0 {
		return errors.New("it offers no host key")
	}
	var suites [2]suite
	for i := range suites { // to the server, to us
		if suites[i].cipher, err = first(knownCiphers(), offered[2+i]); err != nil {
			return err
		}
		if suites[i].mac, err = first(knownMACs(), offered[4+i]); err != nil && !suites[i].gcm() {
			return err
		}
	}
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie)
	ours := join([]byte{msgKexInit}, cookie, text(kex), text(strings.Join(offered[1], ",")))
	for _, s := range []string{suites[0].cipher, suites[1].cipher, suites[0].mac, suites[1].mac, "none", "none", "", ""} {
		ours = append(ours, text(s)...)
	}
	ours = append(ours, 0, 0, 0, 0, 0)
	if err := t.send(ours); err != nil {
		return err
	}
	i := slices.Index(kexNames, kex)
	return t.exchange(exchanges()[i].exchange, banner, ours, theirs, suites)
}

// exchange carries out one key exchange and takes the new keys into use.
func (t *transport) exchange(e exchange, banner string, ours, theirs []byte, suites [2]suite) error {
	half, finish, err := e.start()
	if err != nil {
		return err
	}
	if err := t.send(join([]byte{30}, text(half))); err != nil {
		return err
	}
	reply, err := t.expect(msgKexReply)
	if err != nil {
		return err
	}
	b := reader{rest: reply[1:]}
	hostKey, other := b.text(), b.text()
	if b.text(); b.bad {
		return errors.New("its half of the key exchange is broken")
	}
	secret, err := finish(other)
	if err != nil {
		return err
	}
	h := e.hash()
	for _, part := range [][]byte{text(identification), text(banner), text(ours), text(theirs), text(hostKey), text(half), text(other)} {
		h.Write(part)
	}
	h.Write(secret)
	sum := h.Sum(nil)
	derive := func(letter byte, n int) []byte { // RFC 4253 section 7.2
		var out []byte
		for len(out) < n {
			h := e.hash()
			h.Write(secret)
			h.Write(sum)
			if out == nil {
				h.Write([]byte{letter})
				h.Write(sum) // the session's id is the first exchange's hash
			} else {
				h.Write(out)
			}
			out = h.Sum(out)
		}
		return out[:n]
	}
	if err := t.send([]byte{msgNewKeys}); err != nil {
		return err
	}
	if _, err := t.expect(msgNewKeys); err != nil {
		return err
	}
	if t.seal, _, err = suites[0].make(derive, 'A', 'C', 'E'); err != nil {
		return err
	}
	_, t.open, err = suites[1].make(derive, 'B', 'D', 'F')
	return err
}

// suite is a cipher with its MAC.
type suite struct{ cipher, mac string }

func (s suite) gcm() bool { return strings.Contains(s.cipher, "-gcm") }

// keyBytes is the length of the cipher's key.
func (s suite) keyBytes() int {
	switch {
	case strings.HasPrefix(s.cipher, "aes256"):
		return 32
	case strings.HasPrefix(s.cipher, "aes192"):
		return 24
	}
	return 16
}

type (
	sealer = func(payload []byte, number uint32) []byte
	opener = func(r io.Reader, number uint32) ([]byte, error)
)

// make derives the keys of one direction and gives what seals and opens packets.
func (s suite) make(derive func(byte, int) []byte, iv, key, mac byte) (sealer, opener, error) {
	block, err := aes.NewCipher(derive(key, s.keyBytes()))
	if err != nil {
		return nil, nil, err
	}
	if s.gcm() {
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, nil, err
		}
		seal, open := sealGCM(aead, derive(iv, 12))
		return seal, open, nil
	}
	h := sha256.New
	n := 32
	if strings.HasPrefix(s.mac, "hmac-sha2-512") {
		h, n = sha512.New, 64
	}
	seal, open := sealCTR(cipher.NewCTR(block, derive(iv, 16)), h, derive(mac, n), strings.Contains(s.mac, "-etm"))
	return seal, open, nil
}

// sealGCM is AES-GCM as OpenSSH has it: the length in the clear and authenticated,
// a counter in the last eight bytes of the nonce (RFC 5647).
func sealGCM(aead cipher.AEAD, nonce []byte) (sealer, opener) {
	count := func() { binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])+1) }
	seal := func(payload []byte, _ uint32) []byte {
		body := padded(payload, 16, 0)
		head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
		out := aead.Seal(slices.Clone(head), nonce, body, head)
		count()
		return out
	}
	open := func(r io.Reader, _ uint32) ([]byte, error) {
		head, body, err := lengthAnd(r, aead.Overhead())
		if err != nil {
			return nil, err
		}
		plain, err := aead.Open(nil, nonce, body, head)
		count()
		return plain, err
	}
	return seal, open
}

// lengthAnd reads a length in the clear and as many bytes with the tag behind.
func lengthAnd(r io.Reader, tag int) (head, body []byte, err error) {
	head = make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n > maxPacket {
		return nil, nil, fmt.Errorf("a packet of %d bytes", n)
	}
	body = make([]byte, int(n)+tag)
	_, err = io.ReadFull(r, body)
	return head, body, err
}

// sealCTR is AES in counter mode with HMAC-SHA2, computed over the encrypted
// packet (etm) or the plain one.
func sealCTR(stream cipher.Stream, h func() hash.Hash, key []byte, etm bool) (sealer, opener) {
	tag := func(number uint32, parts ...[]byte) []byte {
		m := hmac.New(h, key)
		m.Write(binary.BigEndian.AppendUint32(nil, number))
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	seal := func(payload []byte, number uint32) []byte {
		if etm {
			body := padded(payload, 16, 0)
			head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
			stream.XORKeyStream(body, body)
			return join(head, body, tag(number, head, body))
		}
		body := padded(payload, 16, 4)
		packet := join(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body)
		sum := tag(number, packet)
		stream.XORKeyStream(packet, packet)
		return join(packet, sum)
	}
	open := func(r io.Reader, number uint32) ([]byte, error) {
		size := h().Size()
		if etm {
			head, body, err := lengthAnd(r, size)
			if err != nil {
				return nil, err
			}
			n := len(body) - size
			if subtle.ConstantTimeCompare(body[n:], tag(number, head, body[:n])) == 0 {
				return nil, errMAC
			}
			stream.XORKeyStream(body[:n], body[:n])
			return body[:n], nil
		}
		begin := make([]byte, 16)
		if _, err := io.ReadFull(r, begin); err != nil {
			return nil, err
		}
		stream.XORKeyStream(begin, begin)
		n := binary.BigEndian.Uint32(begin)
		if n > maxPacket || n < 12 {
			return nil, fmt.Errorf("a packet of %d bytes", n)
		}
		rest := make([]byte, int(n)-12+size)
		if _, err := io.ReadFull(r, rest); err != nil {
			return nil, err
		}
		body := rest[:len(rest)-size]
		stream.XORKeyStream(body, body)
		if subtle.ConstantTimeCompare(rest[len(body):], tag(number, begin, body)) == 0 {
			return nil, errMAC
		}
		return join(begin[4:], body), nil
	}
	return seal, open
}

var errMAC = errors.New("a packet was changed on its way")
