package pipeline

import (
	"fmt"
	"hash/maphash"
	"path/filepath"
	"strings"
)

var stemSeed = maphash.MakeSeed()

// stems counts how often a file name's stem has come up. It holds hashes, not
// names: a run may have millions of pictures.
type stems map[uint64]uint32

// unique returns name for the first picture of its stem, then name with -2,
// -3, ... behind the stem. Pictures of the same name in different folders, or
// with different extensions, do not overwrite each other's results.
func (s stems) unique(name string) string {
	extension := filepath.Ext(name)
	stem := strings.TrimSuffix(name, extension)
	key := maphash.String(stemSeed, stem)
	s[key]++
	if s[key] == 1 {
		return name
	}
	for ; ; s[key]++ {
		candidate := fmt.Sprintf("%s-%d", stem, s[key])
		if taken := maphash.String(stemSeed, candidate); s[taken] == 0 {
			s[taken] = 1
			return candidate + extension
		}
	}
}
