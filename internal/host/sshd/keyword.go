package sshd

import "slices"

// A merge says what a further line of the same keyword does.
type merge int

const (
	first  merge = iota // the first line wins
	last                // the last line wins, which sshd_config(5) does not say
	add                 // each line adds to the list
	byHand              // see (*pass).special
	none                // the line has no effect
)

// A keyword is one row of sshd's table.
type keyword struct {
	name    string // as sshd -T prints it, in lower case
	parse   parser
	merge   merge
	global  bool   // not allowed in a Match block
	def     string // the default, items separated by blanks; "" is none
	since   int    // the first release that knows it, as Version.release gives it; 0 is before 8.0
	until   int    // the first release that does not
	vendor  string // the only vendor whose build has it
	needs   string // what the build must not be without
	lines   bool   // sshd -T prints one line for each item
	noNone  bool   // sshd -T leaves the line out when nothing is set
	retired bool   // still known, ignored with a warning
}

// A table is the keywords of one version, by every name that it takes.
type table map[string]*keyword

func newTable(v Version) table {
	t := table{}
	for _, k := range keywords() {
		if k.since > v.release() || k.until > 0 && k.until <= v.release() {
			continue
		}
		if k.vendor != "" && v.Vendor != "" && k.vendor != v.Vendor {
			continue
		}
		if k.needs != "" && slices.Contains(v.Without, k.needs) {
			k.merge, k.retired, k.parse = none, true, parseNothing
		}
		if k.name == "subsystem" && v.release() >= 905 {
			k.global = false
		}
		if k.name == "persourcemaxstartups" && v.release() >= 905 {
			k.merge = first
		}
		t[k.name] = &k
	}
	for old, name := range aliases() {
		if k, ok := t[name]; ok {
			t[old] = k
		}
	}
	// This alias is the only one whose place is stricter than the keyword's own.
	if k, ok := t["pubkeyauthentication"]; ok {
		strict := *k
		strict.global = true
		t["dsaauthentication"] = &strict
	}
	return t
}

// aliases are the other names that sshd takes for a keyword.
func aliases() map[string]string {
	return map[string]string{
		"hostdsakey": "hostkey", "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
		"pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms", "gssapicleanupcreds": "gssapicleanupcredentials",
		"challengeresponseauthentication": "kbdinteractiveauthentication", "skeyauthentication": "kbdinteractiveauthentication",
		"keepalive": "tcpkeepalive",
	}
}

// keywords is servconf.c's table: sshd_config(5) and the releases' notes.
func keywords() []keyword {
	return slices.Concat(serverKeywords(), loginKeywords(), forwardKeywords(), retiredKeywords())
}

func yesNo(name, def string) keyword { return keyword{name: name, parse: parseFlag, def: def} }

func globalFlag(name, def string) keyword {
	return keyword{name: name, parse: parseFlag, def: def, global: true}
}

func number(name, def string) keyword { return keyword{name: name, parse: parseInt, def: def} }

// serverKeywords concern the daemon as a whole.
func serverKeywords() []keyword {
	return []keyword{
		{name: "port", parse: parsePort, merge: add, global: true, def: "22", lines: true},
		{name: "addressfamily", parse: oneOf("inet", "inet6", "any"), global: true, def: "any"},
		{name: "listenaddress", parse: parseListen, merge: add, global: true, lines: true},
		{name: "hostkey", parse: parsePath, merge: add, global: true, lines: true},
		{name: "hostcertificate", parse: parsePath, merge: add, global: true, lines: true},
		{name: "hostkeyagent", parse: parseAgent, global: true, def: "none"},
		{name: "pidfile", parse: parsePath, global: true, def: "/run/sshd.pid"},
		{name: "modulifile", parse: parsePath, global: true, def: "/etc/ssh/moduli", since: 806},
		{name: "usepam", parse: parseFlag, global: true, def: "no", needs: "pam"},
		{name: "pamservicename", parse: parseWord, def: "sshd", since: 908, needs: "pam"},
		{name: "logingracetime", parse: parseTime, global: true, def: "120"},
		{name: "syslogfacility", parse: parseFacility, global: true, def: "AUTH"},
		{name: "fingerprinthash", parse: upper(oneOf("md5", "sha1", "sha256", "sha384", "sha512")), merge: last, global: true, def: "SHA256"},
		globalFlag("printmotd", "yes"),
		globalFlag("printlastlog", "yes"),
		globalFlag("strictmodes", "yes"),
		globalFlag("tcpkeepalive", "yes"),
		globalFlag("usedns", "no"),
		globalFlag("ignoreuserknownhosts", "no"),
		{name: "debianbanner", parse: parseFlag, global: true, def: "yes", vendor: "debian"},
		{name: "compression", parse: renamed(oneOf("yes", "delayed", "no"), "delayed", "yes"), global: true, def: "yes"},
		{name: "xauthlocation", parse: parsePath, global: true, def: "/usr/bin/xauth"},
		{name: "permituserenvironment", parse: parseUserEnv, merge: byHand, global: true, def: "no"},
		{name: "maxstartups", parse: parseMaxStartups, merge: byHand, global: true, def: "10:30:100"},
		{name: "persourcemaxstartups", parse: parsePerSource, merge: last, global: true, def: "none", since: 805},
		{name: "persourcenetblocksize", parse: parseNetBlock, merge: last, global: true, def: "32:128", since: 805},
		{name: "persourcepenalties", parse: parsePenalties, merge: byHand, global: true, since: 908},
		{name: "persourcepenaltyexemptlist", parse: parseExempt, global: true, def: "none", since: 908},
		{name: "sshdsessionpath", parse: parsePath, global: true, since: 908},
		{name: "sshdauthpath", parse: parsePath, global: true, since: 1000},
		{name: "versionaddendum", parse: parseAddendum, global: true, def: "none"},
		{name: "securitykeyprovider", parse: parseProvider, global: true, def: "internal", since: 802},
		{name: "subsystem", parse: parseSubsystem, merge: byHand, global: true, lines: true},
		{name: "ciphers", parse: parseAlgorithms(isCipher), global: true},
		{name: "macs", parse: parseAlgorithms(isMAC), global: true},
		{name: "kexalgorithms", parse: parseAlgorithms(isKex), global: true},
		{name: "hostkeyalgorithms", parse: parseAlgorithms(isKeyPattern), global: true},
		{name: "gssapikexalgorithms", parse: parseGSSKex, global: true, def: gssKexDefault, needs: "gssapi", vendor: "debian"},
	}
}

// loginKeywords decide who logs in, and how.
func loginKeywords() []keyword {
	return []keyword{
		{name: "permitrootlogin", parse: renamed(oneOf("without-password", "prohibit-password", "forced-commands-only", "yes", "no"), "without-password", "prohibit-password"), def: "prohibit-password"},
		yesNo("pubkeyauthentication", "yes"),
		{name: "pubkeyauthoptions", parse: parsePubkeyOptions, def: "none", since: 804},
		{name: "pubkeyacceptedalgorithms", parse: parseAlgorithms(isKeyPattern)},
		{name: "casignaturealgorithms", parse: parseAlgorithms(isKeyPattern)},
		yesNo("passwordauthentication", "yes"),
		yesNo("kbdinteractiveauthentication", "yes"),
		yesNo("permitemptypasswords", "no"),
		yesNo("hostbasedauthentication", "no"),
		yesNo("hostbasedusesnamefrompacketonly", "no"),
		{name: "hostbasedacceptedalgorithms", parse: parseAlgorithms(isKeyPattern)},
		{name: "ignorerhosts", parse: oneOf("yes", "no", "shosts-only"), def: "yes"},
		{name: "kerberosauthentication", parse: parseFlag, def: "no", needs: "kerberos"},
		{name: "kerberosorlocalpasswd", parse: parseFlag, global: true, def: "yes", needs: "kerberos"},
		{name: "kerberosticketcleanup", parse: parseFlag, global: true, def: "yes", needs: "kerberos"},
		{name: "gssapiauthentication", parse: parseFlag, def: "no", needs: "gssapi"},
		{name: "gssapicleanupcredentials", parse: parseFlag, global: true, def: "yes", needs: "gssapi"},
		{name: "gssapistrictacceptorcheck", parse: parseFlag, global: true, def: "yes", needs: "gssapi"},
		{name: "gssapikeyexchange", parse: parseFlag, global: true, def: "no", needs: "gssapi", vendor: "debian"},
		{name: "gssapistorecredentialsonrekey", parse: parseFlag, global: true, def: "no", needs: "gssapi", vendor: "debian"},
		{name: "authenticationmethods", parse: parseMethods, merge: byHand, def: "any"},
		number("maxauthtries", "6"),
		number("maxsessions", "10"),
		{name: "requiredrsasize", parse: parseInt, def: "1024", since: 901},
		{name: "authorizedkeysfile", parse: parseKeyFiles, def: ".ssh/authorized_keys .ssh/authorized_keys2"},
		{name: "authorizedkeyscommand", parse: parseCommand, def: "none"},
		{name: "authorizedkeyscommanduser", parse: parseWord, def: "none"},
		{name: "authorizedprincipalsfile", parse: parseTilde, def: "none"},
		{name: "authorizedprincipalscommand", parse: parseCommand, merge: byHand, def: "none"},
		{name: "authorizedprincipalscommanduser", parse: parseWord, def: "none"},
		{name: "trustedusercakeys", parse: parsePath, def: "none"},
		{name: "revokedkeys", parse: parsePath, def: "none"},
		{name: "allowusers", parse: parseUsers, merge: add, lines: true},
		{name: "denyusers", parse: parseUsers, merge: add, lines: true},
		{name: "allowgroups", parse: parseGroups, merge: add, lines: true},
		{name: "denygroups", parse: parseGroups, merge: add, lines: true},
		{name: "refuseconnection", parse: parseFlag, def: "no", since: 909},
		{name: "banner", parse: parsePath, def: "none"},
		{name: "loglevel", parse: parseLevel, def: "INFO"},
		{name: "logverbose", parse: parseVerbose, since: 805, noNone: true},
		{name: "match", parse: parseNothing, merge: none},
		{name: "include", parse: parseNothing, merge: none, since: 802},
	}
}

// forwardKeywords concern what a session may do.
func forwardKeywords() []keyword {
	return []keyword{
		yesNo("x11forwarding", "no"),
		number("x11displayoffset", "10"),
		yesNo("x11uselocalhost", "yes"),
		yesNo("permittty", "yes"),
		yesNo("permituserrc", "yes"),
		{name: "allowtcpforwarding", parse: renamed(oneOf("yes", "all", "no", "remote", "local"), "all", "yes"), def: "yes"},
		{name: "allowstreamlocalforwarding", parse: renamed(oneOf("yes", "all", "no", "remote", "local"), "all", "yes"), def: "yes"},
		yesNo("allowagentforwarding", "yes"),
		yesNo("disableforwarding", "no"),
		{name: "gatewayports", parse: oneOf("clientspecified", "yes", "no"), def: "no"},
		{name: "streamlocalbindmask", parse: parseMask, merge: last, def: "0177"},
		yesNo("streamlocalbindunlink", "no"),
		yesNo("exposeauthinfo", "no"),
		{name: "permittunnel", parse: exactly("no", "point-to-point", "ethernet", "yes"), def: "no"},
		{name: "permitopen", parse: parsePermit(false), def: "any"},
		{name: "permitlisten", parse: parsePermit(true), def: "any"},
		{name: "forcecommand", parse: parseRaw, def: "none"},
		{name: "chrootdirectory", parse: parseWord, def: "none"},
		{name: "clientaliveinterval", parse: parseTime, def: "0"},
		number("clientalivecountmax", "3"),
		{name: "channeltimeout", parse: parseTimeouts, since: 902, noNone: true},
		{name: "unusedconnectiontimeout", parse: parseUnused, merge: byHand, def: "none", since: 902},
		{name: "rekeylimit", parse: parseRekey, merge: byHand, def: "0 0"},
		{name: "ipqos", parse: parseIPQoS, merge: last, def: "lowdelay throughput"},
		{name: "acceptenv", parse: parseEnvNames, merge: add, lines: true},
		{name: "setenv", parse: parseSetEnv, lines: true},
		{name: "rdomain", parse: parseNoRDomain},
		{name: "gssapienablek5users", parse: parseFlag, global: true, def: "no", vendor: "redhat"},
		{name: "kerberosuniqueccache", parse: parseFlag, global: true, def: "no", vendor: "redhat"},
		{name: "kerberosusekuserok", parse: parseFlag, def: "yes", vendor: "redhat"},
	}
}

// retiredKeywords are taken without effect.
func retiredKeywords() []keyword {
	var list []keyword
	for _, name := range []string{
		"pamauthenticationviakbdint", "serverkeybits", "keyregenerationinterval", "rhostsauthentication", "checkmail",
		"kerberosgetafstoken", "kerberostgtpassing", "afstokenpassing", "gssusesessionccache", "gssapiusesessioncredcache",
		"permitblacklistedkeys", "uselogin", "protocol", "verifyreversemapping", "reversemappingcheck", "useprivilegeseparation",
	} {
		list = append(list, keyword{name: name, parse: parseNothing, merge: none, global: true, retired: true})
	}
	for _, name := range []string{"rhostsrsaauthentication", "rsaauthentication", "authorizedkeysfile2"} {
		list = append(list, keyword{name: name, parse: parseNothing, merge: none, retired: true})
	}
	return list
}
