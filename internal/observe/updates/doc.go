// Package updates reads what is installed on a host and what its package lists
// offer beyond that, in place: dpkg's status and apt's lists, rpm's and apk's
// databases. For apt it works out what apt-get dist-upgrade would do, with pins,
// holds, phased updates and dependencies; where that would take more than is
// modelled here, a package is named as held back by its dependencies.
//
// Beside that: the kernel that runs and those installed, processes that run what
// was replaced, until when the release is supported, and what installs updates by
// itself.
package updates
