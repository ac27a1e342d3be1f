package report

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/text"
)

// sourceWidth is the width of the table's first column in characters; longer
// paths lose their beginning.
const sourceWidth = 32

// table writes aligned columns as the pictures come in.
type table struct {
	w          io.Writer
	classWidth int
	header     bool
}

func newTable(w io.Writer, classWidth int) *table {
	return &table{w: w, classWidth: max(classWidth, len("class"))}
}

func (t *table) Write(r *Record) error {
	t.head()
	if r.Err != nil { // which stands on standard error
		return nil
	}
	source := shorten(Printable(r.Source))
	if len(r.Detections) == 0 {
		return t.row("%s  %s", source, "nothing found")
	}
	for _, d := range r.Detections {
		err := t.row("%s  %s  %5.3f  %7.1f  %7.1f  %7.1f  %7.1f", source, text.Pad(Printable(d.Class), t.classWidth, ' '),
			d.Score, d.Box.X1, d.Box.Y1, d.Box.X2, d.Box.Y2)
		if err != nil {
			return err
		}
		source = text.Pad("", sourceWidth, ' ')
	}
	return nil
}

func (t *table) head() {
	if !t.header {
		t.header = true
		t.row("%s  %s  score       x1       y1       x2       y2", //nolint:errcheck // the next row reports it
			text.Pad("picture", sourceWidth, ' '), text.Pad("class", t.classWidth, ' '))
	}
}

func (t *table) row(format string, args ...any) error {
	_, err := fmt.Fprintf(t.w, format+"\n", args...)
	return err
}

func (t *table) Close() error { t.head(); return nil }

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

// shorten pads a path to sourceWidth, cutting its beginning where it is longer.
func shorten(path string) string {
	runes := []rune(path)
	for text.StringWidthWithoutEscSequences(string(runes)) > sourceWidth {
		runes = append([]rune{'…'}, runes[2:]...)
	}
	return text.Pad(string(runes), sourceWidth, ' ')
}
