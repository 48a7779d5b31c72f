package filter

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// What is wrong is said of the line in which it stands, whatever the option and
// the file, with the position in the pattern as it is after substitution.
func TestErrorsNameTheLine(t *testing.T) {
	files := fstest.MapFS{
		"filter.d/common.conf": {Data: []byte("[DEFAULT]\nhost = <ADDR>\n\nopen = (for\nmdre-normal = x\nmdre-aggressive = y\n")},
		"filter.d/x.conf": {Data: []byte(`[INCLUDES]
before = common.conf

[Definition]
mode = normal
failregex = ^first <HOST>$
            # a comment

            ^second %(host)s <mdre-<mode>>$
            PATTERN
            ^last <ADDR>$
ignoreregex = ^fine$
              IGNORE
`)},
	}
	for _, c := range []struct {
		pattern, ignore, mode string
		want                  []string
	}{
		{"^a <ADDR>$", "^b$", "normal", nil},
		{"^a <ADDR> (b$", "^b$", "normal", []string{"filter.d/x.conf:10: failregex 3: missing ), unterminated subpattern at position 10: ^a <ADDR> (b$"}},
		{"^é <ADDR> [b$", "^b$", "normal", []string{"filter.d/x.conf:10: failregex 3: unterminated character set at position 10: "}},
		{"^a %(open)s <ADDR>$", "^b$", "normal", []string{"filter.d/common.conf:4: failregex 3: missing ), unterminated subpattern at position 3: ^a (for <ADDR>$"}},
		{"^a <ADDR> b)$", "^(b$", "normal", []string{
			"filter.d/x.conf:10: failregex 3: unbalanced parenthesis at position 11: ", "filter.d/x.conf:13: ignoreregex 2: missing ), unterminated subpattern at position 1: ",
		}},
		{"^nobody$", "^b$", "normal", []string{"filter.d/x.conf:10: failregex 3: nothing says who it was"}},
		{"^a <ADDR> <bogus>$", "<what>", "normal", []string{
			`filter.d/x.conf:10: failregex 3: <bogus> means nothing (\<bogus> is the text itself) at position 10: `,
			`filter.d/x.conf:13: ignoreregex 2: <what> means nothing`,
		}},
		{`^a <ADDR> \<bogus> <NOSRV> (?P<name>x)$`, "^b$", "normal", nil},
		{"^a <addr>$", "^b$", "normal", []string{"<addr> means nothing (did you mean <ADDR>?)", "nothing says who it was"}},
		{"^a <HOSTS>$", "^b$", "normal", []string{"<HOSTS> means nothing (did you mean <HOST>?)", "nothing says who it was"}},
		{"^a <F-USR>x</F-USR> <ADDR>$", "^b$", "normal", nil}, // a name of one's own
		{"^a <F-USER>x</F-USR> <ADDR>$", "^b$", "normal", []string{"</F-USR> closes what is not open", "missing )"}},
		{"^a <ADDR> <mode2>$", "^b$", "normal", []string{"<mode2> means nothing (did you mean <mode>?)"}},
		{"^a %(hots)s$", "^b$", "normal", []string{"filter.d/x.conf:10: %(hots)s: there is no such option in [Definition] or [DEFAULT] (did you mean %(host)s?)"}},
		{"^a 100% <ADDR>$", "^b$", "normal", []string{"filter.d/x.conf:10: \"% <ADDR>$"}},
		{"^a <ADDR>$", "^b$", "agressive", []string{
			"filter.d/x.conf:9: failregex 2: mode = agressive: there is no <mdre-agressive> (did you mean aggressive?) at position 15: ^second <ADDR> <mdre-agressive>$",
		}},
		{"^a <ADDR>$", "^b$", "loud", []string{"filter.d/x.conf:9: failregex 2: mode = loud: there is no <mdre-loud> (there are aggressive, normal) at position 15: "}},
	} {
		conf := strings.NewReplacer("PATTERN", c.pattern, "IGNORE", c.ignore).Replace(string(files["filter.d/x.conf"].Data))
		fsys := fstest.MapFS{"filter.d/common.conf": files["filter.d/common.conf"], "filter.d/x.conf": {Data: []byte(conf)}}
		err := compileFrom(fsys, map[string]string{"mode": c.mode})
		switch {
		case err == nil && len(c.want) > 0:
			t.Errorf("%s: no error, want %q", c.pattern, c.want)
			continue
		case err != nil && len(c.want) == 0:
			t.Errorf("%s: %v", c.pattern, err)
			continue
		case err == nil:
			continue
		}
		got := strings.Split(err.Error(), "\n")
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %q", c.pattern, got, c.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%s: %s\n  want %s", c.pattern, got[i], c.want[i])
			}
		}
	}
}

func compileFrom(fsys fs.FS, options map[string]string) error {
	d, err := Load(fsys, "x", options)
	if err == nil {
		_, err = Compile(d)
	}
	return err
}

// Whatever is put together and taken apart, each byte keeps its place.
func TestTextsKeepTheirPlaces(t *testing.T) {
	at := func(line int) Position { return Position{"f", line} }
	a := option{value: "one <x>\ntwo <x>", pos: at(1), lines: []int{1, 3}}.text()
	got := a.replaceAll("<x>", plain("<y>(", at(7))).replaceAll("<y>", plain("yy", at(9)))
	if got.s != "one yy(\ntwo yy(" {
		t.Fatalf("%q", got.s)
	}
	want := "1111" + "99" + "7" + "1" + "3333" + "99" + "7"
	for i := range got.s {
		p, ok := got.position(i)
		if !ok || p.Line != int(want[i]-'0') {
			t.Errorf("byte %d (%q): %v, want line %c", i, got.s[i], p, want[i])
		}
	}
	if lines := got.lines(); len(lines) != 2 || lines[1].s != "two yy(" || lines[1].marks[0] != (mark{0, at(3)}) {
		t.Errorf("%+v", lines)
	}
	if _, ok := (text{}).position(0); ok {
		t.Error("an empty text has a place")
	}
}

// A pipe among the files is told of; nobody waits for who writes to it.
func TestPipesAreNoFiles(t *testing.T) {
	jails, err := ReadJails(fstest.MapFS{
		"jail.conf":        {Data: []byte("[web]\nenabled = true\n")},
		"jail.d/more.conf": {Data: []byte("[mail]\nenabled = true\n"), Mode: fs.ModeNamedPipe | 0o600},
	})
	if len(jails) != 1 || err == nil || !strings.Contains(err.Error(), "jail.d/more.conf: a pipe or a socket, not a file") {
		t.Errorf("%v, %v", jails, err)
	}
}
