package onnx

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"
)

// Entry is one key and value of metadata_props or external_data.
type Entry struct{ Key, Value string }

// Opset names the version of one operator set a model is written in. The empty
// domain is ONNX's own.
type Opset struct {
	Domain  string
	Version int64
}

// Model is one ONNX document.
type Model struct {
	IRVersion       int64
	Opsets          []Opset
	ProducerName    string
	ProducerVersion string
	Domain          string
	ModelVersion    int64
	DocString       string
	Graph           *Graph
	Metadata        []Entry
	Functions       []*Function
	unknown         []byte
}

// Read parses the file at path. External data is read from the same folder.
// Errors name the file; those about its content wrap ErrInvalid.
func Read(path string) (*Model, error) {
	b, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := Parse(b, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// ReadFile reads a regular file of at most 2 GiB whole, for Parse.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: it is not a regular file", path, ErrInvalid)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s: %w: it is larger than 2 GiB; keep the weights in external data", path, ErrInvalid)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Parse reads a model from b, which it keeps: weights are slices of it. dir is
// the folder that external data is resolved against; with an empty dir a model
// that has external data is refused.
func Parse(b []byte, dir string) (*Model, error) {
	r := &reader{}
	m := &Model{}
	err := eachField("the model", b, func(f field) error {
		switch {
		case f.num == 1 && f.isVarint():
			m.IRVersion = int64(f.num64)
		case f.num == 2 && f.isBytes():
			m.ProducerName = string(f.bytes)
		case f.num == 3 && f.isBytes():
			m.ProducerVersion = string(f.bytes)
		case f.num == 4 && f.isBytes():
			m.Domain = string(f.bytes)
		case f.num == 5 && f.isVarint():
			m.ModelVersion = int64(f.num64)
		case f.num == 6 && f.isBytes():
			m.DocString = string(f.bytes)
		case f.num == 7 && f.isBytes():
			if m.Graph != nil {
				return invalid("it has two graphs")
			}
			g, err := r.graph(f.bytes, 0)
			m.Graph = g
			return err
		case f.num == 8 && f.isBytes():
			o, err := r.opset(f.bytes)
			m.Opsets = append(m.Opsets, o)
			return err
		case f.num == 14 && f.isBytes():
			e, err := r.entry(f.bytes)
			m.Metadata = append(m.Metadata, e)
			return err
		case f.num == 25 && f.isBytes():
			fn, err := r.function(f.bytes)
			m.Functions = append(m.Functions, fn)
			return err
		default:
			m.unknown = append(m.unknown, f.raw...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if m.Graph == nil {
		return nil, invalid("it has no graph")
	}
	if err := m.inline(dir); err != nil {
		return nil, err
	}
	return m, nil
}

func (r *reader) opset(b []byte) (o Opset, err error) {
	err = eachField("an opset_import", b, func(f field) error {
		switch {
		case f.num == 1 && f.isBytes():
			o.Domain = string(f.bytes)
		case f.num == 2 && f.isVarint():
			o.Version = int64(f.num64)
		}
		return nil
	})
	if err == nil {
		err = r.take(1)
	}
	return o, err
}

func (r *reader) entry(b []byte) (e Entry, err error) {
	err = eachField("a metadata entry", b, func(f field) error {
		switch {
		case f.num == 1 && f.isBytes():
			e.Key = string(f.bytes)
		case f.num == 2 && f.isBytes():
			e.Value = string(f.bytes)
		}
		return nil
	})
	if err == nil {
		err = r.take(1)
	}
	return e, err
}

// Opset returns the version of domain's operators, 0 where the model does not
// import it. "ai.onnx" and "" are the same domain.
func (m *Model) Opset(domain string) int64 {
	for _, o := range m.Opsets {
		if o.Domain == domain || isDefaultDomain(o.Domain) && isDefaultDomain(domain) {
			return o.Version
		}
	}
	return 0
}

// SetOpset changes the version of domain's operators, adding the import where
// it is missing.
func (m *Model) SetOpset(domain string, version int64) {
	for i, o := range m.Opsets {
		if o.Domain == domain || isDefaultDomain(o.Domain) && isDefaultDomain(domain) {
			m.Opsets[i].Version = version
			return
		}
	}
	m.Opsets = append(m.Opsets, Opset{Domain: domain, Version: version})
}

func isDefaultDomain(d string) bool { return d == "" || d == "ai.onnx" }

// Meta returns the value of a metadata_props key.
func (m *Model) Meta(key string) (string, bool) {
	for _, e := range m.Metadata {
		if e.Key == key {
			return e.Value, true
		}
	}
	return "", false
}

// Marshal encodes the model as one ONNX file with every weight inside. The
// result is independent of the bytes that were parsed.
func (m *Model) Marshal() ([]byte, error) {
	w, err := m.gather()
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(make([]byte, 0, w.size))
	_, err = w.writeTo(b)
	return b.Bytes(), err
}

// WriteTo writes what Marshal returns without a copy of the weights in between.
func (m *Model) WriteTo(out io.Writer) (int64, error) {
	w, err := m.gather()
	if err != nil {
		return 0, err
	}
	return w.writeTo(out)
}

func (m *Model) gather() (*writer, error) {
	w := &writer{}
	w.nonzero(1, m.IRVersion)
	w.text(2, m.ProducerName)
	w.text(3, m.ProducerVersion)
	w.text(4, m.Domain)
	w.nonzero(5, m.ModelVersion)
	w.text(6, m.DocString)
	if m.Graph != nil {
		w.message(7, m.Graph.write())
	}
	writeOpsets(w, 8, m.Opsets)
	writeEntries(w, 14, m.Metadata)
	for _, fn := range m.Functions {
		w.message(25, fn.write())
	}
	w.raw(m.unknown)
	if w.size > maxFileBytes {
		return nil, fmt.Errorf("the model takes %d bytes with its weights inside, an ONNX file holds 2 GiB; export it in half precision", w.size)
	}
	return w, nil
}

func writeOpsets(w *writer, num protowire.Number, opsets []Opset) {
	for _, o := range opsets {
		sub := &writer{}
		sub.blob(1, []byte(o.Domain))
		sub.varint(2, o.Version)
		w.message(num, sub)
	}
}

func writeEntries(w *writer, num protowire.Number, entries []Entry) {
	for _, e := range entries {
		sub := &writer{}
		sub.blob(1, []byte(e.Key))
		sub.blob(2, []byte(e.Value))
		w.message(num, sub)
	}
}
