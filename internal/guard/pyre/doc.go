// Package pyre runs regular expressions written for Python's re module over
// single lines of hostile text, with Python's meaning and a bounded effort.
//
// Go's regexp cannot say what the log patterns of this field say: lookahead,
// lookbehind, conditionals on a group and back-references stand in every fourth
// pattern that people use, and the sshd one is among them. Translating what
// can be translated and handing the rest to a backtracking library would give
// three engines with three meanings. This package is one engine:
//
//   - Parse accepts the syntax of Python 3.11 str patterns and refuses, with
//     the position, what Python refuses.
//   - A match is the one that Python finds: leftmost, alternatives in order,
//     with the same groups. \d, \w, \s and \b are Unicode; $ matches before a
//     final newline; {,n} means {0,n}.
//   - The matcher backtracks, but skips what the next byte rules out, so that
//     most patterns never take a wrong turn. When an attempt costs more than
//     a little, it starts over remembering every state in which it has failed:
//     from there on the effort is at most states times length, as in RE2, also
//     for lookahead and conditionals.
//   - Every search is given a budget. A search that uses it up answers
//     Exhausted, which is neither a match nor the absence of one. Only patterns
//     with back-references or several nested optional loops can get there on
//     a line of normal length.
//
// Text is bytes. A byte that is not part of valid UTF-8 counts as one
// character, U+FFFD, as it would after decoding with errors='replace'.
//
// Literals reports strings of which at least one is in every text that the
// pattern matches; scanning for them first makes the missing path cheap.
package pyre
