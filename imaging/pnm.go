package imaging

import (
	"bytes"
	"fmt"
	"image"
	"io"
)

// pnm is a file of the PNM family (netpbm's PBM, PGM and PPM).
type pnm struct {
	kind          byte // '1' to '6'
	width, height int
	max           int // the greatest value; 1 in a bitmap
	body          []byte
}

// isPNM reports whether data begins as a file of the family does.
func isPNM(data []byte) bool {
	return len(data) > 2 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6' && bytes.IndexByte([]byte(" \t\n\v\f\r#"), data[2]) >= 0
}

// maxPNMSide keeps products of sides exact.
const maxPNMSide = 1 << 28

// pnmHeader reads the numbers before the pixels.
func pnmHeader(data []byte) (*pnm, error) {
	p := &pnm{kind: data[1], max: 1, body: data[2:]}
	fields := []*int{&p.width, &p.height, &p.max}
	if p.bitmap() {
		fields = fields[:2]
	}
	for _, field := range fields {
		n, err := p.number()
		if err != nil {
			return nil, err
		}
		*field = n
	}
	if min(p.width, p.height) < 1 || max(p.width, p.height) > maxPNMSide || p.max < 1 || p.max > 65535 {
		return nil, fmt.Errorf("a PNM of %dx%d pixels up to %d", p.width, p.height, p.max)
	}
	if len(p.body) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	p.body = p.body[1:] // one space ends the numbers
	return p, nil
}

func (p *pnm) bitmap() bool { return p.kind == '1' || p.kind == '4' }
func (p *pnm) text() bool   { return p.kind <= '3' }

// channels is how many values a pixel has.
func (p *pnm) channels() int {
	if p.kind == '3' || p.kind == '6' {
		return 3
	}
	return 1
}

// skip goes behind spaces and comments.
func (p *pnm) skip() {
	for len(p.body) > 0 {
		switch p.body[0] {
		case ' ', '\t', '\n', '\v', '\f', '\r':
			p.body = p.body[1:]
		case '#':
			_, rest, _ := bytes.Cut(p.body, []byte("\n"))
			p.body = rest
		default:
			return
		}
	}
}

// number reads one written in digits.
func (p *pnm) number() (int, error) {
	p.skip()
	if len(p.body) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, i := 0, 0
	for ; i < len(p.body) && p.body[i] >= '0' && p.body[i] <= '9'; i++ {
		if n = 10*n + int(p.body[i]-'0'); n > 1<<31 {
			return 0, fmt.Errorf("a number of a PNM is over %d", 1<<31)
		}
	}
	if i == 0 {
		return 0, fmt.Errorf("a PNM has %q where a number is due", p.body[0])
	}
	p.body = p.body[i:]
	return n, nil
}

func pnmConfig(data []byte) (image.Config, error) {
	p, err := pnmHeader(data)
	if err != nil {
		return image.Config{}, err
	}
	return image.Config{Width: p.width, Height: p.height}, nil
}

// decodePNM gives cv2's pixels: values written in digits are scaled to 255 by
// the greatest value, binary ones are not; of 16 bits the upper 8 are kept.
func decodePNM(data []byte, _ image.Config, memory Memory, _ Limits) (*Picture, error) {
	p, err := pnmHeader(data)
	if err != nil {
		return nil, err
	}
	if len(p.body) < p.least() { // before there is memory for what the header claims
		return nil, io.ErrUnexpectedEOF
	}
	pix, err := memory(3 * p.width * p.height)
	if err != nil {
		return nil, err
	}
	read := p.binary
	switch {
	case p.kind == '4':
		read = p.packed
	case p.text():
		read = p.digits
	}
	if err := read(pix); err != nil {
		return nil, err
	}
	return &Picture{Width: p.width, Height: p.height, Pix: pix}, nil
}

// least is how many bytes the pixels take at least.
func (p *pnm) least() int {
	values := p.width * p.height * p.channels()
	switch {
	case p.kind == '4':
		return (p.width + 7) / 8 * p.height
	case p.kind == '1':
		return values
	case p.text():
		return 2*values - 1 // with a space between them
	}
	return values * p.size()
}

// size is how many bytes a binary value takes.
func (p *pnm) size() int {
	if p.max > 255 {
		return 2
	}
	return 1
}

// binary reads bytes, or 16-bit values with the upper byte first.
func (p *pnm) binary(pix []byte) error {
	size, repeat := p.size(), 3/p.channels()
	for i := range pix {
		pix[i] = p.body[i/repeat*size]
	}
	return nil
}

// packed reads bits, 1 is black, rows of whole bytes.
func (p *pnm) packed(pix []byte) error {
	row := (p.width + 7) / 8
	for i := range p.width * p.height {
		x := i % p.width
		v := byte(255)
		if p.body[i/p.width*row+x/8]<<(x%8)&0x80 != 0 {
			v = 0
		}
		pix[3*i], pix[3*i+1], pix[3*i+2] = v, v, v
	}
	return nil
}

// digits reads values written in digits. Those of a bitmap need no space
// between them.
func (p *pnm) digits(pix []byte) error {
	repeat := 3 / p.channels()
	for i := 0; i < len(pix); i += repeat {
		v, err := p.value()
		if err != nil {
			return err
		}
		for k := range repeat {
			pix[i+k] = v
		}
	}
	return nil
}

func (p *pnm) value() (byte, error) {
	if p.kind == '1' {
		p.skip()
		if len(p.body) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		digit := p.body[0]
		p.body = p.body[1:]
		if digit != '0' && digit != '1' {
			return 0, fmt.Errorf("a PBM has %q where 0 or 1 is due", digit)
		}
		return 255 * ('1' - digit), nil
	}
	n, err := p.number()
	if err != nil {
		return 0, err
	}
	n = min(n, p.max)
	if p.max > 255 {
		return byte(n >> 8), nil
	}
	return byte(n * 255 / p.max), nil
}
