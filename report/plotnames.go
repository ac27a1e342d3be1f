package report

import (
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// The fonts of the names in plots, and the room that there is for one.
var (
	legendFont, tickFont = sans(12), sans(10)

	legendWidth, tickWidth = 4.2 * vg.Centimeter, 4.5 * vg.Centimeter
)

func sans(points float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(points)}
}

// plotName is a class's name if the plots' font can draw it, which leaves out
// Chinese among others, and "class 7" if not.
func plotName(id int, name string) string {
	face := font.DefaultCache.Lookup(sans(12), 12).Face
	for _, r := range name {
		if glyph, err := face.GlyphIndex(nil, r); err != nil || glyph == 0 {
			name = ""
			break
		}
	}
	if strings.TrimSpace(name) == "" {
		return "class " + strconv.Itoa(id)
	}
	return name
}

// shortened cuts a name to a width.
func shortened(name string, f font.Font, width vg.Length) string {
	face := font.DefaultCache.Lookup(f, f.Size)
	if face.Width(name) <= width {
		return name
	}
	runes := []rune(name)
	for len(runes) > 0 && face.Width(string(runes)+"...") > width {
		runes = runes[:len(runes)-1]
	}
	return strings.TrimSpace(string(runes)) + "..."
}
