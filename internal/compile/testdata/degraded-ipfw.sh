#!/bin/sh
# ipfw, written by sekimori. In rc.conf: firewall_enable="YES" firewall_script="/usr/local/etc/sekimori/sekimori.ipfw.sh"
# NOT EQUIVALENT to the policy: it admits less, because this firewall has no words for
#   line 10: what passes through the host
#   line 11: a rate for each source
#   line 11: what passes through the host
#   line 16: a rate
#   line 19: address translation
#   line 19: what passes through the host
#   line 21: address translation
#   line 21: what passes through the host
#   line 22: what passes through the host
#   line 8: a rate for each source
#   line 8: what passes through the host
#   line 9: what passes through the host
#   what passes through the host
set -e
# What is connected stays connected when the rules that let it in are replaced.
sysctl net.inet.ip.fw.dyn_keep_states=1 >/dev/null
ipfw -q set disable 29 enable 28
ipfw -q delete set 29 2>/dev/null || :
ipfw -q /dev/stdin << 'SEKIMORI'
# line 24: the edge of the network does not pass 22/udp, 80/udp, 1900/udp, in either direction
add 1000 set 29 deny udp from any 22 to any in recv eth0 // edge, line 24
add 1010 set 29 deny udp from any 80 to any in recv eth0 // edge, line 24
add 1020 set 29 deny udp from any 1900 to any in recv eth0 // edge, line 24
add 1030 set 29 deny udp from any to any 22,80,1900 in recv eth0 // edge, line 24
add 1040 set 29 deny udp from any 22 to any out xmit eth0 // edge, line 24
add 1050 set 29 deny udp from any 80 to any out xmit eth0 // edge, line 24
add 1060 set 29 deny udp from any 1900 to any out xmit eth0 // edge, line 24
add 1070 set 29 deny udp from any to any 22,80,1900 out xmit eth0 // edge, line 24
add 1080 set 29 allow ip from any to any frag
# nothing else passes through this host
add 1090 set 29 deny ip from any to any out recv *
# replies, and what belongs to connections that were let in
add 1100 set 29 check-state
add 1110 set 29 allow icmp from any to any in icmptypes 3,11,12
add 1120 set 29 allow ipv6-icmp from any to any in icmp6types 1,2,3,4
# this host may talk to itself
add 1130 set 29 allow ip from any to any in recv lo0
# without these ICMPv6 messages IPv6 does not work (RFC 4890)
add 1140 set 29 allow ipv6-icmp from any to any in icmp6types 1,2,3,4,130,131,132,133,134,135,136,141,142,143,148,149,151,152,153
# answers to this host's DHCP client
add 1150 set 29 allow udp from any 67 to any 68 in recv eth0 ipv4 keep-state
# answers to this host's DHCPv6 client
add 1160 set 29 allow udp from any to fe80::/10 546 in recv eth0 keep-state
# line 8: let in ssh from admins, at most 6/min per source; more is dropped
add 1170 set 29 deny tcp from 198.51.100.0/24 to any 22 in // inbound[0], line 8
add 1180 set 29 deny tcp from 2001:db8:a::/48 to any 22 in // inbound[0], line 8
# line 9: let in http, https
add 1190 set 29 allow tcp from any to any 80,443 in keep-state // inbound[1], line 9
# line 10: let in smtp, submission, imaps from lan
add 1200 set 29 allow tcp from 10.0.0.0/24 to any 25,587,993 in recv eth1 keep-state // inbound[2], line 10
add 1210 set 29 allow tcp from fd00:10::/64 to any 25,587,993 in recv eth1 keep-state // inbound[2], line 10
# line 11: let in ping, at most 5/s per source; more is dropped
add 1220 set 29 deny icmp from any to any in icmptypes 8 // inbound[3], line 11
add 1230 set 29 deny ipv6-icmp from any to any in icmp6types 128 // inbound[3], line 11
# nothing else comes in
add 1240 set 29 deny ip from any to any in
# replies, and what belongs to connections that were let in
add 1250 set 29 allow icmp from any to any out icmptypes 3,11,12
add 1260 set 29 allow ipv6-icmp from any to any out icmp6types 1,2,3,4
# this host may talk to itself
add 1270 set 29 allow ip from any to any out xmit lo0
# without these ICMPv6 messages IPv6 does not work (RFC 4890)
add 1280 set 29 allow ipv6-icmp from any to any out icmp6types 1,2,3,4,130,131,132,133,134,135,136,141,142,143,148,149,151,152,153
# questions of this host's DHCP client
add 1290 set 29 allow udp from any 68 to any 67 out xmit eth0 ipv4 keep-state
# questions of this host's DHCPv6 client
add 1300 set 29 allow udp from any 546 to fe80::/10,ff02::1:2/128 547 out xmit eth0 keep-state
# line 15: let 25/tcp not out unless of postfix
add 1310 set 29 deny tcp from any to any 25 out not uid 101 // outbound.rules[0], line 15
# line 16: let out 22/tcp, at most 10/min; more is dropped
add 1320 set 29 deny tcp from any to any 22 out // outbound.rules[1], line 16
# everything else may leave
add 1330 set 29 allow ip from any to any out keep-state
# From here on the new rules are in force, and the old ones are not.
set swap 29 28
SEKIMORI
ipfw -q delete set 29 2>/dev/null || :
