#!/bin/sh
# ipfw, written by sekimori. In rc.conf: firewall_enable="YES" firewall_script="/usr/local/etc/sekimori/sekimori.ipfw.sh"
set -e
# What is connected stays connected when the rules that let it in are replaced.
sysctl net.inet.ip.fw.dyn_keep_states=1 >/dev/null
ipfw -q set disable 29 enable 28
ipfw -q delete set 29 2>/dev/null || :
ipfw -q /dev/stdin << 'SEKIMORI'
add 1000 set 29 allow ip from any to any frag
# replies, and what belongs to connections that were let in
add 1010 set 29 check-state
add 1020 set 29 allow icmp from any to any in icmptypes 3,11,12
add 1030 set 29 allow ipv6-icmp from any to any in icmp6types 1,2,3,4
# this host may talk to itself
add 1040 set 29 allow ip from any to any in recv lo0
# without these ICMPv6 messages IPv6 does not work (RFC 4890)
add 1050 set 29 allow ipv6-icmp from any to any in icmp6types 1,2,3,4,130,131,132,133,134,135,136,141,142,143,148,149,151,152,153
# line 11: refuse everything from all-of-them
add 1060 set 29 deny ip from 100.64.9.0/24,192.0.2.128/27,192.0.2.160/32 to any in // inbound[0], line 11
add 1070 set 29 deny ip from 2001:db8:bad::/48 to any in // inbound[0], line 11
# line 12: let in ssh from admins, lan
add 1080 set 29 allow tcp from 198.51.100.0/24,203.0.113.7/32 to any 22 in keep-state // inbound[1], line 12
add 1090 set 29 allow tcp from 2001:db8:a::/48 to any 22 in keep-state // inbound[1], line 12
add 1100 set 29 allow tcp from 10.0.0.0/24 to any 22 in { recv eth1 or recv eth2 } keep-state // inbound[1], line 12
add 1110 set 29 allow tcp from fd00:10::/64 to any 22 in { recv eth1 or recv eth2 } keep-state // inbound[1], line 12
# line 13: refuse 8004/tcp
add 1120 set 29 deny tcp from any to any 8004 in // inbound[2], line 13
# line 14: let in http, https, http3, 8000-8010/tcp
add 1130 set 29 allow tcp from any to any 80,443,8000-8010 in keep-state // inbound[3], line 14
add 1140 set 29 allow udp from any to any 443 in keep-state // inbound[3], line 14
# line 15: let in smtp, submission, imaps from lan to 203.0.113.5, 2001:db8::5
add 1150 set 29 allow tcp from 10.0.0.0/24 to 203.0.113.5/32 25,587,993 in { recv eth1 or recv eth2 } keep-state // inbound[4], line 15
add 1160 set 29 allow tcp from fd00:10::/64 to 2001:db8::5/128 25,587,993 in { recv eth1 or recv eth2 } keep-state // inbound[4], line 15
# line 16: let in dns from 10.0.0.0/8, fd00::/8
add 1170 set 29 allow tcp from 10.0.0.0/8 to any 53 in keep-state // inbound[5], line 16
add 1180 set 29 allow tcp from fd00::/8 to any 53 in keep-state // inbound[5], line 16
add 1190 set 29 allow udp from 10.0.0.0/8 to any 53 in keep-state // inbound[5], line 16
add 1200 set 29 allow udp from fd00::/8 to any 53 in keep-state // inbound[5], line 16
# line 17: let in ping, icmpv4/13
add 1210 set 29 allow icmp from any to any in icmptypes 8,13 keep-state // inbound[6], line 17
add 1220 set 29 allow ipv6-icmp from any to any in icmp6types 128 keep-state // inbound[6], line 17
# line 18: let in 60000-61000/udp from internet
add 1230 set 29 allow udp from any to any 60000-61000 in recv eth0 keep-state // inbound[7], line 18
# nothing else comes in
add 1240 set 29 deny ip from any to any in
# replies, and what belongs to connections that were let in
add 1250 set 29 allow icmp from any to any out icmptypes 3,11,12
add 1260 set 29 allow ipv6-icmp from any to any out icmp6types 1,2,3,4
# this host may talk to itself
add 1270 set 29 allow ip from any to any out xmit lo0
# without these ICMPv6 messages IPv6 does not work (RFC 4890)
add 1280 set 29 allow ipv6-icmp from any to any out icmp6types 1,2,3,4,130,131,132,133,134,135,136,141,142,143,148,149,151,152,153
# line 22: let out smtp to 203.0.113.25, 2001:db8::25
add 1290 set 29 allow tcp from any to 203.0.113.25/32 25 out keep-state // outbound.rules[0], line 22
add 1300 set 29 allow tcp from any to 2001:db8::25/128 25 out keep-state // outbound.rules[0], line 22
# line 23: let smtp, 6660-6669/tcp not out
add 1310 set 29 deny tcp from any to any 25,6660-6669 out // outbound.rules[1], line 23
# line 24: let everything not out to pests
add 1320 set 29 deny ip from any to 192.0.2.128/27,192.0.2.160/32 out // outbound.rules[2], line 24
add 1330 set 29 deny ip from any to 2001:db8:bad::/48 out // outbound.rules[2], line 24
# everything else may leave
add 1340 set 29 allow ip from any to any out keep-state
# From here on the new rules are in force, and the old ones are not.
set swap 29 28
SEKIMORI
ipfw -q delete set 29 2>/dev/null || :
