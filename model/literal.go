package model

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of a literal. COCO's names take 1,200 bytes.
const (
	maxLiteralBytes   = 1 << 20
	maxLiteralNesting = 8
)

var errLiteral = errors.New("not a Python literal")

// pair is one entry of a Python dict.
type pair struct{ key, value any }

// words are the constants of Python and of JSON.
var words = map[string]any{"None": nil, "True": true, "False": false, "null": nil, "true": true, "false": false}

// wrappers are the classes whose repr() is a call with the value inside:
// OrderedDict([(0, 'a')]), np.str_('a').
var wrappers = map[string]bool{
	"OrderedDict": true, "dict": true, "mappingproxy": true, "list": true, "tuple": true,
	"str_": true, "int32": true, "int64": true, "float32": true, "float64": true,
}

// parseLiteral reads what Python's str() writes of numbers, strings, lists,
// tuples and dicts, which is how YOLOv5 and Ultralytics put names and strides
// into an ONNX file's metadata, and JSON. It returns nil, bool, int64, float64,
// string, []any or []pair; an OrderedDict is a list of lists of two.
func parseLiteral(s string) (any, error) {
	if len(s) > maxLiteralBytes {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", errLiteral, maxLiteralBytes)
	}
	p := &literal{rest: s}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.rest != "" {
		return nil, p.unexpected()
	}
	return v, nil
}

type literal struct{ rest string }

func (p *literal) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *literal) unexpected() error {
	if p.rest == "" {
		return fmt.Errorf("%w: it ends too early", errLiteral)
	}
	return fmt.Errorf("%w: unexpected %.20q", errLiteral, p.rest)
}

// eat takes c where it comes next.
func (p *literal) eat(c byte) bool {
	p.space()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *literal) value(depth int) (any, error) {
	if depth > maxLiteralNesting {
		return nil, fmt.Errorf("%w: it is nested deeper than %d", errLiteral, maxLiteralNesting)
	}
	p.space()
	if p.rest == "" {
		return nil, p.unexpected()
	}
	switch p.rest[0] {
	case '[':
		return p.list('[', ']', depth)
	case '(':
		return p.list('(', ')', depth)
	case '{':
		return p.dict(depth)
	case '\'', '"':
		return p.text()
	}
	if word := p.word(); word != "" {
		return p.named(word, depth)
	}
	n := strings.IndexFunc(p.rest, func(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) })
	if n < 0 {
		n = len(p.rest)
	}
	word := p.rest[:n]
	if v, err := strconv.ParseInt(word, 10, 64); err == nil {
		p.rest = p.rest[n:]
		return v, nil
	}
	if v, err := strconv.ParseFloat(word, 64); err == nil && n > 0 {
		p.rest = p.rest[n:]
		return v, nil
	}
	return nil, p.unexpected()
}

// word returns the name that comes next, with the dots in it.
func (p *literal) word() string {
	n := strings.IndexFunc(p.rest, func(r rune) bool { return r != '_' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if n < 0 {
		n = len(p.rest)
	}
	if first, _ := utf8.DecodeRuneInString(p.rest); !unicode.IsLetter(first) {
		return ""
	}
	return p.rest[:n]
}

// named reads what starts with a word: a constant, a string with Python 2's u
// before it, or a value that a class is written around.
func (p *literal) named(word string, depth int) (any, error) {
	if v, ok := words[word]; ok {
		p.rest = p.rest[len(word):]
		return v, nil
	}
	after := p.rest[len(word):]
	switch {
	case word == "u" && after != "" && (after[0] == '\'' || after[0] == '"'):
		p.rest = after
		return p.text()
	case wrappers[word[strings.LastIndexByte(word, '.')+1:]] && strings.HasPrefix(after, "("):
		p.rest = after
		inside, err := p.list('(', ')', depth)
		if err != nil {
			return nil, err
		}
		switch items, _ := inside.([]any); len(items) {
		case 0:
			return []any{}, nil
		case 1:
			return items[0], nil
		}
	}
	return nil, p.unexpected()
}

func (p *literal) list(open, shut byte, depth int) (any, error) {
	p.eat(open)
	items := []any{}
	for {
		if p.eat(shut) {
			return items, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
		if !p.eat(',') {
			if !p.eat(shut) {
				return nil, p.unexpected()
			}
			return items, nil
		}
	}
}

func (p *literal) dict(depth int) (any, error) {
	p.eat('{')
	items := []pair{}
	for {
		if p.eat('}') {
			return items, nil
		}
		key, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.eat(':') {
			return nil, p.unexpected()
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, pair{key, v})
		if !p.eat(',') {
			if !p.eat('}') {
				return nil, p.unexpected()
			}
			return items, nil
		}
	}
}

func (p *literal) text() (string, error) {
	quote := p.rest[0]
	p.rest = p.rest[1:]
	var b strings.Builder
	for p.rest != "" {
		c := p.rest[0]
		switch {
		case c == quote:
			p.rest = p.rest[1:]
			return b.String(), nil
		case c == '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			p.rest = p.rest[1:]
		}
	}
	return "", p.unexpected()
}

// escape reads one backslash sequence as repr() and JSON write them. A
// character that JSON, or an old Python, wrote as a surrogate pair is one
// character; half a pair is none.
func (p *literal) escape(b *strings.Builder) error {
	if len(p.rest) < 2 {
		return p.unexpected()
	}
	c := p.rest[1]
	if plain := strings.IndexByte(`\'"/nrtabfv`, c); plain >= 0 {
		b.WriteByte("\\'\"/\n\r\t\a\b\f\v"[plain])
		p.rest = p.rest[2:]
		return nil
	}
	r, err := p.code(map[byte]int{'x': 2, 'u': 4, 'U': 8}[c])
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) && strings.HasPrefix(p.rest, `\u`) {
		before := p.rest
		low, err := p.code(4)
		if err != nil {
			return err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			r = pair
		} else {
			p.rest = before
		}
	}
	b.WriteRune(r)
	return nil
}

// code reads a backslash, a letter and a character's number in so many digits.
func (p *literal) code(digits int) (rune, error) {
	if digits == 0 || len(p.rest) < 2+digits {
		return 0, p.unexpected()
	}
	v, err := strconv.ParseUint(p.rest[2:2+digits], 16, 32)
	if err != nil || v > utf8.MaxRune {
		return 0, p.unexpected()
	}
	p.rest = p.rest[2+digits:]
	return rune(v), nil
}
