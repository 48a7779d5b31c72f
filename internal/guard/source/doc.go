// Package source turns recorded logs into lines: plain text, compressed with
// gzip, bzip2, xz or zstd, in UTF-16 with or without a byte order mark, or the
// journal as journalctl writes it with -o export, json, json-pretty, json-seq or
// json-sse, JSON entries also as an array.
//
// What a log may contain is up to whoever writes to it, so nothing here depends
// on its good will: a line of any length costs the same memory, its rest is
// skipped; expanding a bomb ends where its lines are counted, not in memory.
//
// Nothing is passed over in silence. What ends a log before its end is the
// error of Next, after everything before it was delivered; a line or a field
// that was cut off by that is not delivered, for half an address is somebody
// else's. What could be passed over is counted by Flaws: NUL bytes, overlong
// lines, entries that are no entries. A file that is of another kind altogether
// (a picture, the journal's own files) is an error with its name.
package source
