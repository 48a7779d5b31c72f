package services_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
	"sekimori/internal/observe/services"
)

// tree makes a root: a text, or "-> target" for a link, by path.
func tree(t testing.TB, files map[string]string) (string, rootfs.FS) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, at)
		} else {
			err = os.WriteFile(at, []byte(text), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, rootfs.FS{Source: root.FS().(rootfs.Source)}
}

const install = "[Install]\nWantedBy=multi-user.target\n"

func unitTree() map[string]string {
	const vendor, etc = "usr/lib/systemd/system/", "etc/systemd/system/"
	return map[string]string{
		"usr/lib/systemd/systemd":                       "",
		vendor + "multi-user.target":                    "[Unit]\nDescription=M\n",
		vendor + "graphical.target":                     "[Unit]\nDescription=G\n",
		vendor + "default.target":                       "-> graphical.target",
		etc + "default.target":                          "-> /usr/lib/systemd/system/multi-user.target",
		vendor + "on.service":                           "[Service]\nExecStart=/bin/on\n" + install,
		etc + "multi-user.target.wants/on.service":      "-> /usr/lib/systemd/system/on.service",
		vendor + "off.service":                          "[Service]\nExecStart=/bin/off\n" + install,
		vendor + "plain.service":                        "[Service]\nExecStart=/bin/plain\n",
		vendor + "shipped.service":                      "[Service]\nExecStart=/bin/s\n" + install,
		vendor + "sockets.target.wants/shipped.service": "-> ../shipped.service",
		vendor + "both.service":                         "[Service]\nExecStart=/bin/b\n[Install]\nAlso=both.socket\n",
		vendor + "both.socket":                          "[Socket]\nListenStream=2222\nListenDatagram=127.0.0.1:53\n[Install]\nWantedBy=sockets.target\n",
		vendor + "gone.service":                         "[Service]\nExecStart=/bin/gone\n" + install,
		etc + "gone.service":                            "-> /dev/null",
		vendor + "named.service":                        "[Service]\nExecStart=/bin/n\n[Install]\nAlias=other.service\nWantedBy=multi-user.target\n",
		etc + "other.service":                           "-> /usr/lib/systemd/system/named.service",
		vendor + "mine.service":                         "[Service]\nExecStart=/bin/old\nUser=nobody\n" + install,
		etc + "mine.service":                            "[Service]\nExecStart=/bin/mine --token s3cret\n" + install,
		etc + "mine.service.d/20-b.conf":                "[Service]\nUser=b\n",
		etc + "mine.service.d/10-a.conf":                "[Service]\nUser=a\nNoNewPrivileges=yes\n",
		vendor + "mine.service.d/10-a.conf":             "[Service]\nExecStart=/bin/never\n",
		vendor + "service.d/05-all.conf":                "[Service]\nPrivateTmp=yes\n",
		vendor + "inst@.service":                        "[Service]\nExecStart=/bin/i %i\n" + install,
		etc + "multi-user.target.wants/inst@1.service":  "-> /usr/lib/systemd/system/inst@.service",
		vendor + "daily.timer":                          "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n",
		"usr/lib/systemd/system-preset/90-x.preset":     "disable off*\nenable *\n",
		"usr/lib/systemd/system-preset/50-y.preset":     "disable daily.timer\n",
		"etc/systemd/system-preset/50-y.preset":         "-> /dev/null",
		"etc/systemd/system/broken.service":             "-> /nowhere/broken.service",
	}
}

// TestUnits: what is found is what stands there, drop-ins and presets applied.
func TestUnits(t *testing.T) {
	_, f := tree(t, unitTree())
	r := services.Read(t.Context(), f, nil, false)
	if len(r.Unseen) > 0 || r.Startup.Target != "multi-user.target" || r.Startup.Init != "systemd" {
		t.Errorf("unseen %v, target %q, init %q", r.Unseen, r.Startup.Target, r.Startup.Init)
	}
	byName := map[string]host.Unit{}
	for _, u := range r.Units {
		byName[u.Name] = u
	}
	mine := byName["mine.service"]
	if mine.Run != "b" || mine.Settings["NoNewPrivileges"] != "yes" || mine.Settings["PrivateTmp"] != "yes" {
		t.Errorf("drop-ins are not applied in order: %+v", mine)
	}
	if diff := cmp.Diff([]host.UnitCommand{{Kind: "ExecStart", Argv: []string{"/bin/mine", "--token", "***"}}}, mine.Commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/usr/lib/systemd/system/service.d/05-all.conf", "/etc/systemd/system/mine.service.d/10-a.conf", "/etc/systemd/system/mine.service.d/20-b.conf"}, mine.DropIns); diff != "" {
		t.Errorf("drop-ins (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"other.service"}, byName["named.service"].Aliases); diff != "" {
		t.Errorf("aliases (-want +got):\n%s", diff)
	}
	if got := byName["shipped.service"].PulledBy; !slices.Equal(got, []string{"sockets.target"}) {
		t.Errorf("shipped.service is pulled by %v", got)
	}
	if got := byName["both.socket"]; got.Triggers != "both.service" || len(got.Listen) != 2 || got.Listen[0].Port != 2222 || got.Listen[1].Port != 53 {
		t.Errorf("both.socket: %+v", got)
	}
}

// TestUnitStates: systemctl is the referee, which reads the files of another root
// without any systemd running.
func TestUnitStates(t *testing.T) {
	dir, f := tree(t, unitTree())
	out, err := exec.CommandContext(t.Context(), "systemctl", "--root="+dir, "list-unit-files", "--no-legend", "--no-pager", "--plain").Output()
	if err != nil {
		t.Fatalf("systemctl: %v", err)
	}
	got := map[string]string{}
	for _, u := range services.Read(t.Context(), f, nil, false).Units {
		got[u.Name] = u.State + " " + u.Preset
		for _, a := range u.Aliases {
			got[a] = "alias"
		}
	}
	judged := 0
	for line := range strings.Lines(string(out)) {
		w := strings.Fields(line)
		if len(w) < 3 || w[0] == "broken.service" {
			continue
		}
		judged++
		state, preset, _ := strings.Cut(got[w[0]], " ")
		if state != w[1] || w[2] != "-" && preset != "" && preset != w[2] {
			t.Errorf("%s: we say %q, systemctl %s %s", w[0], got[w[0]], w[1], w[2])
		}
	}
	if judged < 12 {
		t.Errorf("systemctl judged only %d units:\n%s", judged, out)
	}
}
