package policy_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"sekimori/policy"
)

// TestReference keeps docs/policy.md in step with the types.
func TestReference(t *testing.T) { generated(t, "../docs/policy.md", policy.Reference()) }

// TestSchema keeps the checked-in schema in step with the types.
func TestSchema(t *testing.T) { generated(t, "testdata/schema.json", string(policy.Schema())) }

func generated(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("%s is not what is generated; go test ./policy -update writes it (-generated +file):\n%s", file, d)
	}
}

// TestSchemaAgrees reads every policy of testdata by the schema too: what Parse
// takes, the schema takes, and it knows the same keys.
func TestSchemaAgrees(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(policy.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	names := append(files(t, "*.yaml"), files(t, "testdata/format/*.txt")...)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), mark)
		if msg := against(t, schema, input); msg != "" {
			t.Errorf("%s: the schema refuses it: %s", name, msg)
		}
	}
	for _, name := range []string{"unknown-key", "wrong-type", "version", "version-missing", "zone-without-interfaces", "scalar"} {
		text, err := os.ReadFile("testdata/bad/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), mark)
		if against(t, schema, input) == "" {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

func against(t *testing.T, schema map[string]any, text string) string {
	t.Helper()
	plain, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(plain, &v); err != nil {
		t.Fatal(err)
	}
	return mismatch(schema, v, "policy")
}

// mismatch is as much of a JSON schema validator as Schema needs.
func mismatch(s map[string]any, v any, at string) string {
	if alts, ok := s["anyOf"].([]any); ok {
		msg := ""
		for _, alt := range alts {
			if msg = mismatch(alt.(map[string]any), v, at); msg == "" {
				return ""
			}
		}
		return msg
	}
	if c, ok := s["const"]; ok && c != v {
		return at + ": not the constant"
	}
	if e, ok := s["enum"].([]any); ok && !slices.Contains(e, v) {
		return at + ": not in the enumeration"
	}
	kinds, _ := s["type"].([]any)
	if k, ok := s["type"].(string); ok {
		kinds = []any{k}
	}
	if kinds != nil && !slices.ContainsFunc(kinds, func(k any) bool { return isKind(k.(string), v) }) {
		return at + ": of another type"
	}
	switch v := v.(type) {
	case []any:
		if n, ok := s["minItems"].(float64); ok && float64(len(v)) < n {
			return at + ": too few"
		}
		for _, e := range v {
			if msg := mismatch(s["items"].(map[string]any), e, at+"[]"); msg != "" {
				return msg
			}
		}
	case map[string]any:
		return objectMismatch(s, v, at)
	}
	return ""
}

func objectMismatch(s, v map[string]any, at string) string {
	required, _ := s["required"].([]any)
	for _, r := range required {
		if _, ok := v[r.(string)]; !ok {
			return at + ": lacks " + r.(string)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for k, e := range v {
		sub, ok := properties[k].(map[string]any)
		if !ok {
			if sub, ok = s["additionalProperties"].(map[string]any); !ok {
				return at + ": unknown " + k
			}
		}
		if msg := mismatch(sub, e, at+"."+k); msg != "" {
			return msg
		}
	}
	return ""
}

func isKind(kind string, v any) bool {
	switch v := v.(type) {
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case float64:
		return kind == "number" || kind == "integer" && v == float64(int(v))
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	return false
}
