// Package sshd reads sshd_config(5).
package sshd
