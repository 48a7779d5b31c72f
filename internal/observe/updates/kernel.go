package updates

import (
	"bytes"
	"encoding/binary"
	"io"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/host/apt"
	"sekimori/internal/observe/rootfs"
)

// maxImages bounds the kernels that are looked at.
const maxImages = 100

// readKernels lists the installed kernels beside the one that runs.
func readKernels(f rootfs.FS, n *rootfs.Notes) host.Kernels {
	k := host.Kernels{Running: f.Line("proc/sys/kernel/osrelease"), Version: f.Line("proc/sys/kernel/version")}
	var files []string
	for _, name := range n.Names(f, "boot") {
		for _, prefix := range []string{"vmlinuz-", "vmlinux-", "Image-", "kernel-"} {
			if strings.HasPrefix(name, prefix) && !strings.Contains(name, ".old") {
				files = append(files, "boot/"+name)
			}
		}
	}
	if f.Exists("boot/vmlinuz") && len(files) == 0 || f.Exists("boot/vmlinuz-virt") || f.Exists("boot/vmlinuz-lts") {
		files = append(files, "boot/vmlinuz") // of Alpine, whose name has no release
	}
	for _, dir := range []string{"usr/lib/modules", "lib/modules"} {
		for _, name := range n.Names(f, dir) {
			if at := path.Join(dir, name, "vmlinuz"); f.Exists(at) {
				files = append(files, at)
			}
		}
	}
	seen := map[string]bool{}
	for _, name := range files[:min(len(files), maxImages)] {
		image, ok := readImage(f, name)
		if !ok || seen[image.Release] || strings.Contains(image.Release, "rescue") {
			continue
		}
		seen[image.Release] = true
		k.Installed = append(k.Installed, image)
	}
	slices.SortStableFunc(k.Installed, func(a, b host.KernelImage) int { return apt.CompareVersions(a.Release, b.Release) })
	return k
}

// readImage reads what an image says of itself.
func readImage(f rootfs.FS, name string) (host.KernelImage, bool) {
	info, err := f.Look(name)
	if err != nil || info.Type != "file" {
		return host.KernelImage{}, false
	}
	image := host.KernelImage{Path: info.Path, Modified: info.Modified}
	if base := path.Base(name); base == "vmlinuz" {
		image.Release = path.Base(path.Dir(name))
	} else if _, release, ok := strings.Cut(base, "-"); ok {
		image.Release = release
	}
	file, err := f.Open(name)
	if err != nil {
		return image, image.Release != ""
	}
	defer file.Close()
	head := make([]byte, 64<<10)
	m, _ := io.ReadFull(file, head)
	if text := imageVersion(head[:m]); text != "" {
		image.Release, _, _ = strings.Cut(text, " ")
		if i := strings.IndexByte(text, '#'); i >= 0 {
			image.Version = text[i:]
		}
	}
	return image, image.Release != "" && image.Release != "boot"
}

// imageVersion reads the version of a bzImage: the offset at 0x20e, less 0x200,
// points to it (Documentation/arch/x86/boot.rst, kernel_version).
func imageVersion(head []byte) string {
	if len(head) < 0x210 || string(head[0x202:0x206]) != "HdrS" {
		return ""
	}
	at := int(binary.LittleEndian.Uint16(head[0x20e:])) + 0x200
	if at == 0x200 || at >= len(head) {
		return ""
	}
	text, _, ok := bytes.Cut(head[at:min(at+512, len(head))], []byte{0})
	if !ok || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return string(text)
}

// readReboot reads what asked for a reboot.
func readReboot(f rootfs.FS, n *rootfs.Notes, u *host.Updates) {
	for _, dir := range []string{"run", "var/run"} {
		u.RebootFlag = u.RebootFlag || f.Exists(dir+"/reboot-required")
		for line := range strings.Lines(n.Text(f, dir+"/reboot-required.pkgs")) {
			if line = strings.TrimSpace(line); line != "" && !slices.Contains(u.RebootRequired, line) && len(u.RebootRequired) < 1000 {
				u.RebootRequired = append(u.RebootRequired, line)
			}
		}
	}
}
