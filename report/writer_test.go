package report

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
)

// records are two pictures with objects, one without, one that failed.
var records = []*Record{
	{Source: "000042.jpg", Width: 640, Height: 480, Detections: []engine.Detection{
		{ClassID: 1, Class: "dog", Score: 0.9125, Box: decode.Box{X1: 1.5, Y1: 2, X2: 101.5, Y2: 52.25}},
		{ClassID: 0, Class: "tomato, \"ripe\"", Score: 0.5, Box: decode.Box{X1: 0, Y1: 0, X2: 640, Y2: 480}},
	}},
	{Source: "a/rather/long/path/to/pictures/日本.png", Width: 3, Height: 4, Detections: []engine.Detection{
		{ClassID: 1, Class: "dog", Score: 1, Box: decode.Box{X1: 1, Y1: 2, X2: 3, Y2: 4}},
	}},
	{Source: "empty<1>.jpg", Width: 10, Height: 20},
	{Source: "broken.jpg", Err: errors.New("broken.jpg: no picture")},
}

func TestWriters(t *testing.T) {
	for _, r := range records {
		r.Name = filepath.Base(r.Source)
	}
	for format, want := range map[string]string{
		"jsonl": `{"source":"000042.jpg","width":640,"height":480,"detections":[{"class_id":1,"class":"dog","score":0.9125,"box":[1.5,2,101.5,52.25]},{"class_id":0,"class":"tomato, \"ripe\"","score":0.5,"box":[0,0,640,480]}]}
{"source":"a/rather/long/path/to/pictures/日本.png","width":3,"height":4,"detections":[{"class_id":1,"class":"dog","score":1,"box":[1,2,3,4]}]}
{"source":"empty<1>.jpg","width":10,"height":20,"detections":[]}
{"source":"broken.jpg","error":"broken.jpg: no picture"}
`,
		"coco": `[
{"image_id":42,"category_id":1,"bbox":[1.5,2,100,50.25],"score":0.9125},
{"image_id":42,"category_id":0,"bbox":[0,0,640,480],"score":0.5},
{"image_id":"日本","category_id":1,"bbox":[1,2,2,2],"score":1}
]
`,
		"csv": `source,class_id,class,score,x1,y1,x2,y2
000042.jpg,1,dog,0.9125,1.5,2,101.5,52.25
000042.jpg,0,"tomato, ""ripe""",0.5,0,0,640,480
a/rather/long/path/to/pictures/日本.png,1,dog,1,1,2,3,4
`,
		"table": `picture                           class           score       x1       y1       x2       y2
000042.jpg                        dog             0.913      1.5      2.0    101.5     52.2
                                  tomato, "ripe"  0.500      0.0      0.0    640.0    480.0
a/rather/long/path/to/pictures/日本.png  dog             1.000      1.0      2.0      3.0      4.0
empty<1>.jpg                             nothing found
`,
	} {
		t.Run(format, func(t *testing.T) {
			var b strings.Builder
			w, err := NewWriter(format, &b, TableOptions{ClassWidth: len(`tomato, "ripe"`)})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				if err := w.Write(r); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if b.String() != want {
				t.Errorf("got\n%swant\n%s", b.String(), want)
			}
		})
	}
}

func TestWritersWithoutRecords(t *testing.T) {
	for format, want := range map[string]string{
		"jsonl": "", "coco": "[]\n", "csv": "source,class_id,class,score,x1,y1,x2,y2\n",
	} {
		var b strings.Builder
		w, err := NewWriter(format, &b, TableOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil || b.String() != want {
			t.Errorf("%s: got %q, error %v, want %q", format, b.String(), err, want)
		}
	}
	if _, err := NewWriter("xml", nil, TableOptions{}); err == nil {
		t.Error("format xml: no error")
	}
}

// A terminal's width shortens paths, and nothing else does.
func TestTablePaths(t *testing.T) {
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, "a/rather/long/path/to/pictures/日本.png  dog    1.000      1.0      2.0      3.0      4.0"},
		{200, "a/rather/long/path/to/pictures/日本.png  dog    1.000      1.0      2.0      3.0      4.0"},
		{80, "…ong/path/to/pictures/日本.png  dog    1.000      1.0      2.0      3.0      4.0"},
		{40, "…es/日本.png  dog    1.000      1.0      2.0      3.0      4.0"},
	} {
		var b strings.Builder
		w := newTable(&b, TableOptions{Width: c.width})
		if err := w.Write(records[1]); err != nil {
			t.Fatal(err)
		}
		line := strings.Split(b.String(), "\n")[1]
		if line != c.want {
			t.Errorf("%d columns: got %q, want %q", c.width, line, c.want)
		}
		if n := text.StringWidthWithoutEscSequences(line); c.width >= 80 && n > c.width {
			t.Errorf("%d columns on a terminal of %d", n, c.width)
		}
	}
}

// A net that finds something everywhere does not fill the screen. Nothing is cut
// where all is asked for, and no other format is.
func TestTableIsBounded(t *testing.T) {
	write := func(format string, o TableOptions, images, objects int) string {
		var b strings.Builder
		w, err := NewWriter(format, &b, o)
		if err != nil {
			t.Fatal(err)
		}
		for range images {
			if err := w.Write(&Record{Source: "a.jpg", Detections: make([]engine.Detection, objects)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	o := TableOptions{AllFlag: "--all-rows"}
	for images, want := range map[int]string{
		1:   "and 275 more\n\n275 more objects left out of this table: --all-rows shows all\n",
		100: "\n29038 more objects and 61 more pictures left out of this table: --all-rows shows all\n",
	} {
		got := write("table", o, images, 300)
		if lines := strings.Count(got, "\n"); !strings.HasSuffix(got, want) || lines > tableRows+4 {
			t.Errorf("%d images: %d lines, want %q at the end of\n%s", images, lines, want, got[max(0, len(got)-200):])
		}
	}
	if got := write("table", o, 1, tableRowsOfImage); strings.Contains(got, "more") || strings.Count(got, "\n") != 1+tableRowsOfImage {
		t.Errorf("%s", got)
	}
	o.All = true
	if got := write("table", o, 9, 300); strings.Count(got, "\n") != 1+9*300 || strings.Contains(got, "more") {
		t.Errorf("%d lines", strings.Count(got, "\n"))
	}
	for format, lines := range map[string]int{"jsonl": 9, "csv": 1 + 9*300, "coco": 2 + 9*300} {
		if got := strings.Count(write(format, TableOptions{}, 9, 300), "\n"); got != lines {
			t.Errorf("%s: %d lines, want %d", format, got, lines)
		}
	}
}
