package sshd

import (
	"fmt"
	"slices"
	"strings"
)

const gssKexDefault = "gss-group14-sha256-,gss-group16-sha512-,gss-nistp256-sha256-,gss-curve25519-sha256-,gss-group14-sha1-,gss-gex-sha1-"

// ciphers are what sshd can do, in the order in which it lists them.
func allCiphers() []string {
	return []string{
		"3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-ctr", "aes192-ctr", "aes256-ctr",
		"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com",
	}
}

func defaultCiphers(v Version) []string {
	gcm := []string{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com"}
	ctr := []string{"aes128-ctr", "aes192-ctr", "aes256-ctr"}
	if v.release() >= 1000 {
		ctr, gcm = gcm, ctr
	}
	return slices.Concat([]string{"chacha20-poly1305@openssh.com"}, ctr, gcm)
}

func allMACs() []string {
	var list []string
	for _, etm := range []string{"", "-etm@openssh.com"} {
		for _, m := range []string{"hmac-sha1", "hmac-sha1-96", "hmac-sha2-256", "hmac-sha2-512", "hmac-md5", "hmac-md5-96"} {
			list = append(list, m+etm)
		}
		if etm == "" {
			etm = "@openssh.com"
		}
		list = append(list, "umac-64"+etm, "umac-128"+etm)
	}
	return list
}

func defaultMACs() []string {
	return []string{
		"umac-64-etm@openssh.com", "umac-128-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com",
		"hmac-sha1-etm@openssh.com", "umac-64@openssh.com", "umac-128@openssh.com", "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1",
	}
}

func allKex(v Version) []string {
	list := []string{
		"diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512",
		"diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha1", "diffie-hellman-group-exchange-sha256",
		"ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "curve25519-sha256", "curve25519-sha256@libssh.org",
	}
	if v.release() >= 909 || v.release() == 902 && v.Vendor == "debian" {
		list = append(list, "sntrup761x25519-sha512") // in Debian's 9.2 by a later patch
	}
	if v.release() >= 805 {
		list = append(list, "sntrup761x25519-sha512@openssh.com")
	}
	if v.release() >= 909 {
		list = append(list, "mlkem768x25519-sha256")
	}
	return list
}

func defaultKex(v Version) []string {
	var list []string
	if v.release() >= 1000 {
		list = append(list, "mlkem768x25519-sha256")
	}
	if v.release() >= 900 {
		list = append(list, "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com")
	}
	if v.release() == 909 {
		list = append(list, "mlkem768x25519-sha256")
	}
	list = append(list, "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521")
	if v.release() < 1000 {
		list = append(list, "diffie-hellman-group-exchange-sha256", "diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group14-sha256")
	}
	known := allKex(v)
	return slices.DeleteFunc(list, func(k string) bool { return !slices.Contains(known, k) })
}

// gssKex are prefixes: the name of the mechanism follows.
func gssKex() []string {
	return []string{
		"gss-gex-sha1-", "gss-group1-sha1-", "gss-group14-sha1-", "gss-group14-sha256-", "gss-group16-sha512-",
		"gss-nistp256-sha256-", "gss-curve25519-sha256-",
	}
}

// allKeyAlgorithms are the signature algorithms and key types, in sshd's order;
// plain leaves out certificates.
func allKeyAlgorithms(plain bool, v Version) []string {
	list := []string{
		"ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com",
		"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
		"webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "ssh-dss", "ssh-dss-cert-v01@openssh.com", "ssh-rsa",
		"ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256", "rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-512",
		"rsa-sha2-512-cert-v01@openssh.com",
	}
	return slices.DeleteFunc(list, func(a string) bool {
		return plain && strings.Contains(a, "-cert-") || v.release() >= 908 && strings.HasPrefix(a, "ssh-dss")
	})
}

func defaultKeyAlgorithms(plain bool) []string {
	list := []string{
		"ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com",
		"ecdsa-sha2-nistp521-cert-v01@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com",
		"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com",
		"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256",
	}
	if plain {
		list = slices.DeleteFunc(list, func(a string) bool { return strings.Contains(a, "-cert-") })
	}
	return list
}

func isCipher(name string, _ Version) bool { return slices.Contains(allCiphers(), name) }
func isMAC(name string, _ Version) bool    { return slices.Contains(allMACs(), name) }

// isKex also takes the names of GSSAPI key exchanges, which no list has: up to
// 10.0 they are accepted in KexAlgorithms and then dropped.
func isKex(name string, v Version) bool {
	if slices.Contains(allKex(v), name) {
		return true
	}
	if v.Vendor != "debian" && v.Vendor != "redhat" || v.release() >= 1003 {
		return false
	}
	return slices.ContainsFunc(gssKex(), func(p string) bool { return strings.HasPrefix(name, p) })
}

// isKeyPattern takes a name, the short name of a plain type, or a pattern that
// meets any name.
func isKeyPattern(name string, v Version) bool {
	switch strings.ToUpper(name) {
	case "ED25519", "ED25519-SK", "ECDSA", "ECDSA-SK", "DSA", "RSA", "NULL":
		if v.release() < 1000 {
			return true // and means nothing: no algorithm has that name
		}
	}
	return slices.ContainsFunc(append(allKeyAlgorithms(false, v), "null"), func(a string) bool { return patternList(a, name) != unmatched })
}

// parseAlgorithms checks a list of algorithms. As in sshd the check stops at
// the first empty item, and a list that removes (-) is not checked at all.
func parseAlgorithms(known func(string, Version) bool) parser {
	return func(in *input) ([]string, error) {
		arg, err := in.need()
		if err != nil || arg[0] == '-' {
			return one(arg, err)
		}
		list := strings.TrimLeft(arg[:1], "+^") + arg[1:]
		if list == "" {
			return nil, fmt.Errorf("bad list %q", arg)
		}
		for name := range strings.SplitSeq(list, ",") {
			if name == "" {
				break
			}
			if !known(name, in.v) {
				return nil, fmt.Errorf("unsupported algorithm %q", name)
			}
		}
		return []string{arg}, nil
	}
}

// algorithmKeywords are the keywords whose value is a list to be assembled.
func algorithmKeywords() []string {
	return []string{"ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "hostbasedacceptedalgorithms", "pubkeyacceptedalgorithms", "casignaturealgorithms"}
}

// assemble makes the list that a value stands for: kex_assemble_names.
func assemble(keyword, value string, v Version) (string, error) {
	def, all := algorithmLists(keyword, v)
	if value == "" {
		return strings.Join(def, ","), nil
	}
	var list []string
	switch value[0] {
	case '-':
		for _, a := range def {
			if patternList(a, value[1:]) != matched {
				list = append(list, a)
			}
		}
		if list == nil {
			// sshd assembles once more before it prints, and takes the empty
			// list for none given.
			list = def
		}
		return strings.Join(list, ","), nil
	case '+':
		added := strings.Split(value[1:], ",")
		if i := slices.Index(added, ""); i >= 0 {
			added = added[:i] // sshd stops there
		}
		list = union(def, added)
	case '^':
		list = union(strings.Split(value[1:], ","), def)
	default:
		list = strings.Split(value, ",")
	}
	var out []string
	for _, p := range list {
		if strings.HasPrefix(p, "!") {
			return "", fmt.Errorf("negated pattern %q in a list of algorithms", p)
		}
		for _, a := range all {
			if patternList(a, p) == matched && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	if out == nil {
		return "", fmt.Errorf("no algorithm left of %q", value)
	}
	return strings.Join(out, ","), nil
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

func algorithmLists(keyword string, v Version) (def, all []string) {
	switch keyword {
	case "ciphers":
		return defaultCiphers(v), allCiphers()
	case "macs":
		return defaultMACs(), allMACs()
	case "kexalgorithms":
		return defaultKex(v), allKex(v)
	case "casignaturealgorithms":
		return defaultKeyAlgorithms(true), allKeyAlgorithms(true, v)
	}
	return defaultKeyAlgorithms(false), allKeyAlgorithms(false, v)
}
