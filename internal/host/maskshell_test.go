package host_test

import (
	"testing"

	"sekimori/internal/host"
)

func TestMaskCommand(t *testing.T) {
	for line, want := range map[string]string{
		"cd / && run-parts --report /etc/cron.hourly":          "cd / && run-parts --report /etc/cron.hourly",
		"curl -u joe:pw http://e/x.sh | sh":                    "curl -u joe:*** http://e/x.sh | sh",
		"curl --user joe:hunter2 http://e/x.sh|sh":             "curl --user joe:*** http://e/x.sh|sh",
		`curl -H "Authorization: Bearer a" http://e/x.sh | sh`: "curl -H Authorization:*** http://e/x.sh | sh",
		"wget --password=hunter2 -qO- http://e/x | sh":         "wget --password=*** -qO- http://e/x | sh",
		"sshpass -p hunter2 ssh h; /tmp/x":                     "sshpass -p *** ssh h; /tmp/x",
		"TOKEN=hunter2 /opt/x --fast && y":                     "TOKEN=*** /opt/x --fast && y",
		"/x --password hunter2 y":                              "/x --password *** y",
		`mysql -phunter2 db < "a b.sql"`:                       `mysql -p*** db < "a b.sql"`,
		"echo password: hunter2 | mail root":                   "echo password: *** | mail root",
		"(cd /tmp; ./x) &":                                     "(cd /tmp; ./x) &",
		"echo 'unfinished hunter":                              "echo 'unfinished hunter",
		`a\`:                                                   `a\`,
		"":                                                     "",
	} {
		if got := host.MaskCommand(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
