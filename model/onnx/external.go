package onnx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// inline reads every tensor's external data, so that the model stands alone.
func (m *Model) inline(dir string) error {
	x := &externals{dir: dir, files: map[string][]byte{}}
	defer x.close()
	if err := m.Graph.eachTensor(x.resolve); err != nil {
		return err
	}
	for _, fn := range m.Functions {
		if err := eachTensorOf(fn.Nodes, x.resolve); err != nil {
			return err
		}
		if err := eachTensorIn(fn.Defaults, x.resolve); err != nil {
			return err
		}
	}
	return nil
}

// eachTensor visits the tensors of a graph and of its subgraphs.
func (g *Graph) eachTensor(fn func(*Tensor) error) error {
	for _, t := range g.Initializers {
		if err := fn(t); err != nil {
			return err
		}
	}
	return eachTensorOf(g.Nodes, fn)
}

func eachTensorOf(nodes []*Node, fn func(*Tensor) error) error {
	for _, n := range nodes {
		if err := eachTensorIn(n.Attributes, fn); err != nil {
			return err
		}
	}
	return nil
}

func eachTensorIn(attributes []*Attribute, fn func(*Tensor) error) error {
	for _, a := range attributes {
		if a.Tensor != nil {
			if err := fn(a.Tensor); err != nil {
				return err
			}
		}
		for _, t := range a.Tensors {
			if err := fn(t); err != nil {
				return err
			}
		}
		for _, sub := range a.Subgraphs() {
			if err := sub.eachTensor(fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// externals reads the files that hold a model's weights, each one once.
type externals struct {
	dir   string
	root  *os.Root
	files map[string][]byte
	total int64
}

func (x *externals) close() {
	if x.root != nil {
		x.root.Close()
	}
}

func (x *externals) resolve(t *Tensor) error {
	if t.location != 1 {
		return nil
	}
	fail := func(format string, args ...any) error {
		return invalid("external data of tensor %s: %s", quote(t.Name), fmt.Sprintf(format, args...))
	}
	var location string
	offset, length := int64(0), int64(-1)
	for _, e := range t.external {
		var err error
		switch e.Key {
		case "location":
			location = e.Value
		case "offset":
			offset, err = strconv.ParseInt(e.Value, 10, 64)
		case "length":
			length, err = strconv.ParseInt(e.Value, 10, 64)
		}
		if err != nil {
			return fail("%s is %s, not a number", e.Key, quote(e.Value))
		}
	}
	b, err := x.file(location)
	if err != nil {
		return fail("%v", err)
	}
	bits := t.DataType.Bits()
	if bits == 0 {
		return fail("type %s cannot lie outside the file", t.DataType)
	}
	want := int64((t.Len()*bits + 7) / 8)
	if length < 0 {
		length = want
	}
	if length != want {
		return fail("length is %d, shape %v of %s needs %d", length, t.Dims, t.DataType, want)
	}
	if offset < 0 || offset > int64(len(b)) || length > int64(len(b))-offset {
		return fail("bytes %d to %d lie outside %s, which has %d", offset, offset+length, quote(location), len(b))
	}
	t.clear()
	t.raw = b[offset : offset+length : offset+length]
	return nil
}

// file returns the content of a file in the model's folder.
func (x *externals) file(location string) ([]byte, error) {
	if b, ok := x.files[location]; ok {
		return b, nil
	}
	if x.dir == "" {
		return nil, errors.New("it lies in a file of its own, and only the model's bytes were given; open the model by its path, or export it as one file")
	}
	clean := filepath.Clean(filepath.FromSlash(location))
	if location == "" || filepath.IsAbs(clean) || strings.HasPrefix(location, "/") || strings.HasPrefix(location, `\`) || !filepath.IsLocal(clean) {
		return nil, fmt.Errorf("%s leaves the model's folder; put the file beside the model", quote(location))
	}
	for _, part := range strings.FieldsFunc(location, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			return nil, fmt.Errorf("%s leaves the model's folder; put the file beside the model", quote(location))
		}
	}
	if x.root == nil {
		root, err := os.OpenRoot(x.dir)
		if err != nil {
			return nil, err
		}
		x.root = root
	}
	// os.Root refuses links that lead out of the folder; not blocking, so that
	// a named pipe cannot hold the reader.
	f, err := x.root.OpenFile(clean, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("%s: %w; put the file beside the model", quote(location), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", quote(location))
	}
	if x.total += info.Size(); x.total > maxFileBytes {
		return nil, errors.New("the weights take more than 2 GiB")
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("%s: %w", quote(location), err)
	}
	x.files[location] = b
	return b, nil
}
