package tiff

import (
	"fmt"
	"strings"
)

// Codes of ITU-T T.4, tables 2 and 3: those of runs of 0 to 63 pixels, then
// those of 64, 128, ... 1728; longer ones are the same for both colors.
const (
	whiteCodes = "00110101 000111 0111 1000 1011 1100 1110 1111 10011 10100 00111 01000 001000 000011 110100 110101 " +
		"101010 101011 0100111 0001100 0001000 0010111 0000011 0000100 0101000 0101011 0010011 0100100 0011000 00000010 00000011 00011010 " +
		"00011011 00010010 00010011 00010100 00010101 00010110 00010111 00101000 00101001 00101010 00101011 00101100 00101101 00000100 " +
		"00000101 00001010 00001011 01010010 01010011 01010100 01010101 00100100 00100101 01011000 01011001 01011010 01011011 01001010 " +
		"01001011 00110010 00110011 00110100 " +
		"11011 10010 010111 0110111 00110110 00110111 01100100 01100101 01101000 01100111 011001100 011001101 011010010 011010011 " +
		"011010100 011010101 011010110 011010111 011011000 011011001 011011010 011011011 010011000 010011001 010011010 011000 010011011 "
	blackCodes = "0000110111 010 11 10 011 0011 0010 00011 000101 000100 0000100 0000101 0000111 00000100 00000111 000011000 " +
		"0000010111 0000011000 0000001000 00001100111 00001101000 00001101100 00000110111 00000101000 00000010111 00000011000 000011001010 " +
		"000011001011 000011001100 000011001101 000001101000 000001101001 000001101010 000001101011 000011010010 000011010011 000011010100 " +
		"000011010101 000011010110 000011010111 000001101100 000001101101 000011011010 000011011011 000001010100 000001010101 000001010110 " +
		"000001010111 000001100100 000001100101 000001010010 000001010011 000000100100 000000110111 000000111000 000000100111 000000101000 " +
		"000001011000 000001011001 000000101011 000000101100 000001011010 000001100110 000001100111 " +
		"0000001111 000011001000 000011001001 000001011011 000000110011 000000110100 000000110101 0000001101100 0000001101101 0000001001010 " +
		"0000001001011 0000001001100 0000001001101 0000001110010 0000001110011 0000001110100 0000001110101 0000001110110 0000001110111 " +
		"0000001010010 0000001010011 0000001010100 0000001010101 0000001011010 0000001011011 0000001100100 0000001100101 "
	longCodes = "00000001000 00000001100 00000001101 000000010010 000000010011 000000010100 000000010101 000000010110 000000010111 " +
		"000000011100 000000011101 000000011110 000000011111"
)

// modeCodes are those of ITU-T T.4, table 4: pass, horizontal, vertical by 0,
// 1, 2, 3 to the right and 1, 2, 3 to the left.
const modeCodes = "0001 001 1 011 000011 0000011 010 000010 0000010"

const (
	modePass = iota
	modeHorizontal
	modeVertical
)

// verticals are the offsets of the vertical modes.
var verticals = [...]int{0, 1, 2, 3, -1, -2, -3}

// faxCode is what a code's bits stand for.
type faxCode struct {
	value int16
	bits  uint8 // of the code; 0 where there is no such code
}

// codeBits is the length of the longest code.
const codeBits = 13

var (
	whiteRuns = faxTable(whiteCodes+longCodes, runLength)
	blackRuns = faxTable(blackCodes+longCodes, runLength)
	modes     = faxTable(modeCodes, func(i int) int { return i })
)

// runLength is the run of the i-th code.
func runLength(i int) int {
	if i < 64 {
		return i
	}
	return 64 * (i - 63)
}

// faxTable answers for the next codeBits bits.
func faxTable(codes string, value func(int) int) *[1 << codeBits]faxCode {
	var table [1 << codeBits]faxCode
	for i, code := range strings.Fields(codes) {
		first := 0
		for _, digit := range code {
			first = first<<1 | int(digit-'0')
		}
		free := codeBits - len(code)
		for rest := range 1 << free {
			table[first<<free|rest] = faxCode{int16(value(i)), uint8(len(code))}
		}
	}
	return &table
}

// faxReader reads one chunk. A row is the list of the columns where its color
// changes, the first of them to black.
type faxReader struct {
	src       []byte
	at        int // bit
	width     int
	row, last []int
	seen      int // how many changes of last lie left of here
}

// fax undoes CCITT compression: a set bit is black, whatever the photometric
// tag says of it.
func fax(h *Header, dst, src []byte) error {
	if h.bits != 1 || h.samplesOf() != 1 {
		return fmt.Errorf("%w: CCITT compression of %d samples of %d bits", ErrUnsupported, h.samples, h.bits)
	}
	const twoDimensional = 1
	f := &faxReader{src: src, width: h.chunkW}
	for size := h.rowBytes(); len(dst) > 0; dst = dst[size:] {
		f.row, f.last = f.last[:0], f.row
		flat := true
		switch h.compression {
		case compressionRLE:
			f.align(8)
		case compressionRLEW:
			f.align(16)
		case compressionGroup3:
			f.skipEOL()
			if h.faxOptions&twoDimensional != 0 {
				flat = f.peek(1) == 1
				f.at++
			}
		case compressionGroup4:
			flat = false
		}
		read := f.readFlat
		if !flat {
			read = f.readAgainstLast
		}
		if err := read(); err != nil {
			return err
		}
		f.paint(dst[:size])
	}
	return nil
}

// align goes to the next multiple of n bits.
func (f *faxReader) align(n int) { f.at = (f.at + n - 1) / n * n }

// skipEOL goes behind an end-of-line code, 11 zeros or more and a one, where
// one stands here.
func (f *faxReader) skipEOL() {
	at := f.at
	for at < 8*len(f.src) && f.src[at/8]<<(at%8)&0x80 == 0 {
		at++
	}
	if at-f.at >= 11 && at < 8*len(f.src) {
		f.at = at + 1
	}
}

// peek returns the next n bits, zeros behind the end.
func (f *faxReader) peek(n int) int {
	word, first := 0, f.at/8
	for i := first; i < first+4; i++ {
		word <<= 8
		if i < len(f.src) {
			word |= int(f.src[i])
		}
	}
	return word >> (32 - f.at%8 - n) & (1<<n - 1)
}

// code reads a code of a table.
func (f *faxReader) code(table *[1 << codeBits]faxCode) (int, error) {
	c := table[f.peek(codeBits)]
	if f.at += int(c.bits); f.at > 8*len(f.src) || c.bits == 0 && f.at+codeBits > 8*len(f.src) {
		return 0, fmt.Errorf("%w: CCITT data", ErrTruncated)
	}
	if c.bits == 0 {
		return 0, fmt.Errorf("%w: CCITT data holds no code here", ErrDamaged)
	}
	return int(c.value), nil
}

// run reads the length of a run, which ends with a code below 64.
func (f *faxReader) run(black bool) (int, error) {
	table := whiteRuns
	if black {
		table = blackRuns
	}
	for total := 0; ; {
		n, err := f.code(table)
		if err != nil {
			return 0, err
		}
		if total += n; total > f.width {
			return 0, fmt.Errorf("%w: a CCITT run of %d pixels in a row of %d", ErrDamaged, total, f.width)
		}
		if n < 64 {
			return total, nil
		}
	}
}

// change notes that the color changes at a column; twice at one is not at all.
func (f *faxReader) change(x, at int) (int, error) {
	if x < at || x > f.width {
		return 0, fmt.Errorf("%w: CCITT row of %d pixels changes at %d behind %d", ErrDamaged, f.width, x, at)
	}
	if n := len(f.row); n > 0 && f.row[n-1] == x {
		f.row = f.row[:n-1]
	} else {
		f.row = append(f.row, x)
	}
	return x, nil
}

// readFlat reads a row of runs, white first.
func (f *faxReader) readFlat() error {
	for at := 0; at < f.width; {
		n, err := f.run(len(f.row)%2 == 1)
		if err != nil {
			return err
		}
		if at, err = f.change(at+n, at); err != nil {
			return err
		}
	}
	return nil
}

// readAgainstLast reads a row by what differs from the row above.
func (f *faxReader) readAgainstLast() error {
	for at, start := 0, true; at < f.width; start = false {
		mode, err := f.code(modes)
		if err != nil {
			return err
		}
		b1, b2 := f.above(at, start)
		switch mode {
		case modePass:
			at = b2
		case modeHorizontal:
			for range 2 {
				n, err := f.run(len(f.row)%2 == 1)
				if err != nil {
					return err
				}
				if at, err = f.change(at+n, at); err != nil {
					return err
				}
			}
		default:
			if at, err = f.change(b1+verticals[mode-modeVertical], at); err != nil {
				return err
			}
		}
	}
	return nil
}

// above returns where the row above first changes, right of a column, from the
// color that this row has there, and where it changes next. At the start of a
// row the first column counts as right of it. Columns come in rising order.
func (f *faxReader) above(at int, start bool) (b1, b2 int) {
	if start {
		f.seen, at = 0, -1
	}
	for f.seen < len(f.last) && f.last[f.seen] <= at {
		f.seen++
	}
	i := f.seen
	if i%2 != len(f.row)%2 {
		i++
	}
	b1, b2 = f.width, f.width
	if i < len(f.last) {
		b1 = f.last[i]
	}
	if i+1 < len(f.last) {
		b2 = f.last[i+1]
	}
	return b1, b2
}

// paint sets the bits of the row's black pixels.
func (f *faxReader) paint(dst []byte) {
	clear(dst)
	for i := 0; i < len(f.row); i += 2 {
		end := f.width
		if i+1 < len(f.row) {
			end = f.row[i+1]
		}
		for x := f.row[i]; x < end; x++ {
			dst[x/8] |= 0x80 >> (x % 8)
		}
	}
}
