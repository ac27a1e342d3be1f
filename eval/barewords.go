package eval

import (
	"bufio"
	"bytes"
)

// bareWords are numbers that JSON does not have and Python's json.dump writes.
var bareWords = [][]byte{[]byte("NaN"), []byte("Infinity"), []byte("-Infinity")}

// noNumber stands in their place, with blanks up to their length, so that bytes
// keep their places.
const noNumber = `""`

// bareWordReader passes JSON on with noNumber for every bare word that is
// outside of texts.
type bareWordReader struct {
	r       *bufio.Reader
	inText  bool
	escaped bool
	rest    []byte // of what stands for a word, over the next bytes
}

func (r *bareWordReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	for i := 0; i < n; i++ {
		switch c := p[i]; {
		case len(r.rest) > 0:
			p[i], r.rest = r.rest[0], r.rest[1:]
		case r.escaped:
			r.escaped = false
		case c == '"':
			r.inText = !r.inText
		case r.inText:
			r.escaped = c == '\\'
		case c == 'N' || c == 'I' || c == '-':
			if length := r.wordAt(p[i:n]); length > 0 {
				blank := append([]byte(noNumber), bytes.Repeat([]byte(" "), length-len(noNumber))...)
				p[i], r.rest = blank[0], blank[1:]
			}
		}
	}
	return n, err
}

// wordAt is the length of the bare word that text and what follows it begin
// with, 0 where it is none.
func (r *bareWordReader) wordAt(text []byte) int {
	for _, word := range bareWords {
		here := min(len(word), len(text))
		if !bytes.Equal(text[:here], word[:here]) {
			continue
		}
		if next, _ := r.r.Peek(len(word) - here); bytes.Equal(next, word[here:]) {
			return len(word)
		}
	}
	return 0
}
