package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/text"
)

// TableOptions say how a table is laid out for whoever reads it.
type TableOptions struct {
	// ClassWidth is the longest class name in characters.
	ClassWidth int
	// Width is the terminal's in columns, which paths are shortened to; 0 is no
	// terminal, and paths are whole.
	Width int
	// All has every row written, however many they are. Without it an image has
	// tableRowsOfImage rows at most and the table tableRows, and a last line says
	// what is left out.
	All bool
	// AllFlag is the flag that sets All, for that line.
	AllFlag string
}

const (
	tableRowsOfImage = 25
	tableRows        = 1000
	// usualSourceWidth is the width of the first column until a path needs more.
	usualSourceWidth = 32
	// leastSourceWidth is left of a path on the narrowest terminal.
	leastSourceWidth = 12
)

// table writes aligned columns as the images come in.
type table struct {
	w           io.Writer
	o           TableOptions
	sourceWidth int // of the first column, which grows with the paths
	mostWidth   int
	header      bool
	rows        int
	// left out: objects, and images of which nothing is shown
	objects, images int
}

func newTable(w io.Writer, o TableOptions) *table {
	o.ClassWidth = max(o.ClassWidth, len("class"))
	t := &table{w: w, o: o, mostWidth: math.MaxInt}
	if o.Width > 0 {
		t.mostWidth = max(leastSourceWidth, o.Width-len(figures)-o.ClassWidth-2*len(gap))
	}
	t.sourceWidth = min(usualSourceWidth, t.mostWidth)
	return t
}

const (
	gap     = "  "
	figures = "score       x1       y1       x2       y2"
)

func (t *table) Write(r *Record) error {
	t.head()
	if r.Err != nil { // which stands on standard error
		return nil
	}
	shown := min(len(r.Detections), t.room())
	if t.room() == 0 {
		t.images++
		t.objects += len(r.Detections)
		return nil
	}
	source := t.source(Printable(r.Source))
	if len(r.Detections) == 0 {
		return t.row(source, "nothing found")
	}
	for _, d := range r.Detections[:shown] {
		err := t.row(source, text.Pad(Printable(d.Class), t.o.ClassWidth, ' '),
			fmt.Sprintf("%5.3f  %7.1f  %7.1f  %7.1f  %7.1f", d.Score, d.Box.X1, d.Box.Y1, d.Box.X2, d.Box.Y2))
		if err != nil {
			return err
		}
		source = text.Pad("", t.sourceWidth, ' ')
	}
	if more := len(r.Detections) - shown; more > 0 {
		t.objects += more
		return t.row(source, fmt.Sprintf("and %d more", more))
	}
	return nil
}

// room is how many rows the next image may have.
func (t *table) room() int {
	if t.o.All {
		return math.MaxInt
	}
	return max(0, min(tableRowsOfImage, tableRows-t.rows))
}

func (t *table) head() {
	if !t.header {
		t.header = true
		t.write(text.Pad("picture", t.sourceWidth, ' '), text.Pad("class", t.o.ClassWidth, ' '), figures) //nolint:errcheck // the next row reports it
	}
}

func (t *table) row(cells ...string) error {
	t.rows++
	return t.write(cells...)
}

func (t *table) write(cells ...string) error {
	_, err := io.WriteString(t.w, strings.Join(cells, gap)+"\n")
	return err
}

// Close says what is left out.
func (t *table) Close() error {
	t.head()
	if t.objects == 0 && t.images == 0 {
		return nil
	}
	left := counted(t.objects, "more object")
	if t.images > 0 {
		left += " and " + counted(t.images, "more picture")
	}
	return t.write(fmt.Sprintf("\n%s left out of this table: %s shows all", left, t.o.AllFlag))
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Printable replaces what a terminal would obey or could not show: file and
// class names are other people's.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// source pads a path to the first column. The column grows with it up to the
// terminal's width; a path that is longer loses its beginning.
func (t *table) source(path string) string {
	runes := []rune(path)
	for text.StringWidthWithoutEscSequences(string(runes)) > t.mostWidth {
		runes = append([]rune{'…'}, runes[2:]...)
	}
	path = string(runes)
	t.sourceWidth = max(t.sourceWidth, text.StringWidthWithoutEscSequences(path))
	return text.Pad(path, t.sourceWidth, ' ')
}
