package tiff

import "fmt"

// JPEG decodes a JPEG file of at most width x height pixels into interleaved
// 8-bit samples, channels a pixel and rows without gaps. Three channels are
// RGB, one is gray, and four are as stored.
type JPEG func(data []byte, width, height, channels int) (samples []byte, w, h int, err error)

// Decode reads the image of the file that the header is of into pix, RGB,
// 3*Width*Height bytes, in the file's own orientation.
func (h *Header) Decode(data, pix []byte, jpeg JPEG) error {
	put := h.converter()
	planes := make([][]byte, h.planes())
	for row := range h.down() {
		rows := h.chunkH
		if !h.tiled {
			rows = min(rows, h.Height-row*h.chunkH)
		}
		for column := range h.across() {
			for plane := range planes {
				index := (plane*h.down()+row)*h.across() + column
				chunk, err := h.chunk(data, planes[plane], index, rows, jpeg)
				if err != nil {
					return err
				}
				planes[plane] = chunk
			}
			h.place(pix, planes, row*h.chunkH, column*h.chunkW, put)
		}
	}
	return nil
}

// chunk returns the samples of a strip or tile, in the memory of the last one.
func (h *Header) chunk(data, memory []byte, index, rows int, jpeg JPEG) ([]byte, error) {
	offset, size := h.offsets[index], h.sizes[index]
	if n := uint64(len(data)); offset > n || size > n-offset {
		return nil, fmt.Errorf("%w: strip or tile %d is %d bytes at %d of %d", ErrTruncated, index, size, offset, n)
	}
	src := data[offset:][:size]
	if h.compression == compressionJPEG {
		return h.unJPEG(src, rows, jpeg)
	}
	if h.reversed {
		src = mirrored(src)
	}
	want := h.chunkBytes(rows)
	if cap(memory) < want {
		memory = make([]byte, want)
	}
	chunk := memory[:want]
	if err := compressions[h.compression](h, chunk, src); err != nil {
		return nil, err
	}
	if h.predictor == 2 && h.predicts() {
		for at := 0; at < len(chunk); at += h.rowBytes() {
			h.unpredict(chunk[at:][:h.rowBytes()])
		}
	}
	return chunk, nil
}

// place writes the part of a chunk that lies in the image.
func (h *Header) place(pix []byte, planes [][]byte, top, left int, put converter) {
	w, rows := min(h.chunkW, h.Width-left), min(h.chunkH, h.Height-top)
	if h.subsampled() {
		h.placeSubsampled(pix, planes[0], top, left)
		return
	}
	samples := make([]uint16, w*h.samples)
	for y := range rows {
		for plane, chunk := range planes {
			row := chunk[y*h.rowBytes():][:h.rowBytes()]
			if len(planes) == 1 {
				h.unpack(samples, row, 1)
			} else {
				h.unpack(samples[plane:], row, len(planes))
			}
		}
		dst := pix[3*((top+y)*h.Width+left):][:3*w]
		for x := range w {
			put(dst[3*x:][:3], samples[x*h.samples:][:h.samples])
		}
	}
}

// unpack writes a row's samples, step apart.
func (h *Header) unpack(samples []uint16, row []byte, step int) {
	switch h.bits {
	case 16:
		for i, at := 0, 0; i < len(samples); i, at = i+step, at+2 {
			samples[i] = h.order.Uint16(row[at:])
		}
	case 8:
		for i, at := 0, 0; i < len(samples); i, at = i+step, at+1 {
			samples[i] = uint16(row[at])
		}
	default:
		mask := uint16(1)<<h.bits - 1
		for i, bit := 0, 0; i < len(samples); i, bit = i+step, bit+h.bits {
			samples[i] = uint16(row[bit/8]) >> (8 - h.bits - bit%8) & mask
		}
	}
}
