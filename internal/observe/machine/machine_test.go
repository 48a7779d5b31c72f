package machine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs/roottest"
)

// TestSettings: files of the same name hide each other by directory, the order is
// that of the names, the last line of a parameter holds.
func TestSettings(t *testing.T) {
	r := Read(roottest.New(t, map[string]string{
		"usr/lib/systemd/systemd-sysctl":  "",
		"usr/lib/sysctl.d/50-a.conf":      "# c\n; c\nnet.ipv4.ip_forward = 0\n-kernel.x=1\nnet/ipv4/conf/eth0.5/rp_filter = 2\n",
		"usr/lib/sysctl.d/60-hidden.conf": "a.b = 1\n",
		"etc/sysctl.d/60-hidden.conf":     "-net.ipv4.conf.eth0.rp_filter\nnonsense\n",
		"etc/sysctl.d/10-first.conf":      "kernel.dmesg_restrict=1\n",
		"run/sysctl.d/70-off.conf":        "c.d = 1\n",
		"etc/sysctl.d/70-off.conf":        "-> /dev/null",
		"etc/sysctl.d/99-sysctl.conf":     "-> ../sysctl.conf",
		"etc/sysctl.d/README":             "x.y = 1\n",
		"etc/sysctl.conf":                 "net.ipv4.ip_forward = 1\n",
		"proc/sys/kernel/kptr_restrict":   "1\n",
	}))
	want := []host.KernelSetting{
		{Name: "kernel.dmesg_restrict", Value: "1", File: "/etc/sysctl.d/10-first.conf", Line: 1},
		{Name: "net.ipv4.ip_forward", Value: "0", File: "/usr/lib/sysctl.d/50-a.conf", Line: 3, Overridden: true},
		{Name: "kernel.x", Value: "1", Ignore: true, File: "/usr/lib/sysctl.d/50-a.conf", Line: 4},
		{Name: "net.ipv4.conf.eth0/5.rp_filter", Value: "2", File: "/usr/lib/sysctl.d/50-a.conf", Line: 5},
		{Name: "net.ipv4.conf.eth0.rp_filter", Except: true, File: "/etc/sysctl.d/60-hidden.conf", Line: 1},
		{Name: "net.ipv4.ip_forward", Value: "1", File: "/etc/sysctl.d/99-sysctl.conf", Line: 1},
	}
	if diff := cmp.Diff(want, r.Settings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"kernel.kptr_restrict": "1"}, r.Sysctls); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestKernel(t *testing.T) {
	r := Read(roottest.New(t, map[string]string{
		"proc/cmdline":                           "root=/dev/vda1 quiet rd.luks.password=hunter2\n",
		"proc/modules":                           "a 1 0 - Live 0x0\nb 1 0 - Live 0x0\n",
		"sys/module/a/initstate":                 "live\n",
		"sys/module/hidden/initstate":            "live\n",
		"sys/module/kernel/parameters/x":         "1",
		"sys/kernel/security/lsm":                "lockdown,capability,apparmor\n",
		"sys/kernel/security/lockdown":           "none [integrity] confidentiality\n",
		"sys/module/apparmor/parameters/enabled": "Y\n",
		"sys/kernel/security/apparmor/profiles":  "/usr/bin/man (enforce)\nx//y (complain)\nz (enforce)\n",
		"proc/sys/kernel/tainted":                "4096\n",
		"etc/modprobe.d/x.conf":                  "blacklist usb_storage\ninstall dccp /bin/true\n# blacklist no\noptions a b\n",
		"etc/selinux/config":                     "SELINUX=enforcing\n",
		"sys/class/dmi/id/sys_vendor":            "QEMU\n",
		"sys/class/dmi/id/product_name":          "Standard PC\n",
		"proc/1/environ":                         "A=b\x00",
		"proc/self/mountinfo":                    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n23 22 0:5 / /a\\040b rw,nosuid - tmpfs tmpfs rw,size=1k\n24 22 0:6 / /net rw - cifs //h/s rw,username=u,password=hunter2\n25 22 0:6 / /a\\040b ro - tmpfs over ro\nrubbish\n",
		"etc/fstab":                              "# c\n/dev/sda1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs noexec,nosuid 0 0\n",
	}))
	want := host.KernelState{
		Cmdline: "root=/dev/vda1 quiet rd.luks.password=***", LSMs: []string{"lockdown", "capability", "apparmor"}, SELinux: "enforcing", AppArmor: true,
		Profiles: map[string]int{"enforce": 2, "complain": 1}, Lockdown: "integrity", Tainted: 4096, Modules: []string{"a", "b"}, Hidden: []string{"hidden"},
		Blacklisted: []string{"dccp", "usb_storage"}, Virtual: "kvm",
	}
	if diff := cmp.Diff(want, r.Kernel); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	mounts := []host.Mount{
		{Target: "/", Source: "/dev/sda1", Type: "ext4", Options: []string{"rw", "relatime", "errors=remount-ro"}},
		{Target: "/a b", Source: "over", Type: "tmpfs", Options: []string{"ro"}},
		{Target: "/net", Source: "//h/s", Type: "cifs", Options: []string{"rw"}},
		{Target: "/tmp", Source: "tmpfs", Type: "tmpfs", Options: []string{"noexec", "nosuid"}, Configured: true},
	}
	if diff := cmp.Diff(mounts, r.Mounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}

func TestProvider(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  host.Provider
	}{
		"cloud-init": {map[string]string{
			"run/cloud-init/instance-data.json": `{"v1": {"cloud_name": "aws", "instance_id": "i-1", "region": "eu-1", "availability_zone": "eu-1a"}, "ds": {"user_data": "hunter2"}}`,
			"sys/class/dmi/id/sys_vendor":       "Amazon EC2",
		}, host.Provider{Name: "aws", Instance: "i-1", Region: "eu-1", Zone: "eu-1a", Vendor: "Amazon EC2", From: []string{"/run/cloud-init/instance-data.json"}}},
		"a local disk and a vendor": {map[string]string{
			"run/cloud-init/instance-data.json": `{"v1": {"cloud_name": "nocloud"}}`, "sys/class/dmi/id/sys_vendor": "Hetzner\n",
		}, host.Provider{Name: "hetzner", Vendor: "Hetzner", From: []string{"/run/cloud-init/instance-data.json", "/sys/class/dmi/id/sys_vendor"}}},
		"azure":     {map[string]string{"var/lib/waagent/x": ""}, host.Provider{Name: "azure", From: []string{"/var/lib/waagent"}}},
		"hardware":  {map[string]string{"sys/class/dmi/id/sys_vendor": "Dell Inc."}, host.Provider{Vendor: "Dell Inc."}},
		"half JSON": {map[string]string{"run/cloud-init/instance-data.json": `{"v1": `}, host.Provider{}},
	} {
		r := Read(roottest.New(t, test.files))
		if diff := cmp.Diff(test.want, r.Provider); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if bad := len(r.Unseen) > 0; bad != (name == "half JSON") {
			t.Errorf("%s: unseen %v", name, r.Unseen)
		}
	}
}

func FuzzMachine(f *testing.F) {
	f.Add("net.ipv4.x = 1\n-a.b\n-c/d.e=2\n")
	f.Add("22 1 8:1 / /a\\040b rw,relatime shared:1 - ext4 /dev/sda1 rw,password=x\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseSettings("x", text) {
			if s.Name == "" || s.Line < 1 {
				t.Errorf("%+v", s)
			}
		}
		for _, m := range parseMountinfo(text) {
			if m.Target == "" || m.Type == "" {
				t.Errorf("%+v", m)
			}
		}
	})
}
