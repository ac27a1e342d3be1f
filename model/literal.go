package model

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// parseLiteral reads what Python's str() writes of numbers, strings, lists,
// tuples and dicts, which is how YOLOv5 and Ultralytics put names and strides
// into an ONNX file's metadata. It returns nil, bool, int64, float64, string,
// []any or []pair.
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
	for word, v := range map[string]any{"None": nil, "True": true, "False": false} {
		if rest, ok := strings.CutPrefix(p.rest, word); ok {
			p.rest = rest
			return v, nil
		}
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

// escape reads one backslash sequence as repr() writes them.
func (p *literal) escape(b *strings.Builder) error {
	if len(p.rest) < 2 {
		return p.unexpected()
	}
	c := p.rest[1]
	if plain := strings.IndexByte(`\'"nrt`, c); plain >= 0 {
		b.WriteByte("\\'\"\n\r\t"[plain])
		p.rest = p.rest[2:]
		return nil
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if digits == 0 || len(p.rest) < 2+digits {
		return p.unexpected()
	}
	v, err := strconv.ParseUint(p.rest[2:2+digits], 16, 32)
	if err != nil || v > utf8.MaxRune {
		return p.unexpected()
	}
	b.WriteRune(rune(v))
	p.rest = p.rest[2+digits:]
	return nil
}
