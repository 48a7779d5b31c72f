package policy

import (
	"encoding/json"
	"reflect"
)

// Schema returns the JSON schema (draft 2020-12) of the policy file, for
// editors that complete and check as one types. It is made from the types that
// Parse fills. It admits whatever Parse admits, but not only that: what words
// look like inside, and whether names are known, it leaves to Parse.
func Schema() []byte {
	s := schemaOf(reflect.TypeFor[Policy](), field{})
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "sekimori policy"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // maps of strings, slices and maps always encode
	}
	return append(text, '\n')
}

type object = map[string]any

func schemaOf(t reflect.Type, f field) object {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if e, ok := reflect.Zero(t).Interface().(interface{ values() []string }); ok {
		return object{"enum": e.values()}
	}
	if w, ok := reflect.Zero(t).Interface().(word); ok {
		// A number is a word too: users may be named by theirs.
		return object{"type": []string{"string", "number", "boolean"}, "description": w.syntax()}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		if f.port {
			return object{"type": "integer", "minimum": 1, "maximum": 65535}
		}
		return object{"const": Version}
	case reflect.Slice:
		elem := schemaOf(t.Elem(), field{port: f.port})
		list := object{"type": "array", "items": elem}
		if !f.one {
			return list
		}
		list["minItems"] = 1
		return object{"anyOf": []object{elem, list}}
	case reflect.Map:
		return object{
			"type": "object", "additionalProperties": schemaOf(t.Elem(), field{}),
			"propertyNames": object{"pattern": "^[A-Za-z][A-Za-z0-9_-]{0,30}$"},
		}
	case reflect.Struct:
		return structSchema(t)
	}
	return object{"type": "string"}
}

func structSchema(t reflect.Type) object {
	properties := object{}
	var required []string
	var short object
	for _, f := range fieldsOf(t) {
		s := schemaOf(t.Field(f.index).Type, f)
		if f.scalar {
			s["description"] = f.doc
			short = s
			continue
		}
		if d, ok := s["description"]; ok {
			s["description"] = f.doc + ": " + d.(string)
		} else {
			s["description"] = f.doc
		}
		properties[f.key] = s
		if f.required {
			required = append(required, f.key)
		}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		s["required"] = required
	}
	if short != nil {
		return object{"anyOf": []object{short, s}}
	}
	return s
}
