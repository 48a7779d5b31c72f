package systemd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/internal/host/systemd"
)

func Example() {
	u, install := systemd.ReadUnit("ssh.service", []systemd.Text{
		{Path: "/usr/lib/systemd/system/ssh.service", Text: "[Service]\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n[Install]\nWantedBy=multi-user.target\n"},
		{Path: "/etc/systemd/system/ssh.service.d/x.conf", Text: "[Service]\nNoNewPrivileges=yes\n"},
	})
	fmt.Println(u.Commands[0].Argv, u.Settings["NoNewPrivileges"], install.WantedBy)
	// Output: [/usr/sbin/sshd -D $SSHD_OPTS] yes [multi-user.target]
}

func TestParse(t *testing.T) {
	got := systemd.Parse(systemd.Text{Path: "f", Text: "a=0\n[S]\n# c\n; d\n k = v \nlong=one \\\n# inside\n two\nnothing\n[T]\r\nk=a=b\n[S]\nend=x\\"})
	want := []systemd.Setting{
		{"", "a", "0", "f", 1},
		{"S", "k", "v", "f", 5},
		{"S", "long", "one   two", "f", 6},
		{"T", "k", "a=b", "f", 11},
		{"S", "end", "x", "f", 13},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnits(t *testing.T) {
	for _, test := range []struct {
		name  string
		texts []string
		want  host.Unit
	}{
		{"a.service", []string{
			"[Unit]\nDescription=A\n[Service]\nUser=a\nExecStart=-+/bin/a --password hunter \"b c\"\nExecStart=/bin/d ; /bin/e f\nEnvironment=X=1 \"LD_PRELOAD=/tmp/x.so:/y.so\"\nSystemCallFilter=@a\nSystemCallFilter=~@b\nPrivateTmp=no\n",
			"[Service]\nExecReload=/bin/r\nPrivateTmp=yes\n",
		}, host.Unit{
			Description: "A", Run: "a", Preload: []string{"/tmp/x.so", "/y.so"},
			Commands: []host.UnitCommand{
				{Kind: "ExecStart", Prefix: "-+", Argv: []string{"/bin/a", "--password", "***", "b c"}},
				{Kind: "ExecStart", Argv: []string{"/bin/d"}},
				{Kind: "ExecStart", Argv: []string{"/bin/e", "f"}},
				{Kind: "ExecReload", Argv: []string{"/bin/r"}},
			},
			Settings: map[string]string{"SystemCallFilter": "@a ~@b", "PrivateTmp": "yes"},
		}},
		{"b.service", []string{"[Service]\nExecStart=/bin/old\nUser=u\nDynamicUser=1\n", "[Service]\nExecStart=\nExecStart=@/bin/new name -x\nUser=\n"}, host.Unit{
			DynamicUser: true, Commands: []host.UnitCommand{{Kind: "ExecStart", Prefix: "@", Argv: []string{"/bin/new", "-x"}}},
		}},
		{"c.socket", []string{"[Socket]\nListenStream=22\nListenStream=[::1]:2222\nListenDatagram=/run/c\n", "[Socket]\nListenStream=\nListenStream=127.0.0.1:80\nListenStream=vsock::22\nListenDatagram=[fe80::1]:9%eth0\n"}, host.Unit{
			Triggers: "c.service",
			Listen: []host.UnitListen{
				{Kind: "ListenStream", Address: "127.0.0.1:80", Port: 80},
				{Kind: "ListenStream", Address: "vsock::22"},
				{Kind: "ListenDatagram", Address: "[fe80::1]:9%eth0", Port: 9},
			},
		}},
		{"d.socket", []string{"[Socket]\nListenStream=70000\nAccept=yes\n"}, host.Unit{
			Triggers: "d@.service", Listen: []host.UnitListen{{Kind: "ListenStream", Address: "70000"}}, Settings: map[string]string{"Accept": "yes"},
		}},
		{"e.timer", []string{"[Timer]\nOnBootSec=5\nOnCalendar=daily\nUnit=other.service\n"}, host.Unit{Triggers: "other.service", Timer: []string{"OnBootSec=5", "OnCalendar=daily"}}},
		{"f.target", []string{"[Service]\nExecStart=/bin/x\n"}, host.Unit{}},
	} {
		var texts []systemd.Text
		for i, s := range test.texts {
			texts = append(texts, systemd.Text{Path: fmt.Sprint(i), Text: s})
		}
		test.want.Name, test.want.Manager = test.name, "systemd"
		got, _ := systemd.ReadUnit(test.name, texts)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestPresets(t *testing.T) {
	list := systemd.ParsePresets("# c\nenable ssh.*\ndisable ssh*\nignore x@.service\nnonsense a\ndisable\ndisable d*\n")
	for unit, want := range map[string]string{"ssh.service": "enabled", "sshd.service": "disabled", "x@.service": "ignored", "d.timer": "disabled", "z.timer": "enabled"} {
		if got := systemd.Wanted(list, unit); got != want {
			t.Errorf("%s is %s, want %s", unit, got, want)
		}
	}
}

func FuzzReadUnit(f *testing.F) {
	f.Add("a.service", "[Service]\nExecStart=-/bin/a \"b c\\\" d\" ; \\\n# c\n e\nEnvironment=LD_PRELOAD=x\n")
	f.Add("a.socket", "[Socket]\nListenStream=22\nListenStream=\nListenStream=[::]:1%e\nAccept=yes\n")
	f.Add("a.timer", "[Timer]\nOnCalendar=*-*-* 6,18:00\n[Install]\nWantedBy=a b\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		u, _ := systemd.ReadUnit(name, []systemd.Text{{Text: text}})
		for _, c := range u.Commands {
			if len(c.Argv) == 0 {
				t.Error("a command without a program")
			}
		}
		for _, s := range systemd.Parse(systemd.Text{Text: text}) {
			if s.Line < 1 || s.Line > strings.Count(text, "\n")+1 {
				t.Errorf("line %d", s.Line)
			}
		}
		systemd.Wanted(systemd.ParsePresets(text), name)
	})
}
