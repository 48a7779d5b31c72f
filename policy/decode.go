package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A span is where a value stands.
type span struct {
	line, column, width int
	last                int // its last line
	flow                bool
}

// A decoder fills a Policy from a syntax tree by the types' tags, and notes
// everything that does not fit.
type decoder struct {
	src      *source
	problems []Problem
	spans    map[string]span // values, by path
	keys     map[string]span // keys, by the path of their value
	unknown  map[string]bool // mappings of which something is not understood

	line   int   // the line that starts is about
	starts []int // byte offsets of the characters of that line, and its length
}

// field is one key of a mapping, as the tag of a struct's field says it.
type field struct {
	index                       int
	key, doc                    string
	required, one, scalar, port bool
}

func fieldsOf(t reflect.Type) []field {
	var fs []field
	for i := range t.NumField() {
		tag := strings.Split(t.Field(i).Tag.Get("yaml"), ",")
		fs = append(fs, field{
			index: i, key: tag[0], doc: t.Field(i).Tag.Get("doc"), required: slices.Contains(tag, "required"),
			one: slices.Contains(tag, "one"), scalar: slices.Contains(tag, "scalar"), port: slices.Contains(tag, "port"),
		})
	}
	return fs
}

// decode parses the text of d's source into p.
func (d *decoder) decode(text []byte, p *Policy) {
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntaxError(err)
		return
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		d.add(Problem{File: d.src.name, Message: "the policy is empty", Hint: "the smallest is: version: 1"})
		return
	}
	if len(file.Docs) > 1 {
		d.add(Problem{File: d.src.name, Message: "more than one YAML document"})
		return
	}
	d.value(file.Docs[0].Body, reflect.ValueOf(p).Elem(), "", field{})
}

func (d *decoder) add(p Problem) { d.problems = append(d.problems, p) }

func (d *decoder) at(s span, format string, args ...any) *Problem {
	d.add(d.src.problem(s.line, s.column, s.width, fmt.Sprintf(format, args...)))
	return &d.problems[len(d.problems)-1]
}

// syntaxError reports what the YAML parser found; it finds one fault at a time.
func (d *decoder) syntaxError(err error) {
	var ye yaml.Error
	if !errors.As(err, &ye) || ye.GetToken() == nil || ye.GetToken().Position == nil {
		d.add(Problem{File: d.src.name, Message: "this is no YAML: " + err.Error()})
		return
	}
	s := d.tokenSpan(ye.GetToken())
	p := d.at(s, "this is no YAML: %s", ye.GetMessage())
	for _, n := range []int{s.line, s.line - 1} {
		for _, t := range scanLine(d.src.line(n), 0) {
			if t.kind == scalarTok && strings.Contains(t.text, "::") && !quoted(t.text) {
				p.Hint = "quote IPv6 addresses: \"" + strings.Trim(t.text, "[]{},") + "\""
				return
			}
		}
	}
	if strings.HasSuffix(strings.TrimRight(d.src.line(s.line), " "), "::") {
		p.Hint = "quote IPv6 addresses: \"fd00::\""
	}
}

// tokenSpan is the place of a token: goccy's lines and columns are right, its
// offsets are not.
func (d *decoder) tokenSpan(t *token.Token) span {
	s := span{line: min(max(t.Position.Line, 1), len(d.src.lines)), width: 1}
	if d.line != s.line {
		d.line, d.starts = s.line, d.starts[:0]
		for i := range d.src.line(s.line) {
			d.starts = append(d.starts, i)
		}
		d.starts = append(d.starts, len(d.src.line(s.line)))
	}
	s.column, s.last = min(max(t.Position.Column, 1), len(d.starts)), s.line // a null stands behind the end
	rest := d.src.line(s.line)[d.starts[s.column-1]:]
	if rest == "" || t.Type == token.MappingStartType || t.Type == token.SequenceStartType {
		return s
	}
	if quoted(rest) {
		if n := quoteEnd(rest); n > 0 {
			s.width = utf8.RuneCountInString(rest[:n])
		}
	} else if strings.HasPrefix(rest, t.Value) {
		s.width = max(1, utf8.RuneCountInString(t.Value))
	}
	return s
}

// nodeSpan is the place of a node without its inside.
func (d *decoder) nodeSpan(n ast.Node) span {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return d.nodeSpan(n.Values[0].Key)
		}
		s := d.tokenSpan(n.Start)
		s.flow = true
		if n.End != nil {
			s.last = n.End.Position.Line
		}
		return s
	case *ast.MappingValueNode:
		return d.nodeSpan(n.Key)
	case *ast.SequenceNode:
		s := d.tokenSpan(n.Start)
		s.flow = n.IsFlowStyle
		if n.IsFlowStyle && n.End != nil {
			s.last = n.End.Position.Line
		}
		return s
	}
	return d.tokenSpan(n.GetToken())
}

// value decodes one node into v. It returns the last line of the node.
func (d *decoder) value(n ast.Node, v reflect.Value, path string, f field) int {
	s := d.nodeSpan(n)
	if len(d.problems) >= maxProblems {
		return s.last
	}
	if k, ok := d.keys[path]; ok && n.Type() == ast.NullType {
		s = k
	}
	last := max(s.last, d.inside(n, v, s, path, f))
	s.last = last
	d.spans[path] = s
	return last
}

func (d *decoder) inside(n ast.Node, v reflect.Value, s span, path string, f field) int {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case n.Type() == ast.NullType:
		d.at(s, "nothing stands here").Expected = syntaxOf(v.Type(), f)
		return s.last
	case v.Kind() == reflect.Slice:
		return d.slice(n, v, s, path, f)
	case v.Kind() == reflect.Map:
		return d.mapping(n, s, path, func(key string, k span, value ast.Node, at string) int {
			if f := nameFault(key); f != nil {
				d.at(k, "%s", f.message).Expected = Name("").syntax()
			}
			e := reflect.New(v.Type().Elem()).Elem()
			last := d.value(value, e, at, field{})
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			v.SetMapIndex(reflect.ValueOf(key), e)
			return last
		}, syntaxOf(v.Type(), f))
	case v.Kind() == reflect.Struct:
		return d.structure(n, v, s, path)
	}
	d.scalar(n, v, s, f)
	return s.last
}

func (d *decoder) slice(n ast.Node, v reflect.Value, s span, path string, f field) int {
	elem := v.Type().Elem()
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		if _, isMap := n.(ast.MapNode); !f.one || isMap {
			d.at(s, "a list belongs here").Expected = syntaxOf(v.Type(), f)
			return d.lastLine(n)
		}
		e := reflect.New(elem).Elem()
		last := d.value(n, e, path+"[0]", field{port: f.port})
		v.Set(reflect.Append(v, e))
		return last
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(seq.Values)))
	last := s.last
	for i, value := range seq.Values {
		e := reflect.New(elem).Elem()
		at := path + "[" + strconv.Itoa(i) + "]"
		if value == nil {
			d.at(s, "an entry is empty").Expected = syntaxOf(elem, field{})
			continue
		}
		last = max(last, d.value(value, e, at, field{port: f.port}))
		v.Set(reflect.Append(v, e))
	}
	if len(seq.Values) == 0 && f.one {
		d.at(s, "an empty list").Expected = syntaxOf(elem, field{})
	}
	return last
}

// mapping calls entry for every key of a mapping, the first of equal ones.
func (d *decoder) mapping(n ast.Node, s span, path string, entry func(key string, k span, value ast.Node, at string) int, expected string) int {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.at(s, "keys belong here").Expected = expected
		d.unknown[path] = true
		return d.lastLine(n)
	}
	seen := map[string]int{}
	last := s.last
	for it := m.MapRange(); it.Next(); {
		key, k := it.Key().GetToken().Value, d.nodeSpan(it.Key())
		if line, dup := seen[key]; dup {
			d.at(k, "the key %q stands here for the second time", key).Hint = fmt.Sprintf("the first is in line %d", line)
			last = max(last, d.lastLine(it.Value()))
			continue
		}
		seen[key] = k.line
		at := key
		if path != "" {
			at = path + "." + key
		}
		d.keys[at] = k
		last = max(last, entry(key, k, it.Value(), at))
	}
	return last
}

func (d *decoder) structure(n ast.Node, v reflect.Value, s span, path string) int {
	fs := fieldsOf(v.Type())
	if i := slices.IndexFunc(fs, func(f field) bool { return f.scalar }); i >= 0 {
		if _, isMap := n.(ast.MapNode); !isMap {
			d.scalar(n, v.Field(fs[i].index), s, fs[i])
			return s.last
		}
	}
	var keys []string
	for _, f := range fs {
		if f.key != "" {
			keys = append(keys, f.key)
		}
	}
	expected := keyWords(keys)
	found := map[string]bool{}
	last := d.mapping(n, s, path, func(key string, k span, value ast.Node, at string) int {
		i := slices.IndexFunc(fs, func(f field) bool { return f.key == key && !f.scalar })
		if i < 0 {
			d.unknownKey(key, k, keys, expected)
			d.unknown[path] = true
			return d.lastLine(value)
		}
		found[key] = true
		return d.value(value, v.Field(fs[i].index), at, fs[i])
	}, expected)
	if _, isMap := n.(ast.MapNode); !isMap {
		return last
	}
	for _, f := range fs {
		if f.required && !found[f.key] {
			where := s
			if k, ok := d.keys[path]; ok {
				where = k
			}
			d.at(where, "the key %q is missing", f.key).Expected = f.key + ": " + f.doc
		}
	}
	return last
}

func (d *decoder) unknownKey(key string, k span, keys []string, expected string) {
	p := d.at(k, "unknown key %q", key)
	p.Expected = expected
	if near := nearest(key, keys); near != "" {
		p.Hint = fmt.Sprintf("did you mean %s?", near)
	} else if strings.Contains(key, ":") {
		p.Hint = "quote IPv6 addresses: \"" + key + ":\""
	}
}

// lastLine is the last line of a node that is not decoded.
func (d *decoder) lastLine(n ast.Node) int {
	last := 0
	ast.Walk(visitor(func(n ast.Node) {
		if n != nil && n.GetToken() != nil {
			last = max(last, d.nodeSpan(n).last)
		}
	}), n)
	return last
}

type visitor func(ast.Node)

// Visit calls the function, and goes on.
func (v visitor) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}

// scalar decodes a word, a number or a yes or no.
func (d *decoder) scalar(n ast.Node, v reflect.Value, s span, f field) {
	text, ok := scalarText(n)
	if !ok {
		p := d.at(s, "a single word belongs here")
		p.Expected = syntaxOf(v.Type(), f)
		if m, isMap := n.(ast.MapNode); isMap {
			if it := m.MapRange(); it.Next() && strings.Contains(it.Key().GetToken().Value, ":") {
				p.Hint = "quote IPv6 addresses: \"" + it.Key().GetToken().Value + ":\""
			}
		}
		return
	}
	if strings.Contains(strings.TrimSpace(n.GetToken().Origin), "\n") {
		d.at(s, "a text of several lines is not used in policies").Expected = syntaxOf(v.Type(), f)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		if n.Type() != ast.BoolType || text != "true" && text != "false" {
			p := d.at(s, "%q is neither true nor false", text)
			p.Expected = "true or false"
			if near, ok := map[string]string{"yes": "true", "on": "true", "no": "false", "off": "false"}[strings.ToLower(text)]; ok {
				p.Hint = fmt.Sprintf("did you mean %s?", near)
			}
			return
		}
		v.SetBool(text == "true")
	case reflect.Int:
		d.integer(text, v, s, f)
	default:
		v.SetString(text)
		d.word(v.Interface(), s)
	}
}

func (d *decoder) word(value any, s span) {
	w, ok := value.(word)
	if !ok {
		return
	}
	if f := w.fault(); f != nil {
		p := d.at(s, "%s", f.message)
		p.Expected = w.syntax()
		if f.near != "" {
			p.Hint = fmt.Sprintf("did you mean %s?", f.near)
		}
	}
}

func (d *decoder) integer(text string, v reflect.Value, s span, f field) {
	n, ok := natural(text, 65535)
	if ok && (!f.port || n > 0) {
		v.SetInt(int64(n))
		return
	}
	p := d.at(s, "%q is no number that can stand here", text)
	p.Expected = syntaxOf(v.Type(), f)
	if len(text) > 1 && text[0] == '0' {
		p.Message = fmt.Sprintf("%s is an octal number in YAML", text)
		p.Hint = fmt.Sprintf("did you mean %s?", strings.TrimLeft(text, "0"))
	}
}

// scalarText returns a scalar as it is written, without its quotes.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// syntaxOf says what a value of a type looks like.
func syntaxOf(t reflect.Type, f field) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if w, ok := reflect.Zero(t).Interface().(word); ok {
		return w.syntax()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		if f.port {
			return "a port, from 1 to 65535"
		}
		return "the number " + strconv.Itoa(Version)
	case reflect.Slice:
		if f.one {
			return syntaxOf(t.Elem(), field{port: f.port}) + "; or a list of such"
		}
		return "a list; [] is an empty one"
	case reflect.Map:
		return "names with what they stand for"
	case reflect.Struct:
		var keys []string
		for _, f := range fieldsOf(t) {
			if f.key != "" {
				keys = append(keys, f.key)
			}
		}
		return keyWords(keys)
	}
	return "a text"
}

// keyWords says which keys there are.
func keyWords(keys []string) string {
	if len(keys) == 1 {
		return "the key " + keys[0]
	}
	return "the keys " + alternatives(keys)
}
