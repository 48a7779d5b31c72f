// Package accounts reads who has an account on a host and how they may log in
// and become root: passwd, shadow and group with their friends, the texts of sshd
// and sudo with everything that they include, authorized_keys files with the
// permissions above them, host keys' public halves, PAM.
//
// No hash and no private key is kept: of shadow(5) its states, of a private key
// what stat(2) says. A line of an authorized_keys file that is no key is not
// repeated, because a link in a home directory may lead to any file.
package accounts
