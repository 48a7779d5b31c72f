// Package sudoers reads sudoers(5), as sudo's own lexer and grammar do, and says
// who can become root. It looks at nothing by itself: texts arrive as a
// [Source], users and the host as arguments.
//
//	p := sudoers.Read(files, "/etc/sudoers", "web1")
//	for _, r := range p.Roots(users, host) {
//		fmt.Println(r.User, r.Any, r.Password) // alice true no
//	}
//
// [Read] follows includes (@include, #include, @includedir, #includedir; %h),
// keeps aliases, digests, tags and options, and lets a command inherit from the
// one before it what is not written anew. What sudo would pass over, what could
// not be read and what does not do what it seems to is in [Policy.Problems],
// with file and line.
//
// [Policy.Roots] follows the rules of matching: among all commands of all rules
// the last one that matches decides; within a list the last member that matches
// does. Commands that are taken away from ALL (ALL, !/bin/sh) do not make it
// less than root: a copy of the shell has another name. What the text does not
// tell (netgroups, groups of other sources, host names by reverse lookup) makes
// a grant unsure, and never disappear.
//
// cvtsudoers -f json is the referee of the tests.
package sudoers
