package report

import "encoding/json"

// list is a slice that is [] in JSON when it is nil: readers of the answers need
// not know null.
type list[T any] []T

// MarshalJSON writes the elements.
func (l list[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}
