// Package policy reads, checks, formats and edits the policy file: what an
// operator wants to be reachable on a host, how people log in, and what is done
// about attackers. It looks at nothing but the text: whether an interface or a
// user exists is for those to say who see the host.
//
//	f, err := policy.Parse("policy.yaml", text)
//
// # Errors
//
// The error of Parse is an *Error with every fault of the file, each with line,
// column, the line itself with a caret, what was expected, and the near miss:
//
//	policy.yaml:3:6: unknown key "alow"
//	  3 |   - {alow: ssh}
//	    |      ^^^^
//	  expected: the keys allow, deny, from, to or rate
//	  hint: did you mean allow?
//
// Faults of YAML itself come one at a time, because nothing is known behind the
// first. A policy after which nobody could log in is a fault too. What is
// allowed but hardly meant is in File.Warnings.
//
// # The language
//
// A policy is YAML without anchors, aliases, tags, several documents, and texts
// of several lines; it has at most MaxSize bytes. The types of this package are
// the language: the fields of Policy, their tags, and the words that they are
// made of. Schema and Reference are generated from them. A section that is left
// out is nil, and left alone; nil and empty are different.
//
// Words stay as they are written. Service.Matches, Rate.Limit, Duration.Time
// and the like give their meaning, File.Lists that of lists, which may come from
// files: those are read by the function that is given. File.Position tells where
// a rule stands, so that whoever works with it can name the line.
//
// # Format and edit
//
// File.Format and File.Edit read their own result before they return it: the
// one says exactly what the file said, the other what was intended. Neither
// loses a comment; an edit leaves every line that it does not speak of alone,
// byte for byte.
package policy
