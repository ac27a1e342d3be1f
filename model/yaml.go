package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Limits of a YAML file. YOLOv5's longest (Objects365) takes 8 KiB.
const (
	maxYAMLBytes   = 256 << 10
	maxYAMLNesting = 32
)

// readYAML reads the mapping at the top of a small YAML file.
func readYAML(path string) (map[string]any, error) {
	// not blocking: a named pipe that nobody writes to is an empty file
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxYAMLBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	top, err := parseYAML(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return top, nil
}

// parseYAML reads the mapping at the top of a document. Values are nil, bool,
// int64, uint64, float64, string, []any or []pair. Aliases are refused: a few
// bytes of them can stand for gigabytes.
func parseYAML(b []byte) (map[string]any, error) {
	if len(b) > maxYAMLBytes {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrHint, maxYAMLBytes)
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // the byte order mark that some editors on Windows save
	if err := checkNesting(b); err != nil {
		return nil, err
	}
	file, err := parseDocument(b)
	if err != nil {
		return nil, err
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, fmt.Errorf("%w: it is empty", ErrHint)
	}
	v, err := yamlValue(file.Docs[0].Body, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHint, err)
	}
	pairs, ok := v.([]pair)
	if !ok {
		return nil, fmt.Errorf("%w: it is not a YAML mapping", ErrHint)
	}
	top := make(map[string]any, len(pairs))
	for _, p := range pairs {
		top[textOf(p.key)] = p.value
	}
	return top, nil
}

// parseDocument calls the parser, which is not ours: a panic of it becomes an
// error.
func parseDocument(b []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, fmt.Errorf("%w: it is not YAML: %v", ErrHint, r)
		}
	}()
	file, err = parser.ParseBytes(b, 0)
	if err != nil {
		line, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
		return nil, fmt.Errorf("%w: it is not YAML: %s", ErrHint, line)
	}
	return file, nil
}

// checkNesting refuses documents that would send a recursive parser too deep.
func checkNesting(b []byte) error {
	flow, line, dashes := 0, true, 0
	for i, c := range b {
		switch c {
		case '[', '{':
			flow++
		case ']', '}':
			flow = max(0, flow-1)
		case '\n':
			line, dashes = true, 0
			continue
		case '-', '?', ':':
			if line && i+1 < len(b) && (b[i+1] == ' ' || b[i+1] == '\t') {
				dashes++
			}
		case ' ', '\t':
		default:
			line = false
		}
		if flow > maxYAMLNesting || dashes > maxYAMLNesting {
			return fmt.Errorf("%w: it is nested deeper than %d", ErrHint, maxYAMLNesting)
		}
	}
	return nil
}

func yamlValue(n ast.Node, depth int) (any, error) {
	if depth > maxYAMLNesting {
		return nil, fmt.Errorf("it is nested deeper than %d", maxYAMLNesting)
	}
	switch n := n.(type) {
	case nil:
		return nil, nil
	case *ast.NullNode:
		return nil, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode:
		return n.Value, nil
	case *ast.FloatNode:
		return n.Value, nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", nil
		}
		return n.Value.Value, nil
	case *ast.TagNode:
		return yamlValue(n.Value, depth+1)
	case *ast.AnchorNode:
		return yamlValue(n.Value, depth+1)
	case *ast.AliasNode, *ast.MergeKeyNode:
		return nil, errors.New("it has aliases; write the values out")
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for _, item := range n.Values {
			v, err := yamlValue(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case *ast.MappingValueNode:
		return yamlPairs([]*ast.MappingValueNode{n}, depth)
	case *ast.MappingNode:
		return yamlPairs(n.Values, depth)
	}
	return nil, fmt.Errorf("it has a %s, which is not understood here", n.Type())
}

func yamlPairs(values []*ast.MappingValueNode, depth int) (any, error) {
	list := make([]pair, 0, len(values))
	for _, m := range values {
		key, err := yamlValue(m.Key, depth+1)
		if err != nil {
			return nil, err
		}
		v, err := yamlValue(m.Value, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, pair{key, v})
	}
	return list, nil
}
