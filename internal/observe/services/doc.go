// Package services reads from files what a host starts, and how: units of systemd
// with their drop-ins, links and presets; services of OpenRC and System V; inetd and
// xinetd; cron, anacron and at; scripts that run at boot and at login; log and time
// daemons; web servers and the certificates that they show. No service manager is
// asked here and none needs to run.
package services
