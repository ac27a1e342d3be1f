package onnx

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"
	"google.golang.org/protobuf/encoding/protowire"
)

// Tensor is a constant of the graph. Its bytes stay where the file has them
// until a Set method replaces them.
type Tensor struct {
	Name      string
	DataType  DataType
	Dims      []int64
	DocString string

	// Exactly one of these holds the elements.
	raw     []byte   // raw_data: little endian
	floats  []byte   // float_data: little-endian fixed32
	doubles []byte   // double_data: little-endian fixed64
	ints    []byte   // int32_data: varints, also of the 8- and 16-bit types
	longs   []byte   // int64_data: varints
	ulongs  []byte   // uint64_data: varints
	strings [][]byte // string_data

	external []Entry // external_data, until it is resolved
	location int64   // data_location: 1 is external
	unknown  []byte
}

func (r *reader) tensor(b []byte) (*Tensor, error) {
	t := &Tensor{}
	if err := r.take(1); err != nil {
		return nil, err
	}
	err := eachField("a tensor", b, func(f field) (err error) {
		switch {
		case f.num == 1 && (f.isVarint() || f.isBytes()):
			t.Dims, err = r.appendVarints(t.Dims, f)
		case f.num == 2 && f.isVarint():
			t.DataType = DataType(f.num64)
		case f.num == 4 && f.isBytes():
			t.floats = join(t.floats, f.bytes)
		case f.num == 4 && f.typ == protowire.Fixed32Type:
			t.floats = protowire.AppendFixed32(t.floats, uint32(f.num64))
		case f.num == 5 && f.isBytes():
			t.ints = join(t.ints, f.bytes)
		case f.num == 5 && f.isVarint():
			t.ints = protowire.AppendVarint(t.ints, f.num64)
		case f.num == 6 && f.isBytes():
			t.strings = append(t.strings, f.bytes)
			err = r.take(1)
		case f.num == 7 && f.isBytes():
			t.longs = join(t.longs, f.bytes)
		case f.num == 7 && f.isVarint():
			t.longs = protowire.AppendVarint(t.longs, f.num64)
		case f.num == 8 && f.isBytes():
			t.Name = string(f.bytes)
		case f.num == 9 && f.isBytes():
			t.raw = f.bytes
		case f.num == 10 && f.isBytes():
			t.doubles = join(t.doubles, f.bytes)
		case f.num == 10 && f.typ == protowire.Fixed64Type:
			t.doubles = protowire.AppendFixed64(t.doubles, f.num64)
		case f.num == 11 && f.isBytes():
			t.ulongs = join(t.ulongs, f.bytes)
		case f.num == 11 && f.isVarint():
			t.ulongs = protowire.AppendVarint(t.ulongs, f.num64)
		case f.num == 12 && f.isBytes():
			t.DocString = string(f.bytes)
		case f.num == 13 && f.isBytes():
			var e Entry
			e, err = r.entry(f.bytes)
			t.external = append(t.external, e)
		case f.num == 14 && f.isVarint():
			t.location = int64(f.num64)
		default:
			t.unknown = append(t.unknown, f.raw...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, t.check()
}

func join(a, b []byte) []byte {
	if len(a) == 0 {
		return b
	}
	return append(a, b...)
}

// check refuses dimensions that overflow and raw data of the wrong size.
func (t *Tensor) check() error {
	n, err := t.elements()
	if err != nil {
		return err
	}
	if t.location == 1 {
		return nil
	}
	if bits := t.DataType.Bits(); len(t.raw) > 0 && bits > 0 && (n*bits+7)/8 != len(t.raw) {
		return invalid("tensor %s has %d bytes, its shape %v of %s needs %d", quote(t.Name), len(t.raw), t.Dims, t.DataType, (n*bits+7)/8)
	}
	return nil
}

func (t *Tensor) elements() (int, error) {
	n := int64(1)
	for _, d := range t.Dims {
		if d < 0 {
			return 0, invalid("tensor %s has dimension %d", quote(t.Name), d)
		}
		if d > 0 && n > math.MaxInt32/d {
			return 0, invalid("tensor %s is too large: %v", quote(t.Name), t.Dims)
		}
		n *= d
	}
	return int(n), nil
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n, err := t.elements()
	if err != nil {
		return 0
	}
	return n
}

func (t *Tensor) write() *writer {
	w := &writer{}
	for _, d := range t.Dims {
		w.varint(1, d)
	}
	w.nonzero(2, int64(t.DataType))
	w.filled(4, t.floats)
	w.filled(5, t.ints)
	writeStrings(w, 6, t.strings)
	w.filled(7, t.longs)
	w.text(8, t.Name)
	w.filled(9, t.raw)
	w.filled(10, t.doubles)
	w.filled(11, t.ulongs)
	w.text(12, t.DocString)
	writeEntries(w, 13, t.external)
	w.nonzero(14, t.location)
	w.raw(t.unknown)
	return w
}

// clear drops the elements before new ones are set.
func (t *Tensor) clear() {
	t.raw, t.floats, t.doubles, t.ints, t.longs, t.ulongs, t.strings = nil, nil, nil, nil, nil, nil, nil
	t.external, t.location = nil, 0
}

// Rename returns a copy of t under another name; the elements are shared.
func (t *Tensor) Rename(name string) *Tensor {
	c := *t
	c.Name = name
	return &c
}

// NewFloat32s makes a float32 tensor.
func NewFloat32s(name string, dims []int64, values []float32) *Tensor {
	t := &Tensor{Name: name, DataType: Float32, Dims: dims, raw: make([]byte, 0, 4*len(values))}
	for _, v := range values {
		t.raw = binary.LittleEndian.AppendUint32(t.raw, math.Float32bits(v))
	}
	return t
}

// NewInt64s makes an int64 tensor.
func NewInt64s(name string, dims []int64, values []int64) *Tensor {
	t := &Tensor{Name: name, DataType: Int64, Dims: dims, raw: make([]byte, 0, 8*len(values))}
	for _, v := range values {
		t.raw = binary.LittleEndian.AppendUint64(t.raw, uint64(v))
	}
	return t
}

// NewHalfs makes a float16 tensor of rounded values.
func NewHalfs(name string, dims []int64, values []float32) *Tensor {
	t := &Tensor{Name: name, DataType: Float16, Dims: dims, raw: make([]byte, 0, 2*len(values))}
	for _, v := range values {
		t.raw = binary.LittleEndian.AppendUint16(t.raw, float16.Fromfloat32(v).Bits())
	}
	return t
}

// broken is the error of a tensor whose elements do not fill its shape.
func (t *Tensor) broken(got int) error {
	return invalid("tensor %s has %d elements, its shape is %v", quote(t.Name), got, t.Dims)
}

// Float32s returns the elements of a float32, float16, bfloat16 or float64
// tensor, rounded to float32.
func (t *Tensor) Float32s() ([]float32, error) {
	n := t.Len()
	out := make([]float32, 0, min(n, len(t.raw)+len(t.floats)+len(t.doubles)+len(t.ints)))
	switch {
	case t.DataType == Float32:
		b := t.raw
		if len(b) == 0 {
			b = t.floats
		}
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	case t.DataType == Float64:
		b := t.raw
		if len(b) == 0 {
			b = t.doubles
		}
		for ; len(b) >= 8; b = b[8:] {
			out = append(out, float32(math.Float64frombits(binary.LittleEndian.Uint64(b))))
		}
	case t.DataType == Float16 || t.DataType == BFloat16:
		bits, err := t.words()
		if err != nil {
			return nil, err
		}
		for _, v := range bits {
			if t.DataType == Float16 {
				out = append(out, float16.Frombits(v).Float32())
			} else {
				out = append(out, math.Float32frombits(uint32(v)<<16))
			}
		}
	default:
		return nil, invalid("tensor %s is %s, not a float", quote(t.Name), t.DataType)
	}
	if len(out) != n {
		return nil, t.broken(len(out))
	}
	return out, nil
}

// words returns 16-bit elements from raw_data or int32_data.
func (t *Tensor) words() ([]uint16, error) {
	var out []uint16
	for b := t.raw; len(b) >= 2; b = b[2:] {
		out = append(out, binary.LittleEndian.Uint16(b))
	}
	if len(t.raw) > 0 {
		return out, nil
	}
	err := eachVarint(t.ints, func(v uint64) { out = append(out, uint16(v)) })
	return out, err
}

func eachVarint(b []byte, fn func(uint64)) error {
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return invalid("a tensor is damaged: %v", protowire.ParseError(n))
		}
		fn(v)
		b = b[n:]
	}
	return nil
}

// Int64s returns the elements of a bool or integer tensor of 8 bits or more.
func (t *Tensor) Int64s() ([]int64, error) {
	n := t.Len()
	var out []int64
	size, signed := t.DataType.Bits()/8, true
	switch t.DataType {
	case Bool, Uint8, Uint16, Uint32, Uint64:
		signed = false
	case Int8, Int16, Int32, Int64:
	default:
		return nil, invalid("tensor %s is %s, not an integer", quote(t.Name), t.DataType)
	}
	for b := t.raw; len(b) >= size; b = b[size:] {
		var v uint64
		for i := size - 1; i >= 0; i-- {
			v = v<<8 | uint64(b[i])
		}
		if shift := 64 - 8*size; signed {
			v = uint64(int64(v<<shift) >> shift)
		}
		out = append(out, int64(v))
	}
	if len(t.raw) == 0 {
		b := t.ints
		switch t.DataType {
		case Int64:
			b = t.longs
		case Uint32, Uint64:
			b = t.ulongs
		}
		if err := eachVarint(b, func(v uint64) { out = append(out, int64(v)) }); err != nil {
			return nil, err
		}
	}
	if len(out) != n {
		return nil, t.broken(len(out))
	}
	return out, nil
}

// SetHalf turns a float32 or float64 tensor into float16. It returns the number
// of finite values that half cannot hold; those become the largest half.
func (t *Tensor) SetHalf() (clamped int, err error) {
	values, err := t.Float32s()
	if err != nil {
		return 0, err
	}
	const largest = 65504
	raw := make([]byte, 0, 2*len(values))
	for _, v := range values {
		h := float16.Fromfloat32(v)
		if h.IsInf(0) && !math.IsInf(float64(v), 0) {
			clamped++
			h = float16.Fromfloat32(float32(math.Copysign(largest, float64(v))))
		}
		raw = binary.LittleEndian.AppendUint16(raw, h.Bits())
	}
	t.clear()
	t.DataType, t.raw = Float16, raw
	return clamped, nil
}

// SetInt64s replaces the elements and the shape, as int64.
func (t *Tensor) SetInt64s(dims, values []int64) {
	n := NewInt64s(t.Name, dims, values)
	t.clear()
	t.DataType, t.Dims, t.raw = Int64, dims, n.raw
}

// Bytes returns the elements as raw little-endian bytes, nil where the file has
// them in another form. They must not be changed.
func (t *Tensor) Bytes() []byte { return t.raw }
