package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sekimori/internal/audit"
	"sekimori/internal/audit/words"
	"sekimori/internal/host"
)

// audited is an audit with a finding of each severity, and hostile words in it.
func audited(t *testing.T, language string) Audit {
	t.Helper()
	w, err := words.Load(language)
	if err != nil {
		t.Fatal(err)
	}
	s := &host.Snapshot{
		Schema: host.Schema, Time: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
		System:     host.System{Hostname: "web1<script>", OS: "linux", PrettyName: "Debian GNU/Linux 13 (trixie)", Kernel: "6.12"},
		Interfaces: []host.Interface{{Index: 2, Name: "eth0", Addresses: []host.Address{{Prefix: netip.MustParsePrefix("203.0.113.5/24")}}}},
		Routes:     []host.Route{{Family: 4, Table: 254, Type: "unicast", Dst: netip.MustParsePrefix("0.0.0.0/0"), Hops: []host.Hop{{Interface: 2, Gateway: netip.MustParseAddr("203.0.113.1")}}}},
		Neighbours: []host.Neighbour{{Interface: 2, Addr: netip.MustParseAddr("203.0.113.1"), MAC: "00:00:0c:01:02:03", Vendor: "Cisco Systems, Inc"}},
		Provider:   host.Provider{Name: "hetzner", Region: "eu-central"},
	}
	r := audit.Result{
		Grade: audit.GradeF,
		Findings: []audit.Finding{
			{ID: "exp-danger", Section: audit.Exposure, Severity: audit.Critical, Evidence: []string{"Redis: 6379/tcp redis-server on 0.0.0.0: anyone on eth0: no rule is in the way", "evil \x1b[2J</li><script>alert(1)</script>\u202e"}, References: []string{"CIS Debian 12 4.2.6"}, Policy: []string{"inbound: [{allow: ssh}]"}},
			{ID: "ssh-root", Section: audit.SSH, Severity: audit.High, Evidence: []string{"PermitRootLogin yes (/etc/ssh/sshd_config:33)"}, References: []string{"ANSSI BP-028 R33"}, Policy: []string{"ssh: {root: false}"}},
			{ID: "acct-docker", Section: audit.Accounts, Severity: audit.Medium, Evidence: []string{"bob is in group docker (/etc/group:44)"}, References: []string{"Docker"}},
			{ID: "sys-kptr", Section: audit.Kernel, Severity: audit.Low, Evidence: []string{"kernel.kptr_restrict = 0"}, References: []string{"ANSSI BP-028 R9"}},
			{ID: "exp-open", Section: audit.Exposure, Severity: audit.Info, Evidence: []string{"22/tcp"}, References: []string{"CIS Debian 12 2.1.22"}},
		},
		Unseen: []audit.Unseen{{Section: audit.Updates, Reason: "dpkg is being written"}},
	}
	return NewAudit(r, s, w)
}

// TestAuditJSON: exactly the members that are documented, lists never null.
func TestAuditJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, audited(t, "en")); err != nil {
		t.Fatal(err)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(b.Bytes(), &top); err != nil {
		t.Fatal(err)
	}
	members(t, top, "grade", "findings", "unseen")
	var findings, unseen []map[string]json.RawMessage
	if err := json.Unmarshal(top["findings"], &findings); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(top["unseen"], &unseen); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		members(t, f, "id", "section", "severity", "title", "why", "evidence", "remedy", "references", "policy")
	}
	members(t, unseen[0], "section", "reason")
	if bytes.Contains(b.Bytes(), []byte("null")) || bytes.Contains(b.Bytes(), []byte("\\u001b")) {
		t.Errorf("%s", b.Bytes())
	}
}

func members(t *testing.T, m map[string]json.RawMessage, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, ok := m[n]; !ok {
			t.Errorf("%s is missing", n)
		}
	}
	if len(m) != len(names) {
		t.Errorf("%d members, want %d: %v", len(m), len(names), m)
	}
}

// TestSARIF validates the log against the schema of the standard.
func TestSARIF(t *testing.T) {
	schema, err := os.Open("testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	defer schema.Close()
	doc, err := jsonschema.UnmarshalJSON(schema)
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://example.org/sarif.json"
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(url, doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile(url)
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range words.Languages() {
		var b bytes.Buffer
		if err := audited(t, language).SARIF(&b, "0.1.0"); err != nil {
			t.Fatal(err)
		}
		log, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(log); err != nil {
			t.Errorf("%s: %v\n%s", language, err, b.Bytes())
		}
		for _, want := range []string{`"uri": "file:///etc/ssh/sshd_config"`, `"startLine": 33`, `"uri": "file:///etc/group"`, `"security-severity": "9.5"`} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %s in\n%s", language, want, b.String())
			}
		}
	}
	// The referee must be able to refuse.
	broken, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"version": "2.1.0", "runs": [{"results": []}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if compiled.Validate(broken) == nil {
		t.Error("the schema accepts a run without a tool")
	}
}

// TestHTML: nothing is loaded, nothing runs, and other people's words are text.
func TestHTML(t *testing.T) {
	for _, language := range words.Languages() {
		var b bytes.Buffer
		if err := audited(t, language).HTML(&b); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for _, bad := range []string{"<script", "javascript:", " style=", " onclick", "src=", "http://", "@import", "url(", "\x1b", "\u202e", "ZgotmplZ"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: %q stands in the page", language, bad)
			}
		}
		if links := regexp.MustCompile(`href="[^#]`).FindAllString(page, -1); links != nil {
			t.Errorf("%s: links out of the page: %v", language, links)
		}
		for _, want := range []string{`<html lang="` + language + `">`, "web1&lt;script&gt;", "&lt;script&gt;alert(1)", `content="default-src 'none'; style-src 'sha256-`, "203.0.113.5/24", "Cisco", "hetzner"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q in the page", language, want)
			}
		}
	}
}

// TestAuditText: a screen has each finding, with its words and no more columns
// than asked for, in both scripts.
func TestAuditText(t *testing.T) {
	for _, language := range words.Languages() {
		var b bytes.Buffer
		if err := audited(t, language).Text(&b, Style{Width: 80}); err != nil {
			t.Fatal(err)
		}
		golden(t, "audit-"+language+".txt", b.Bytes())
		for line := range strings.Lines(b.String()) {
			if n := columns(line); n > 81 {
				t.Errorf("%s: %d columns: %s", language, n, line)
			}
		}
	}
}

// columns counts what a terminal shows: characters of East Asia are two wide.
func columns(line string) int {
	n := 0
	for _, r := range line {
		n++
		if r >= 0x3000 && r < 0xa000 || r >= 0xff00 && r < 0xff60 {
			n++
		}
	}
	return n
}
