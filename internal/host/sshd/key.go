package sshd

import (
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// A Key is a public key in the form of OpenSSH, RFC 4253 section 6.6.
type Key struct {
	// Type is the name at the start of the blob: "ssh-ed25519", "ssh-rsa",
	// "ecdsa-sha2-nistp256-cert-v01@openssh.com".
	Type string `json:"type"`
	// Bits is the length as ssh-keygen -l counts it: of the modulus for RSA and
	// DSA, of the curve otherwise.
	Bits    int    `json:"bits"`
	Comment string `json:"comment,omitempty"`
	// Cert is set for a certificate.
	Cert *Certificate `json:"cert,omitempty"`

	blob []byte
}

// A Certificate is what a CA has signed, PROTOCOL.certkeys of OpenSSH.
type Certificate struct {
	Serial      uint64   `json:"serial"`
	Host        bool     `json:"host"` // a host's, not a user's
	ID          string   `json:"id"`
	Principals  []string `json:"principals"`
	ValidAfter  uint64   `json:"valid_after"`  // seconds since 1970
	ValidBefore uint64   `json:"valid_before"` // all bits set is for ever
}

// Fingerprint gives SHA256:…, as ssh-keygen -l and sshd's log have it. That of
// a certificate is that of the key inside; it is not given here.
func (k Key) Fingerprint() string {
	sum := sha256.Sum256(k.blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Same reports whether both are the same key.
func (k Key) Same(other Key) bool { return string(k.blob) == string(other.blob) }

// Family is the short name that ssh-keygen -l has in parentheses: RSA, DSA,
// ECDSA, ED25519, ECDSA-SK, ED25519-SK, with -CERT for a certificate.
func (k Key) Family() string {
	plain := plainType(k.Type)
	name := map[bool]string{true: "-CERT"}[plain != k.Type]
	switch {
	case plain == "ssh-rsa":
		return "RSA" + name
	case plain == "ssh-dss":
		return "DSA" + name
	case plain == "ssh-ed25519":
		return "ED25519" + name
	case strings.HasPrefix(plain, "sk-ssh-ed25519"):
		return "ED25519-SK" + name
	case strings.HasPrefix(plain, "sk-ecdsa"):
		return "ECDSA-SK" + name
	}
	return "ECDSA" + name
}

// plainType takes the certificate's part off a type.
func plainType(t string) string {
	plain, ok := strings.CutSuffix(t, "-cert-v01@openssh.com")
	if ok && strings.HasPrefix(plain, "sk-") {
		return plain + "@openssh.com"
	}
	return plain
}

// signatures are the algorithms that a key of a type can sign with; the names
// that PubkeyAcceptedAlgorithms has.
func signatures(keyType string) []string {
	switch keyType {
	case "ssh-rsa":
		return []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"}
	case "ssh-rsa-cert-v01@openssh.com":
		return []string{"rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com"}
	case "sk-ecdsa-sha2-nistp256@openssh.com":
		return []string{keyType, "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"}
	}
	return []string{keyType}
}

// keyTypes are the types that a key file may name.
func keyTypes() []string {
	return slices.DeleteFunc(allKeyAlgorithms(false, Debian12()), func(a string) bool {
		return strings.HasPrefix(a, "rsa-sha2") || strings.HasPrefix(a, "webauthn")
	})
}

var (
	errShort = errors.New("key blob ends early")
	errExtra = errors.New("key blob goes on after the key")
)

// ParseKey reads "TYPE BASE64 COMMENT", a line of a .pub file.
func ParseKey(text string) (Key, error) {
	text = strings.TrimRight(strings.TrimLeft(text, " \t"), "\r\n")
	end := strings.IndexAny(text, " \t")
	if end < 0 {
		return Key{}, errors.New("not a public key: one word")
	}
	name := text[:end]
	if !slices.Contains(keyTypes(), name) {
		return Key{}, fmt.Errorf("unknown type of key %.60q", name)
	}
	rest := strings.TrimLeft(text[end:], " \t")
	data, comment := rest, ""
	if i := strings.IndexAny(rest, " \t"); i >= 0 {
		data, comment = rest[:i], strings.TrimLeft(rest[i:], " \t")
	}
	blob, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return Key{}, fmt.Errorf("base64: %w", err)
	}
	k, err := parseBlob(blob)
	if err != nil {
		return Key{}, err
	}
	if k.Type != name {
		return Key{}, fmt.Errorf("the line says %s, the key is %s", name, k.Type)
	}
	k.Comment = comment
	return k, nil
}

func parseBlob(blob []byte) (Key, error) {
	w := &wire{rest: blob}
	k := Key{Type: w.text(), blob: blob}
	if w.err != nil {
		return Key{}, w.err
	}
	plain := plainType(k.Type)
	if !slices.Contains(keyTypes(), k.Type) {
		return Key{}, fmt.Errorf("unknown type of key %.60q", k.Type)
	}
	if plain != k.Type {
		w.bytes() // the nonce
	}
	if err := k.numbers(w, plain); err != nil {
		return Key{}, err
	}
	if plain != k.Type {
		k.certificate(w)
	}
	if w.err == nil && len(w.rest) > 0 {
		w.err = errExtra
	}
	return k, w.err
}

// numbers reads what is a type's own.
func (k *Key) numbers(w *wire, plain string) error {
	switch plain {
	case "ssh-rsa":
		w.mpint()
		k.Bits = w.mpint()
		if w.err == nil && (k.Bits < 1024 || k.Bits > 16384) {
			return fmt.Errorf("RSA key of %d bits; OpenSSH takes 1024 to 16384", k.Bits)
		}
	case "ssh-dss":
		k.Bits = w.mpint()
		w.mpint()
		w.mpint()
		w.mpint()
		if w.err == nil && k.Bits != 1024 {
			return fmt.Errorf("DSA key of %d bits; OpenSSH takes 1024", k.Bits)
		}
	case "ssh-ed25519", "sk-ssh-ed25519@openssh.com":
		k.Bits = 256
		if n := len(w.bytes()); w.err == nil && n != 32 {
			return fmt.Errorf("ed25519 key of %d bytes", n)
		}
	default:
		if err := k.point(w, plain); err != nil {
			return err
		}
	}
	if strings.HasPrefix(plain, "sk-") {
		w.bytes() // the application
	}
	return w.err
}

// point reads an ECDSA key and checks that it lies on its curve.
func (k *Key) point(w *wire, plain string) error {
	name := strings.TrimSuffix(strings.TrimPrefix(plain, "sk-"), "@openssh.com")
	name = strings.TrimPrefix(name, "ecdsa-sha2-")
	curves := map[string]ecdh.Curve{"nistp256": ecdh.P256(), "nistp384": ecdh.P384(), "nistp521": ecdh.P521()}
	k.Bits = map[string]int{"nistp256": 256, "nistp384": 384, "nistp521": 521}[name]
	if got := w.text(); w.err == nil && got != name {
		return fmt.Errorf("%s key on curve %.60q", plain, got)
	}
	point := w.bytes()
	if w.err != nil {
		return w.err
	}
	if _, err := curves[name].NewPublicKey(point); err != nil {
		return fmt.Errorf("%s: %w", plain, err)
	}
	return nil
}

func (k *Key) certificate(w *wire) {
	c := &Certificate{Serial: w.uint64()}
	c.Host = w.uint32() == 2
	c.ID = w.text()
	principals := &wire{rest: w.bytes()}
	for len(principals.rest) > 0 && principals.err == nil {
		c.Principals = append(c.Principals, principals.text())
	}
	c.ValidAfter, c.ValidBefore = w.uint64(), w.uint64()
	for range 5 {
		w.bytes() // options, extensions, reserved, the CA's key, the signature
	}
	if w.err == nil {
		w.err = principals.err
	}
	k.Cert = c
}

// A wire takes RFC 4251's data types off a byte string. After an error it gives
// nothing but zeros.
type wire struct {
	rest []byte
	err  error
}

func (w *wire) take(n uint64) []byte {
	if w.err != nil || n > uint64(len(w.rest)) {
		if w.err == nil {
			w.err = errShort
		}
		return nil
	}
	b := w.rest[:n]
	w.rest = w.rest[n:]
	return b
}

func (w *wire) uint32() uint32 {
	if b := w.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (w *wire) uint64() uint64 {
	if b := w.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (w *wire) bytes() []byte { return w.take(uint64(w.uint32())) }

func (w *wire) text() string { return string(w.bytes()) }

// mpint gives the length in bits; a negative number is an error.
func (w *wire) mpint() int {
	b := w.bytes()
	if len(b) > 0 && b[0]&0x80 != 0 && w.err == nil {
		w.err = errors.New("negative number in a key")
	}
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0
	}
	return 8*len(b) - bits.LeadingZeros8(b[0])
}
