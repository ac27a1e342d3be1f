package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"slices"
)

// decodeJPEG takes libjpeg-turbo where it is. What that refuses, damaged files
// among it, is Go's decoder's, so that a machine's libraries do not decide what
// can be read. The exception is a truncated file that is to be read all the
// same.
func decodeJPEG(data []byte, config image.Config, memory Memory, l Limits) (*Picture, error) {
	endless := lacksOnlyEnd(data)
	if endless {
		data = withEnd(data)
	}
	p, err := decodeWholeJPEG(data, config, memory)
	if err != nil && endless { // what else the decoder says comes from that
		err = io.ErrUnexpectedEOF
	}
	if err == nil || !l.AllowTruncated || !errors.Is(sorted("jpeg", err), ErrTruncated) {
		return p, err
	}
	t, turboErr := turboJPEG()
	if turboErr != nil {
		return nil, fmt.Errorf("%w: the jpeg ends early (%w); install libjpeg-turbo, which reads it as far as it goes", ErrTruncated, turboErr)
	}
	p, turboErr = t.decode(data, config.Width, config.Height, memory, true)
	if errors.Is(turboErr, errTurboRefused) {
		return nil, err
	}
	return p, turboErr
}

func decodeWholeJPEG(data []byte, config image.Config, memory Memory) (*Picture, error) {
	if t, err := turboJPEG(); err == nil {
		p, err := t.decode(data, config.Width, config.Height, memory, false)
		if !errors.Is(err, errTurboRefused) {
			return p, err
		}
	}
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return FromImage(m), nil
}

// jpegBytes: libjpeg-turbo writes to the picture itself.
func jpegBytes(_ []byte, config image.Config) int64 {
	if _, err := turboJPEG(); err == nil {
		return 0
	}
	return goBytes(config)
}

// endOfJPEG is the marker EOI.
var endOfJPEG = []byte{0xff, 0xd9}

// withEnd copies a JPEG and ends it.
func withEnd(data []byte) []byte {
	n := len(data)
	for n > 0 && data[n-1] == endOfJPEG[0] {
		n--
	}
	return append(slices.Clip(data[:n]), endOfJPEG...)
}

// lacksOnlyEnd reports whether a JPEG stops in its last scan's data, or right
// behind it, with no end marker. Whether that data is whole its decoder finds
// out; but of a progressive file scans may be missing, which no decoder minds.
func lacksOnlyEnd(data []byte) bool {
	if bytes.HasSuffix(data, endOfJPEG) {
		return false
	}
	const (
		sof0, sof15        = 0xc0, 0xcf
		dht, jpg, dac, sos = 0xc4, 0xc8, 0xcc, 0xda
		eoi                = 0xd9
	)
	// of each component the bits of its coefficients that have not come
	missing := map[byte]*[64]int{}
	at := len("\xff\xd8")
	for at+4 <= len(data) {
		if data[at] != 0xff {
			return false
		}
		mark := data[at+1]
		if mark == 0xff {
			at++
			continue
		}
		size := 2 + int(data[at+2])<<8 + int(data[at+3])
		if mark == eoi || size < 4 || size > len(data)-at {
			return false
		}
		body := data[at+4 : at+size]
		at += size
		switch {
		case mark >= sof0 && mark <= sof15 && mark != dht && mark != jpg && mark != dac:
			for i := 6; i+3 <= len(body); i += 3 {
				missing[body[i]] = allMissing()
			}
		case mark == sos:
			if len(body) < 1 || len(body) < 4+2*int(body[0]) {
				return false
			}
			noteScan(missing, body)
			if at = endOfScan(data, at); at >= len(data)-1 {
				return complete(missing)
			}
		}
	}
	return false
}

// allMissing is more bits than a coefficient can have.
func allMissing() *[64]int {
	var bits [64]int
	for i := range bits {
		bits[i] = 16
	}
	return &bits
}

// noteScan notes what a scan holds: of its components, the coefficients from
// start to end, down to their bit low.
func noteScan(missing map[byte]*[64]int, body []byte) {
	n := int(body[0])
	start, end, low := int(body[1+2*n]), int(body[2+2*n]), int(body[3+2*n]&15)
	for i := range n {
		bits := missing[body[1+2*i]]
		for k := start; bits != nil && k <= min(end, 63); k++ {
			bits[k] = min(bits[k], low)
		}
	}
}

func complete(missing map[byte]*[64]int) bool {
	for _, bits := range missing {
		if *bits != [64]int{} {
			return false
		}
	}
	return len(missing) > 0
}

// endOfScan returns where a scan's data ends: at a marker that is neither a
// restart nor a stuffed byte, or where the file does.
func endOfScan(data []byte, at int) int {
	for at < len(data) {
		i := bytes.IndexByte(data[at:], 0xff)
		if i < 0 {
			return len(data)
		}
		at += i
		if at+1 == len(data) {
			return at
		}
		switch next := data[at+1]; {
		case next == 0xff:
			at++
		case next == 0, next >= 0xd0 && next <= 0xd7:
			at += 2
		default:
			return at
		}
	}
	return at
}
