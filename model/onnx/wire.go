package onnx

import (
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrInvalid is wrapped by every error about bytes that are not a sound ONNX
// model.
var ErrInvalid = errors.New("not a valid ONNX model")

// Limits of a parse. Real detectors stay orders of magnitude below them.
const (
	maxFileBytes = math.MaxInt32 // protobuf's own limit on one message
	maxNesting   = 16            // graphs inside attributes inside graphs
	maxItems     = 1 << 19       // nodes, attributes, tensors, names and dims together
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// field is one field of a protobuf message, as it lies in the file.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	num64 uint64 // value of a varint, fixed32 or fixed64 field
	bytes []byte // value of a length-delimited field, a slice of the file
	raw   []byte // tag and value, for fields that are only carried along
}

func (f field) isBytes() bool  { return f.typ == protowire.BytesType }
func (f field) isVarint() bool { return f.typ == protowire.VarintType }

// reader carries the budget of one parse.
type reader struct{ items int }

// take spends n of the parse's budget.
func (r *reader) take(n int) error {
	if r.items += n; r.items > maxItems {
		return invalid("it has more than %d parts", maxItems)
	}
	return nil
}

// eachField calls fn for every field of message b.
func eachField(what string, b []byte, fn func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return invalid("%s is damaged: %v", what, protowire.ParseError(n))
		}
		f := field{num: num, typ: typ}
		m := 0
		switch typ {
		case protowire.VarintType:
			f.num64, m = protowire.ConsumeVarint(b[n:])
		case protowire.Fixed32Type:
			var v uint32
			v, m = protowire.ConsumeFixed32(b[n:])
			f.num64 = uint64(v)
		case protowire.Fixed64Type:
			f.num64, m = protowire.ConsumeFixed64(b[n:])
		case protowire.BytesType:
			f.bytes, m = protowire.ConsumeBytes(b[n:])
			f.bytes = f.bytes[:len(f.bytes):len(f.bytes)]
		default:
			m = protowire.ConsumeFieldValue(num, typ, b[n:])
		}
		if m < 0 {
			return invalid("%s is damaged: %v", what, protowire.ParseError(m))
		}
		f.raw = b[: n+m : n+m]
		if err := fn(f); err != nil {
			return err
		}
		b = b[n+m:]
	}
	return nil
}

// appendVarints adds the values of a repeated integer field, packed or not.
func (r *reader) appendVarints(dst []int64, f field) ([]int64, error) {
	if f.isVarint() {
		return append(dst, int64(f.num64)), r.take(1)
	}
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, invalid("a list of integers is damaged: %v", protowire.ParseError(n))
		}
		if err := r.take(1); err != nil {
			return nil, err
		}
		dst, b = append(dst, int64(v)), b[n:]
	}
	return dst, nil
}

// writer gathers a message as a list of slices, so that weights are copied
// once, at the very end.
type writer struct {
	parts [][]byte
	tail  []byte
	size  int
}

func (w *writer) flush() {
	if len(w.tail) > 0 {
		w.parts, w.tail = append(w.parts, w.tail), nil
	}
}

func (w *writer) tag(num protowire.Number, typ protowire.Type) {
	n := len(w.tail)
	w.tail = protowire.AppendTag(w.tail, num, typ)
	w.size += len(w.tail) - n
}

func (w *writer) varint(num protowire.Number, v int64) {
	w.tag(num, protowire.VarintType)
	n := len(w.tail)
	w.tail = protowire.AppendVarint(w.tail, uint64(v))
	w.size += len(w.tail) - n
}

// nonzero writes v unless it is the field's default.
func (w *writer) nonzero(num protowire.Number, v int64) {
	if v != 0 {
		w.varint(num, v)
	}
}

func (w *writer) float(num protowire.Number, v float32) {
	w.tag(num, protowire.Fixed32Type)
	w.tail = protowire.AppendFixed32(w.tail, math.Float32bits(v))
	w.size += 4
}

func (w *writer) blob(num protowire.Number, b []byte) {
	w.tag(num, protowire.BytesType)
	n := len(w.tail)
	w.tail = protowire.AppendVarint(w.tail, uint64(len(b)))
	w.size += len(w.tail) - n
	w.raw(b)
}

// filled writes b unless it is empty.
func (w *writer) filled(num protowire.Number, b []byte) {
	if len(b) > 0 {
		w.blob(num, b)
	}
}

func (w *writer) text(num protowire.Number, s string) {
	if s != "" {
		w.blob(num, []byte(s))
	}
}

// raw adds bytes that are already encoded.
func (w *writer) raw(b []byte) {
	w.size += len(b)
	if len(b) <= 256 {
		w.tail = append(w.tail, b...)
		return
	}
	w.flush()
	w.parts = append(w.parts, b)
}

func (w *writer) message(num protowire.Number, sub *writer) {
	w.tag(num, protowire.BytesType)
	n := len(w.tail)
	w.tail = protowire.AppendVarint(w.tail, uint64(sub.size))
	w.size += len(w.tail) - n + sub.size
	if len(sub.parts) == 0 {
		w.tail = append(w.tail, sub.tail...)
		return
	}
	w.flush()
	sub.flush()
	w.parts = append(w.parts, sub.parts...)
}

// writeTo writes the message; the slices go to out as they are.
func (w *writer) writeTo(out io.Writer) (written int64, err error) {
	w.flush()
	for _, p := range w.parts {
		n, err := out.Write(p)
		if written += int64(n); err != nil {
			return written, err
		}
	}
	return written, nil
}
