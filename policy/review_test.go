package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/policy"
)

func TestReview(t *testing.T) {
	tests := []struct {
		name, policy string
		warnings     []string
		fault        string
	}{
		{"nothing to say", "inbound:\n  - {allow: ssh, from: 192.0.2.0/24}\n  - {deny: 80/tcp, from: 192.0.2.1}\n  - {allow: http}\n", nil, ""},
		{
			"a deny below what allows all of it", "inbound:\n  - {allow: ssh}\n  - {allow: 80-90/tcp}\n  - {deny: 85/tcp, from: 192.0.2.1}\n",
			[]string{"5: this rule never decides: the one in line 4 matches all that it does"},
			"",
		},
		{
			"covered by several together", "inbound:\n  - {allow: ssh}\n  - {allow: 80/tcp, from: 192.0.2.0/25}\n  - {allow: 80/tcp, from: 192.0.2.128/25}\n  - {deny: 80/tcp, from: 192.0.2.0/24}\n",
			[]string{"6: this rule never decides: the rules above match all that it does"},
			"",
		},
		{
			"one family decides", "inbound:\n  - {allow: ssh}\n  - {allow: 80/tcp, from: 0.0.0.0/0}\n  - {deny: 80/tcp}\n", nil, "",
		},
		{
			"a list without entries", "lists:\n  none: []\ninbound:\n  - {allow: ssh}\n  - {deny: 80/tcp, from: none}\n",
			[]string{"6: this rule matches nothing"},
			"",
		},
		{
			"outbound", "outbound:\n  rules:\n    - {allow: any}\n    - {deny: smtp, except-users: [25]}\n",
			[]string{"5: this rule never decides: the one in line 4 matches all that it does"},
			"",
		},
		{
			"every other user", "outbound:\n  rules:\n    - {deny: smtp, except-users: [25]}\n    - {allow: smtp}\n", nil, "",
		},
		{
			"somebody by name", "outbound:\n  rules:\n    - {deny: smtp, users: [alice, bob], groups: staff}\n    - {deny: smtp, users: carol}\n    - {deny: smtp, users: alice, groups: staff}\n",
			[]string{"6: this rule never decides: the one in line 4 matches all that it does"},
			"",
		},
		{
			"halves of everywhere", "lists:\n  all: [0.0.0.0/1, 128.0.0.0/1]\ninbound:\n  - {allow: ssh, from: all, rate: 6/min per source}\nssh: {passwords: true}\n",
			[]string{"4: ssh from anywhere with passwords on: they will be guessed"},
			"",
		},
		{
			"from nobody", "lists:\n  admins: []\ninbound:\n  - {allow: ssh, from: admins}\n", nil,
			"nobody could log in any more: no packet to ssh is let in",
		},
		{
			"denied in two halves", "inbound:\n  - {deny: ssh, from: [0.0.0.0/1, 128.0.0.0/1]}\n  - {deny: 22-23/tcp, from: \"::/0\"}\n  - {allow: ssh}\n", nil,
			"nobody could log in any more: no packet to ssh is let in",
		},
		{
			"one limit for all may be used up", "inbound:\n  - {allow: ssh, rate: 5/s}\n", nil,
			"nobody could log in any more: no packet to ssh is let in",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := policy.Parse("policy.yaml", []byte("version: 1\n"+tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			lists, err := f.Lists(noFiles)
			if err != nil {
				t.Fatal(err)
			}
			warnings, err := f.Review(lists, policy.Host{})
			if e, ok := errors.AsType[*policy.Error](err); tt.fault != "" && (!ok || !strings.Contains(e.Error(), tt.fault)) {
				t.Errorf("fault %v, want %s", err, tt.fault)
			} else if tt.fault == "" && err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range warnings {
				got = append(got, fmt.Sprintf("%d: %s", w.Line, w.Message))
			}
			if d := cmp.Diff(tt.warnings, got); d != "" {
				t.Errorf("warnings (-want +got):\n%s", d)
			}
		})
	}
}

func BenchmarkReview1000Rules(b *testing.B) {
	f, err := policy.Parse("policy.yaml", manyRules(1000))
	if err != nil {
		b.Fatal(err)
	}
	lists, err := f.Lists(noFiles)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := f.Review(lists, policy.Host{}); err != nil {
			b.Fatal(err)
		}
	}
}
