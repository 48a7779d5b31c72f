// Package apt reads the languages of dpkg and apt: versions and their order,
// stanzas of control files, dependencies, apt.conf, sources and preferences. It is
// pure: texts in, meaning out.
//
//	apt.CompareVersions("1:1.0~rc1-1", "1:1.0-1") // -1
//
// The installed dpkg and apt are the referees of its tests.
package apt
