// Package source turns recorded logs into lines: plain text, compressed with
// gzip, xz or zstd, in UTF-16, or the journal as journalctl -o export and -o
// json write it.
//
// What a log may contain is up to whoever writes to it, so nothing here depends
// on its good will: a line of any length costs the same memory, its rest is
// skipped; what is broken in the middle ends the file, with what was read
// before it delivered and the fault reported; expanding a bomb ends where its
// lines are counted, not in memory.
package source
