package tiff

import (
	"encoding/binary"
	"fmt"
	"math"
)

// directory is a file's first list of tags.
type directory struct {
	data    []byte
	order   binary.ByteOrder
	entries map[uint16]entry
}

// entry is the value of a tag.
type entry struct {
	kind uint16
	data []byte
}

// Types of a value, and the size of each in bytes.
const (
	kindByte     = 1
	kindShort    = 3
	kindLong     = 4
	kindRational = 5
	kindFloat    = 11
	kindDouble   = 12
	kindLong8    = 16
	kindIFD8     = 18
)

var kindSizes = map[uint16]uint64{
	kindByte: 1, 2: 1, kindShort: 2, kindLong: 4, kindRational: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, kindFloat: 4, kindDouble: 8,
	13: 4, kindLong8: 8, 17: 8, kindIFD8: 8,
}

func readDirectory(data []byte) (*directory, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("%w: %d bytes", ErrTruncated, len(data))
	}
	d := &directory{data: data, order: binary.LittleEndian, entries: map[uint16]entry{}}
	if data[0] == 'M' {
		d.order = binary.BigEndian
	}
	// the sizes of an offset and of the number of entries, and where the first offset stands
	wide, count, at := uint64(4), uint64(2), uint64(4)
	const big = 43
	if d.order.Uint16(data[2:]) == big {
		wide, count, at = 8, 8, 8
	}
	start, err := d.unsigned(at, wide)
	if err != nil {
		return nil, err
	}
	n, err := d.unsigned(start, count)
	if err != nil {
		return nil, err
	}
	for i := range n { // ends where the file does
		at := start + count + i*(4+2*wide)
		head, err := d.slice(at, 4+2*wide)
		if err != nil {
			return nil, err
		}
		tag, kind := d.order.Uint16(head), d.order.Uint16(head[2:])
		size, known := kindSizes[kind]
		values, _ := d.unsigned(at+4, wide)
		if !known || values > uint64(len(data)) {
			continue // a tag that is not understood is passed over, as libtiff does
		}
		place := at + 4 + wide
		if size *= values; size > wide {
			place, _ = d.unsigned(place, wide)
		}
		value, err := d.slice(place, size)
		if err != nil {
			return nil, err
		}
		if _, ok := d.entries[tag]; !ok {
			d.entries[tag] = entry{kind, value}
		}
	}
	return d, nil
}

// slice returns a piece of the file.
func (d *directory) slice(at, size uint64) ([]byte, error) {
	if n := uint64(len(d.data)); at > n || size > n-at {
		return nil, fmt.Errorf("%w: %d bytes at %d of %d", ErrTruncated, size, at, n)
	}
	return d.data[at:][:size:size], nil
}

// unsigned reads a number of 2, 4 or 8 bytes.
func (d *directory) unsigned(at, size uint64) (uint64, error) {
	b, err := d.slice(at, size)
	if err != nil {
		return 0, err
	}
	switch size {
	case 2:
		return uint64(d.order.Uint16(b)), nil
	case 4:
		return uint64(d.order.Uint32(b)), nil
	}
	return d.order.Uint64(b), nil
}

// number returns a tag's first number, and what to take where there is none.
func (d *directory) number(tag uint16, missing int) int {
	e := d.entries[tag]
	n := e.numbers(d.order, 1)
	if len(n) == 0 {
		return missing
	}
	return int(min(n[0], math.MaxInt32))
}

// numbers returns a value's unsigned integers, the first few of them; nil where
// it holds something else.
func (e entry) numbers(order binary.ByteOrder, most int) []uint64 {
	var n []uint64
	for b := e.data; len(b) > 0 && len(n) < most; {
		switch e.kind {
		case kindByte:
			n, b = append(n, uint64(b[0])), b[1:]
		case kindShort:
			n, b = append(n, uint64(order.Uint16(b))), b[2:]
		case kindLong:
			n, b = append(n, uint64(order.Uint32(b))), b[4:]
		case kindLong8:
			n, b = append(n, order.Uint64(b)), b[8:]
		default:
			return nil
		}
	}
	return n
}

// floats returns a tag's fractions; nil where there are not want of them.
func (d *directory) floats(tag uint16, want int) []float32 {
	e := d.entries[tag]
	if e.kind != kindRational || len(e.data) != 8*want {
		return nil
	}
	f := make([]float32, want)
	for i := range f {
		denominator := d.order.Uint32(e.data[8*i+4:])
		if denominator == 0 {
			return nil
		}
		f[i] = float32(float64(d.order.Uint32(e.data[8*i:])) / float64(denominator))
	}
	return f
}
