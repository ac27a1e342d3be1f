package decode

import (
	"math"

	"slices"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/tests/oracle"
)

// oracleCases is what tests/oracle/decode_cases.py writes.
type oracleCases struct {
	Decode []struct {
		Name       string
		Head       Head
		Width      int
		Height     int
		Index      int
		Conf       float32
		MultiLabel bool `json:"multi_label"`
		Outputs    []struct {
			Name  string
			Shape []int
			Data  oracle.Blob
		}
		Want oracle.Blob // (n, 7): corners, score, class, row
		Near []int32     // rows that one rounding decides about
	}
	NMS []struct {
		Name       string
		Classes    int
		Conf       float32
		IoU        float32
		MaxDet     int `json:"max_det"`
		Keep       []int
		Agnostic   bool
		MultiLabel bool `json:"multi_label"`
		Count      int
		Rows       oracle.Blob // (count, 5 + classes)
		Want       oracle.Blob // (n, 6) by YOLOv5 and by numpy: corners, score, class
	}
	Fit []struct {
		Size    [4]int // picture w, h, input w, h
		Center  [4]int // resized w, h, left, top
		TopLeft [4]int `json:"top_left"`
		Boxes   oracle.Blob
		Want    oracle.Blob
	}
}

var (
	askOracle sync.Once
	asked     oracleCases
	blobs     *oracle.Cases
)

// fromOracle runs the Python once for all tests of the package.
func fromOracle(t *testing.T) (*oracleCases, *oracle.Cases) {
	t.Helper()
	askOracle.Do(func() {
		blobs = oracle.Load(t, oracle.YOLOv5, "decode_cases.py", &asked)
	})
	if blobs == nil {
		t.Fatal("the oracle failed in an earlier test")
	}
	return &asked, blobs
}

func TestDecodeAgainstOracle(t *testing.T) {
	cases, blobs := fromOracle(t)
	if len(cases.Decode) < 100 {
		t.Fatalf("the oracle wrote %d cases, want 100 or more", len(cases.Decode))
	}
	total := 0
	for _, c := range cases.Decode {
		t.Run(c.Name, func(t *testing.T) {
			d, err := NewDecoder(c.Head)
			if err != nil {
				t.Fatal(err)
			}
			d.MultiLabel = c.MultiLabel
			var outputs []Tensor
			for _, o := range c.Outputs {
				outputs = append(outputs, Tensor{Name: o.Name, Shape: o.Shape, Data: blobs.Floats(o.Data)})
			}
			got, nonFinite, err := d.Decode(nil, outputs, c.Index, c.Width, c.Height, c.Conf)
			if err != nil || nonFinite != 0 {
				t.Fatalf("%v, %d not finite", err, nonFinite)
			}
			rows := blobs.Floats(c.Want)
			var want []Candidate
			for ; len(rows) > 0; rows = rows[7:] {
				want = append(want, Candidate{
					Box: Box{rows[0], rows[1], rows[2], rows[3]}, Score: rows[4], Class: int32(rows[5]), Anchor: int32(rows[6]),
				})
			}
			sure := func(c []Candidate, near []int32) []Candidate {
				return slices.DeleteFunc(c, func(x Candidate) bool { return slices.Contains(near, x.Anchor) })
			}
			got, want = sure(got, c.Near), sure(want, c.Near)
			if len(got) != len(want) || len(c.Near) > 3 {
				t.Fatalf("%d candidates, the oracle has %d (%d at the threshold)", len(got), len(want), len(c.Near))
			}
			total += len(got)
			for i := range got {
				g, w := got[i], want[i]
				if g.Anchor != w.Anchor || g.Class != w.Class || math.Abs(float64(g.Score-w.Score)) > 1e-6 || apart(g.Box, w.Box) > 1e-3 {
					t.Fatalf("candidate %d is %+v, the oracle's %+v", i, g, w)
				}
			}
		})
	}
	if total < 10000 {
		t.Errorf("only %d candidates were compared", total)
	}
}

// apart is the greatest distance between two boxes' coordinates.
func apart(a, b Box) float64 {
	return math.Abs(max(
		math.Abs(float64(a.X1-b.X1)), math.Abs(float64(a.Y1-b.Y1)),
		math.Abs(float64(a.X2-b.X2)), math.Abs(float64(a.Y2-b.Y2)),
	))
}

func TestNMSAgainstYOLOv5(t *testing.T) {
	cases, blobs := fromOracle(t)
	kept := 0
	for _, c := range cases.NMS {
		t.Run(c.Name, func(t *testing.T) {
			d, err := NewDecoder(Head{
				Family: YOLOv5, Layout: Rows, Classes: c.Classes, SigmoidApplied: true,
				Levels: []Level{{Outputs: []string{"output0"}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			d.MultiLabel = c.MultiLabel
			rows := Tensor{Name: "output0", Shape: []int{1, c.Count, 5 + c.Classes}, Data: blobs.Floats(c.Rows)}
			candidates, _, err := d.Decode(nil, []Tensor{rows}, 0, 640, 640, c.Conf)
			if err != nil {
				t.Fatal(err)
			}
			// the order in which a GPU's threads append is any order
			shuffled := slices.Clone(candidates)
			for i := range shuffled {
				j := (i * 7919) % (i + 1)
				shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
			}
			o := NMSOptions{IoU: c.IoU, MaxDet: c.MaxDet, Classes: c.Keep, Agnostic: c.Agnostic}
			got := NMS(candidates, o)
			if !slices.Equal(got, NMS(shuffled, o)) {
				t.Error("the order of the candidates changes the result")
			}
			want := blobs.Floats(c.Want)
			if len(got) != len(want)/6 {
				t.Fatalf("%d boxes are kept, YOLOv5 keeps %d", len(got), len(want)/6)
			}
			for i, g := range got {
				w := want[6*i:]
				if g.Box != (Box{w[0], w[1], w[2], w[3]}) || g.Score != w[4] || g.Class != int32(w[5]) {
					t.Fatalf("box %d is %+v, YOLOv5's %v", i, g, w[:6])
				}
			}
			kept += len(got)
		})
	}
	if kept < 3000 {
		t.Errorf("only %d boxes were compared", kept)
	}
}

func TestFitAgainstYOLOv5(t *testing.T) {
	cases, blobs := fromOracle(t)
	for _, c := range cases.Fit {
		for p, want := range map[Placement][4]int{Center: c.Center, TopLeft: c.TopLeft} {
			f := NewFit(c.Size[0], c.Size[1], c.Size[2], c.Size[3], p)
			if got := [4]int{f.ResizedW, f.ResizedH, f.Left, f.Top}; got != want {
				t.Errorf("%v %s: %v, want %v", c.Size, p, got, want)
			}
		}
		f := NewFit(c.Size[0], c.Size[1], c.Size[2], c.Size[3], Center)
		boxes, want := blobs.Floats(c.Boxes), blobs.Floats(c.Want)
		for i := 0; i < len(boxes); i += 4 {
			got := f.ToPicture(Box{boxes[i], boxes[i+1], boxes[i+2], boxes[i+3]})
			if d := apart(got, Box{want[i], want[i+1], want[i+2], want[i+3]}); d > 1e-3 {
				t.Errorf("%v: box %v goes back to %v, scale_boxes says %v", c.Size, boxes[i:i+4], got, want[i:i+4])
			}
		}
	}
}
