package pkgdb

import "bytes"

// BDBValues gives the values of a Berkeley DB file that are headers.
func BDBValues(data []byte) ([][]byte, error) {
	db, err := openBDB(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for n := uint32(1); n <= db.last; n++ {
		p, err := db.page(n)
		if err != nil {
			return nil, err
		}
		if p[25] != bdbHash && p[25] != bdbHashUnsorted {
			continue
		}
		end := len(p)
		for i := range int(db.order.Uint16(p[20:])) {
			at := int(db.order.Uint16(p[bdbPageHead+2*i:]))
			if v, err := db.value(p[at:end]); err == nil && i%2 == 1 && len(v) > entrySize {
				out = append(out, bytes.Clone(v))
			}
			end = at
		}
	}
	return out, nil
}

// ByLikeness orders the names of packages by how much they resemble a file.
func ByLikeness(lists []string, file string) []string {
	return byLikeness(lists, &query{open: map[string][]string{file: nil}})
}
