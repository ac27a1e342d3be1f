package imaging

import (
	"image"
	"image/color"
	"math"
	"strconv"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/trtdet/trtdet/decode"
)

// Style says how detections are drawn.
type Style struct {
	// LineThickness is the width of a box's line in pixels; 0 takes it from
	// the picture's size as YOLOv5 does.
	LineThickness int
	HideLabels    bool // boxes only
	HideConf      bool // labels without the score
}

// Label is one detection to draw.
type Label struct {
	Box   decode.Box // in pixels of the picture
	Class int        // picks the color
	Text  string     // the class's name
	Score float32
}

// Annotate draws the labels on the picture: a box in the class's color and,
// filled with that color, a label with name and score above its corner, or
// inside where there is no room above. Lines are max(round(0.003 * (width +
// height + 3) / 2), 2) px wide unless the style says otherwise, and text grows
// with them (YOLOv5's Annotator). The last label is drawn on top.
func Annotate(p *Picture, labels []Label, s Style) {
	line := s.LineThickness
	if line <= 0 {
		line = max(int(math.RoundToEven(float64(p.Width+p.Height+3)/2*0.003)), 2)
	}
	var face font.Face
	if !s.HideLabels && len(labels) > 0 {
		face = newFace(line, p.Height)
		defer face.Close()
	}
	for _, l := range labels {
		if math.IsNaN(float64(l.Box.X1 + l.Box.Y1 + l.Box.X2 + l.Box.Y2)) {
			continue
		}
		c := ClassColor(l.Class)
		p.frame(l.Box, line, c)
		if face == nil {
			continue
		}
		text := l.Text
		if !s.HideConf {
			if text != "" {
				text += " "
			}
			text += strconv.FormatFloat(float64(l.Score), 'f', 2, 32)
		}
		p.label(l.Box, line, text, face, c)
	}
}

// ClassColor returns the opaque color of a class: bright hues, neighbors in
// number far apart on the wheel, that repeat after 60 classes.
func ClassColor(class int) color.RGBA {
	class = ((class % 60) + 60) % 60
	// 0.382 of the wheel, the golden angle, from one class to the next
	hue := math.Mod(float64(class)*0.381966, 1) * 6
	value := 255 - 40*float64(class/20)
	low := value * 0.15
	channel := func(shift float64) uint8 {
		d := math.Abs(math.Mod(hue+shift, 6) - 3)
		return uint8(low + (value-low)*min(max(d-1, 0), 1))
	}
	return color.RGBA{R: channel(0), G: channel(4), B: channel(2), A: 255}
}

// frame draws a box's outline, its line centered on the box's edges.
func (p *Picture) frame(b decode.Box, line int, c color.RGBA) {
	x1, y1, x2, y2 := pixel(b.X1), pixel(b.Y1), pixel(b.X2), pixel(b.Y2)
	out, in := line/2, line-line/2
	p.fillRect(image.Rect(x1-out, y1-out, x2+in, y1+in), c)
	p.fillRect(image.Rect(x1-out, y2-out, x2+in, y2+in), c)
	p.fillRect(image.Rect(x1-out, y1-out, x1+in, y2+in), c)
	p.fillRect(image.Rect(x2-out, y1-out, x2+in, y2+in), c)
}

// pixel truncates a coordinate as YOLOv5 does, within what can be drawn.
func pixel(v float32) int { return int(min(max(v, -1<<20), 1<<20)) }

// fillRect fills the part of a rectangle that lies on the picture.
func (p *Picture) fillRect(r image.Rectangle, c color.RGBA) {
	r = r.Intersect(p.Bounds())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := p.Pix[3*(y*p.Width+r.Min.X) : 3*(y*p.Width+r.Max.X)]
		for i := 0; i+3 <= len(row); i += 3 {
			row[i], row[i+1], row[i+2] = c.R, c.G, c.B
		}
	}
}

// label draws a filled label with text at a box's upper left corner, moved so
// far as it needs to be to lie on the picture.
func (p *Picture) label(b decode.Box, line int, text string, face font.Face, c color.RGBA) {
	metrics := face.Metrics()
	ascent, descent := metrics.Ascent.Ceil(), metrics.Descent.Ceil()
	margin := max(line/2, 1)
	width := font.MeasureString(face, text).Ceil() + 2*margin
	height := ascent + descent
	x, y := pixel(b.X1)-line/2, pixel(b.Y1)-line/2-height
	if y < 0 {
		y = max(pixel(b.Y1)-line/2, 0)
	}
	x = max(min(x, p.Width-width), 0)
	p.fillRect(image.Rect(x, y, x+width, y+height), c)
	ink := color.RGBA{R: 255, G: 255, B: 255, A: 255}
	if 299*int(c.R)+587*int(c.G)+114*int(c.B) > 150*1000 {
		ink = color.RGBA{A: 255}
	}
	p.text(fixed.P(x+margin, y+ascent), text, face, ink)
}

// text draws a line of text with its baseline at dot.
func (p *Picture) text(dot fixed.Point26_6, text string, face font.Face, ink color.RGBA) {
	last := rune(-1)
	for _, r := range text {
		if last >= 0 {
			dot.X += face.Kern(last, r)
		}
		at, mask, corner, advance, ok := face.Glyph(dot, r)
		if ok {
			if alpha, isAlpha := mask.(*image.Alpha); isAlpha {
				p.blendMask(at, alpha, corner, ink)
			}
		}
		dot.X += advance
		last = r
	}
}

// blendMask lays ink on the picture as thick as the mask says.
func (p *Picture) blendMask(at image.Rectangle, mask *image.Alpha, corner image.Point, ink color.RGBA) {
	visible := at.Intersect(p.Bounds())
	for y := visible.Min.Y; y < visible.Max.Y; y++ {
		for x := visible.Min.X; x < visible.Max.X; x++ {
			a := int(mask.AlphaAt(corner.X+x-at.Min.X, corner.Y+y-at.Min.Y).A)
			if a == 0 {
				continue
			}
			d := p.Pix[3*(y*p.Width+x):][:3]
			for i, v := range [3]uint8{ink.R, ink.G, ink.B} {
				d[i] = uint8((int(d[i])*(255-a) + int(v)*a + 127) / 255)
			}
		}
	}
}

// goFont is the font of the labels, parsed once.
var goFont = sync.OnceValue(func() *opentype.Font {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		panic("imaging: the font compiled into this program does not parse: " + err.Error())
	}
	return f
})

// newFace returns the font in the size that goes with a line: capitals 7.3
// times as high as the line is wide, as YOLOv5's, but never too small to read
// nor, be the line as wide as it may, more than a tenth of the picture.
func newFace(line, height int) font.Face {
	size := max(min(10*line, height/10, 500), 12)
	face, err := opentype.NewFace(goFont(), &opentype.FaceOptions{
		Size: float64(size), DPI: 72, Hinting: font.HintingFull,
	})
	if err != nil {
		panic("imaging: the font compiled into this program has no face: " + err.Error())
	}
	return face
}
