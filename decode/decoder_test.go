package decode

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// testOutputs makes the outputs of testHead for a 32x16 input, every value
// from a function of the picture, the row and the channel of the prediction.
func testOutputs(h Head, batch int, value func(picture, row, channel int) float32) []Tensor {
	const width, height = 32, 16
	channels := 5 + h.Classes
	if h.Layout == Columns {
		channels--
	}
	if h.Layout == Rows || h.Layout == RowsGrid || h.Layout == Columns {
		n := 6
		if h.Layout == RowsGrid {
			n = 4*2 + 2*1
		}
		shape := []int{batch, n, channels}
		if h.Layout == Columns {
			shape = []int{batch, channels, n}
		}
		t := Tensor{Name: h.Levels[0].Outputs[0], Shape: shape, Data: make([]float32, batch*n*channels)}
		for b := range batch {
			for row := range n {
				for k := range channels {
					at := (b*n+row)*channels + k
					if h.Layout == Columns {
						at = (b*channels+k)*n + row
					}
					t.Data[at] = value(b, row, k)
				}
			}
		}
		return []Tensor{t}
	}
	var outputs []Tensor
	na, first := h.AnchorsPerCell(), 0
	for _, l := range h.Levels {
		nx, ny := width/l.Stride, height/l.Stride
		plane := nx * ny
		shapes := [][]int{{batch, na * channels, ny, nx}}
		if h.Layout == FiveD {
			shapes = [][]int{{batch, na, ny, nx, channels}}
		} else if len(l.Outputs) == 3 {
			shapes = [][]int{{batch, na * 4, ny, nx}, {batch, na, ny, nx}, {batch, na * h.Classes, ny, nx}}
		}
		for i, s := range shapes {
			size := 1
			for _, d := range s {
				size *= d
			}
			outputs = append(outputs, Tensor{Name: l.Outputs[i], Shape: s, Data: make([]float32, size)})
		}
		maps := outputs[len(outputs)-len(shapes):]
		for b := range batch {
			for a := range na {
				for p := range plane {
					for k := range channels {
						v := value(b, first+a*plane+p, k)
						switch {
						case h.Layout == FiveD:
							maps[0].Data[((b*na+a)*plane+p)*channels+k] = v
						case h.Layout == Fused:
							maps[0].Data[(b*na*channels+a*channels+k)*plane+p] = v
						case len(maps) == 1:
							at := [3]int{a*4 + k, na*4 + a, na*5 + a*h.Classes + k - 5}[min(max(k-3, 0), 2)]
							maps[0].Data[(b*na*channels+at)*plane+p] = v
						case k < 4:
							maps[0].Data[(b*na*4+a*4+k)*plane+p] = v
						case k == 4:
							maps[1].Data[(b*na+a)*plane+p] = v
						default:
							maps[2].Data[((b*na+a)*h.Classes+k-5)*plane+p] = v
						}
					}
				}
			}
		}
		first += na * plane
	}
	return outputs
}

func mustDecode(t testing.TB, h Head, outputs []Tensor, index int, conf float32) ([]Candidate, int) {
	t.Helper()
	d, err := NewDecoder(h)
	if err != nil {
		t.Fatal(err)
	}
	c, nonFinite, err := d.Decode(nil, outputs, index, 32, 16, conf)
	if err != nil {
		t.Fatal(err)
	}
	return c, nonFinite
}

// TestLayoutsAgree writes one set of raw predictions in every layout that can
// hold it and expects the same candidates.
func TestLayoutsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	values := map[[3]int]float32{}
	value := func(picture, row, channel int) float32 {
		key := [3]int{picture, row, channel}
		if _, ok := values[key]; !ok {
			values[key] = float32(rng.NormFloat64() * 2)
		}
		return values[key]
	}
	joined := testHead(Split)
	joined.Levels[0].Outputs, joined.Levels[1].Outputs = []string{"p3"}, []string{"p4"}
	for picture := range 2 {
		want, _ := mustDecode(t, testHead(Fused), testOutputs(testHead(Fused), 2, value), picture, 0.3)
		if len(want) < 5 || !slices.IsSortedFunc(want, func(a, b Candidate) int { return int(a.Anchor - b.Anchor) }) {
			t.Fatalf("%d candidates, or not in the order of their anchors: %+v", len(want), want)
		}
		for _, h := range []Head{testHead(Split), joined, testHead(FiveD)} {
			outputs := testOutputs(h, 2, value)
			slices.Reverse(outputs) // found by name
			if got, _ := mustDecode(t, h, outputs, picture, 0.3); !slices.Equal(got, want) {
				t.Errorf("%s, %d outputs a level, picture %d: %+v, fused has %+v", h.Layout, len(h.Levels[0].Outputs), picture, got, want)
			}
		}
	}
}

// TestHandComputed decodes one prediction whose numbers can be done by hand.
func TestHandComputed(t *testing.T) {
	cases := []struct {
		head Head
		row  int // the prediction set; all others have no confidence
		set  []float32
		want Candidate
	}{
		{ // row 17: level 1 (stride 16, cells 2x1), anchor 0, x 1: xy = (2*0.5 - 0.5 + (1, 0)) * 16, wh = anchor
			testHead(Fused), 17, []float32{0, 0, 0, 0, 100, -100, 0, -100},
			Candidate{Box{24 - 5, 8 - 10, 24 + 5, 8 + 10}, 0.5, 1, 17},
		},
		{ // row 13: level 0 (stride 8, cells 4x2), anchor 1, y 1, x 1
			testHead(Fused), 13, []float32{0, 0, 0, 0, 0, 100, 100, 100},
			Candidate{Box{12 - 15, 12 - 7.5, 12 + 15, 12 + 7.5}, 0.5, 0, 13},
		},
		{ // YOLOX row 6: level 0, y 1, x 2: xy = (0.25 + (2, 1)) * 8, wh = exp(0) * 8
			testHead(RowsGrid), 6, []float32{0.25, 0.25, 0, 0, 100, -100, -100, 0},
			Candidate{Box{18 - 4, 10 - 4, 18 + 4, 10 + 4}, 0.5, 2, 6},
		},
		{
			testHead(Rows), 3, []float32{10, 12, 4, 6, 0.5, 0.25, 1, 0.5},
			Candidate{Box{8, 9, 12, 15}, 0.5, 1, 3},
		},
		{
			testHead(Columns), 5, []float32{10, 12, 4, 6, 0.25, 0.75, 0.5},
			Candidate{Box{8, 9, 12, 15}, 0.75, 1, 5},
		},
	}
	for _, c := range cases {
		outputs := testOutputs(c.head, 1, func(_, row, channel int) float32 {
			if row == c.row {
				return c.set[channel]
			}
			if !c.head.Decoded() && channel == 4 {
				return -100
			}
			return 0
		})
		got, nonFinite := mustDecode(t, c.head, outputs, 0, 0.4)
		if !slices.Equal(got, []Candidate{c.want}) || nonFinite != 0 {
			t.Errorf("%s row %d: %+v, want %+v", c.head.Layout, c.row, got, c.want)
		}
	}
}

func TestNonFinite(t *testing.T) {
	for _, l := range layouts {
		h := testHead(l)
		channels := 5 + h.Classes
		if l == Columns {
			channels--
		}
		for _, bad := range []float32{nan, inf, -inf} {
			for channel := range channels {
				outputs := testOutputs(h, 1, func(_, row, k int) float32 {
					if row == 2 && k == channel {
						return bad
					}
					return 0.9
				})
				got, nonFinite := mustDecode(t, h, outputs, 0, 0.1)
				if nonFinite != 1 || slices.ContainsFunc(got, func(c Candidate) bool { return c.Anchor == 2 }) {
					t.Errorf("%s: %g in channel %d: %d counted, kept %+v", l, bad, channel, nonFinite, got)
				}
				if len(got) < 4 {
					t.Errorf("%s: %g in channel %d: the others went with it: %d are left", l, bad, channel, len(got))
				}
			}
		}
	}
	h := testHead(RowsGrid) // exp overflows though every number is finite
	outputs := testOutputs(h, 1, func(_, _, k int) float32 { return [8]float32{0, 0, 200, 0, 9, 9, 9, 9}[k] })
	if got, nonFinite := mustDecode(t, h, outputs, 0, 0.1); len(got) != 0 || nonFinite != 10 {
		t.Errorf("a width of exp(200): %d candidates, %d not finite of 10", len(got), nonFinite)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, l := range layouts {
		h := testHead(l)
		whole := func() []Tensor { return testOutputs(h, 2, func(_, _, _ int) float32 { return 0 }) }
		d, err := NewDecoder(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.Decode(nil, whole(), 1, 32, 16, 0.5); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		cases := []struct {
			name   string
			change func([]Tensor) []Tensor
			index  int
			w, h   int
			want   []string
		}{
			{"missing", func(o []Tensor) []Tensor { o[0].Name = "other"; return o }, 0, 32, 16, []string{whole()[0].Name, "other"}},
			{"rank", func(o []Tensor) []Tensor { o[0].Shape = o[0].Shape[1:]; return o }, 0, 32, 16, []string{whole()[0].Name, "want (B"}},
			{"classes", func(o []Tensor) []Tensor { o[len(o)-1].Shape[1]++; o[len(o)-1].Shape[2]++; return o }, 0, 32, 16, []string{o(whole()), "want"}},
			{"data", func(o []Tensor) []Tensor { o[0].Data = o[0].Data[1:]; return o }, 0, 32, 16, []string{whole()[0].Name, "values"}},
			{"index", func(o []Tensor) []Tensor { return o }, 2, 32, 16, []string{"picture 2", "batch is 2"}},
			{"negative", func(o []Tensor) []Tensor { o[0].Shape[0] = -1; return o }, 0, 32, 16, []string{whole()[0].Name}},
			{"no input", func(o []Tensor) []Tensor { return o }, 0, 0, 16, []string{"0x16"}},
		}
		if !h.Decoded() {
			cases = append(cases, struct {
				name   string
				change func([]Tensor) []Tensor
				index  int
				w, h   int
				want   []string
			}{"other input size", func(o []Tensor) []Tensor { return o }, 0, 64, 64, []string{whole()[0].Name, "64x64"}})
		}
		for _, c := range cases {
			_, _, err := d.Decode(nil, c.change(whole()), c.index, c.w, c.h, 0.5)
			if !errors.Is(err, ErrHead) {
				t.Errorf("%s, %s: %v", l, c.name, err)
				continue
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s, %s: error %q does not say %q", l, c.name, err, want)
				}
			}
		}
		for _, conf := range []float32{-0.1, 1.1, nan} {
			if _, _, err := d.Decode(nil, whole(), 0, 32, 16, conf); err == nil || errors.Is(err, ErrHead) {
				t.Errorf("%s: threshold %g: %v", l, conf, err)
			}
		}
	}
}

// o names the last output.
func o(outputs []Tensor) string { return outputs[len(outputs)-1].Name }

// TestLogitThreshold walks the floats around the border one by one: the test
// in logit space has to say what the one on sigmoids says.
func TestLogitThreshold(t *testing.T) {
	for _, conf := range []float32{0, 1e-30, 0.001, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99999, 1 - 1e-7, 1} {
		border := logitThreshold(conf)
		at := ordinal(border)
		for d := int64(-5000); d <= 5000; d++ {
			x := fromOrdinal(at + d)
			if x != x {
				continue // over infinity
			}
			if (sigmoid(x) > conf) != (x > border) {
				t.Fatalf("conf %g: sigmoid(%g) = %g, but the border is %g", conf, x, sigmoid(x), border)
			}
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200000 {
		conf, x := rng.Float32(), math.Float32frombits(rng.Uint32())
		if x == x && (sigmoid(x) > conf) != (x > logitThreshold(conf)) {
			t.Fatalf("conf %g, x %g", conf, x)
		}
	}
}

// TestFirstOfEquals: labels that round to one score go to the first class.
func TestFirstOfEquals(t *testing.T) {
	h := testHead(Fused)
	for _, c := range []struct {
		labels [3]float32
		want   int32
	}{
		{[3]float32{1, 1, 1}, 0},
		{[3]float32{20, 30, 40}, 0}, // all sigmoids are 1
		{[3]float32{-5, 30, 40}, 1},
		{[3]float32{1, 2, 1}, 1},
		{[3]float32{3, math.Nextafter32(3, 4), 0}, 0},
	} {
		outputs := testOutputs(h, 1, func(_, _, k int) float32 {
			if k >= 5 {
				return c.labels[k-5]
			}
			return 0.3
		})
		got, _ := mustDecode(t, h, outputs, 0, 0)
		if len(got) != 20 {
			t.Fatalf("%d candidates of 20", len(got))
		}
		for _, g := range got {
			if g.Class != c.want {
				t.Fatalf("labels %v: class %d, want %d", c.labels, g.Class, c.want)
			}
		}
	}
}

func TestThresholdIsStrict(t *testing.T) {
	for _, l := range []Layout{Rows, Columns} {
		h := testHead(l)
		outputs := testOutputs(h, 1, func(_, _, k int) float32 { return [8]float32{5, 5, 2, 2, 0.5, 0.5, 0.5, 0.5}[k] })
		score := map[Layout]float32{Rows: 0.25, Columns: 0.5}[l]
		if got, _ := mustDecode(t, h, outputs, 0, score); len(got) != 0 {
			t.Errorf("%s: %d candidates whose score is the threshold", l, len(got))
		}
		if got, _ := mustDecode(t, h, outputs, 0, math.Nextafter32(score, 0)); len(got) != 6 || got[0].Score != score {
			t.Errorf("%s: %d candidates just over the threshold, want 6", l, len(got))
		}
		if got, _ := mustDecode(t, h, outputs, 0, 1); len(got) != 0 {
			t.Errorf("%s: %d candidates over 1", l, len(got))
		}
	}
}

func TestAppendsAndAllocatesNothing(t *testing.T) {
	for _, l := range layouts {
		h := testHead(l)
		d, err := NewDecoder(h)
		if err != nil {
			t.Fatal(err)
		}
		outputs := testOutputs(h, 1, func(_, _, _ int) float32 { return 0.9 })
		before := []Candidate{{Anchor: -7}}
		got, _, err := d.Decode(before, outputs, 0, 32, 16, 0.1)
		if err != nil || len(got) < 6 || got[0].Anchor != -7 {
			t.Fatalf("%s: %v %v", l, got, err)
		}
		if raceDetector() {
			continue
		}
		work := make([]Candidate, 0, 100)
		if n := testing.AllocsPerRun(100, func() {
			work, _, _ = d.Decode(work[:0], outputs, 0, 32, 16, 0.1)
			NMS(work, NMSOptions{IoU: 0.45, MaxDet: 300, Classes: []int{0, 1, 2}})
		}); n > 0 {
			t.Errorf("%s: %g allocations a picture", l, n)
		}
	}
	if raceDetector() {
		t.Skip("under the race detector a sync.Pool drops some of what it is given, so allocations are not counted")
	}
}

// raceDetector tells whether the tests were built with -race.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// FuzzDecode feeds the decoder any numbers, sizes and thresholds: what comes
// out is finite, over the threshold, in order and within the head, and of all
// the labels of an anchor the best is the one that comes alone.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("seeds"), uint8(0), uint8(2), uint8(2), float32(0.25))
	f.Add([]byte{0, 0, 0xc0, 0x7f, 1, 2, 3, 4}, uint8(3), uint8(1), uint8(3), float32(0))
	f.Add([]byte{0xff, 0xff, 0x7f, 0x7f}, uint8(4), uint8(4), uint8(2), float32(1))
	f.Fuzz(func(t *testing.T, raw []byte, layout, nx, ny uint8, conf float32) {
		h := testHead(layouts[int(layout)%len(layouts)])
		d, err := NewDecoder(h)
		if err != nil {
			t.Fatal(err)
		}
		outputs := testOutputs(h, 1, func(_, row, channel int) float32 {
			if len(raw) < 4 {
				return float32(len(raw))
			}
			at := (row*8 + channel) * 4 % (len(raw) - 3)
			return math.Float32frombits(uint32(raw[at]) | uint32(raw[at+1])<<8 | uint32(raw[at+2])<<16 | uint32(raw[at+3])<<24)
		})
		width, height := 8*int(nx%8), 8*int(ny%8)
		got, nonFinite, err := d.Decode(nil, outputs, 0, width, height, conf)
		if err != nil {
			if len(got) != 0 {
				t.Fatal("candidates beside an error")
			}
			return
		}
		if len(got)+nonFinite > 40 {
			t.Fatalf("%d candidates and %d dropped of 40 predictions at most", len(got), nonFinite)
		}
		last := int32(-1)
		for _, c := range got {
			if !(c.Score > conf) || !finite(c.Score) ||
				!finite(c.Box.X1) || !finite(c.Box.Y1) || !finite(c.Box.X2) || !finite(c.Box.Y2) {
				t.Fatalf("candidate %+v at threshold %g", c, conf)
			}
			if c.Anchor <= last || c.Class < 0 || int(c.Class) >= h.Classes {
				t.Fatalf("candidate %+v after anchor %d", c, last)
			}
			last = c.Anchor
		}
		d.MultiLabel = true
		all, dropped, err := d.Decode(nil, outputs, 0, width, height, conf)
		if err != nil || dropped != nonFinite {
			t.Fatalf("with multi_label: %v, %d dropped, %d without", err, dropped, nonFinite)
		}
		var best []Candidate
		for i, c := range all {
			if i > 0 && !before(&all[i-1], &c) {
				t.Fatalf("%+v after %+v", c, all[i-1])
			}
			if n := len(best); n == 0 || best[n-1].Anchor != c.Anchor {
				best = append(best, c)
			} else if c.Score > best[n-1].Score {
				best[n-1] = c
			}
		}
		if !slices.Equal(best, got) {
			t.Fatalf("the best labels are %+v, alone come %+v", best, got)
		}
		if kept := NMS(got, NMSOptions{IoU: 0.45}); len(kept) > len(got) {
			t.Fatal("NMS made boxes")
		}
	})
}

// TestDistances decodes YOLOv8's raw outputs against the formula written out,
// in two outputs per level and in one.
func TestDistances(t *testing.T) {
	const width, height = 32, 16
	for _, regMax := range []int{1, 16} {
		for _, joined := range []bool{false, true} {
			h := distancesHead(regMax)
			value := func(k, cell int) float32 { return float32((k*31+cell*17)%23)/4 - 2.5 }
			var outputs []Tensor
			for i := range h.Levels {
				l := &h.Levels[i]
				nx, ny := width/l.Stride, height/l.Stride
				channels := []int{4 * regMax, h.Classes}
				if joined {
					l.Outputs, channels = l.Outputs[:1], []int{4*regMax + h.Classes}
				}
				first := 0
				for k, n := range channels {
					o := Tensor{Name: l.Outputs[k], Shape: []int{1, n, ny, nx}}
					for c := range n {
						for cell := range nx * ny {
							o.Data = append(o.Data, value(first+c, cell))
						}
					}
					outputs, first = append(outputs, o), first+n
				}
			}
			got, nonFinite := mustDecode(t, h, outputs, 0, 0)
			if nonFinite != 0 || len(got) != 4*2+2*1 {
				t.Fatalf("reg_max %d, joined %v: %d candidates, %d not finite", regMax, joined, len(got), nonFinite)
			}
			at := 0
			for _, l := range h.Levels {
				nx := width / l.Stride
				for cell := range nx * (height / l.Stride) {
					var side [4]float64
					for k := range side {
						var sum float64
						for j := range regMax {
							weight := math.Exp(float64(value(k*regMax+j, cell)))
							sum += weight
							side[k] += weight * float64(j)
						}
						side[k] /= sum
						if regMax == 1 {
							side[k] = float64(value(k, cell))
						}
					}
					x, y, s := float64(cell%nx)+0.5, float64(cell/nx)+0.5, float64(l.Stride)
					want := [4]float64{(x - side[0]) * s, (y - side[1]) * s, (x + side[2]) * s, (y + side[3]) * s}
					best, class := float32(math.Inf(-1)), 0
					for k := range h.Classes {
						if v := value(4*regMax+k, cell); v > best {
							best, class = v, k
						}
					}
					c := got[at]
					for k, v := range [4]float32{c.Box.X1, c.Box.Y1, c.Box.X2, c.Box.Y2} {
						if math.Abs(float64(v)-want[k]) > 1e-4 {
							t.Fatalf("reg_max %d, joined %v, cell %d: box %+v, want %v", regMax, joined, cell, c.Box, want)
						}
					}
					if c.Class != int32(class) || math.Abs(float64(c.Score-sigmoid(best))) > 1e-6 || c.Anchor != int32(at) {
						t.Fatalf("reg_max %d, joined %v, cell %d: %+v, want class %d of %g", regMax, joined, cell, c, class, sigmoid(best))
					}
					at++
				}
			}
		}
	}
}

// TestSelectedBoxes takes boxes that the graph has selected as they are, drops
// those of no class, and lets none suppress another.
func TestSelectedBoxes(t *testing.T) {
	h := testHead(End2End)
	rows := []float32{
		1, 2, 11, 12, 0.5, 2,
		1, 2, 11, 12, 0.9, 2, // the same box, better
		3, 4, 5, 6, 0.2, 0, // under the threshold
		3, 4, 5, 6, 0.8, 3, // there are three classes
		3, 4, 5, 6, 0.8, -1,
		3, 4, inf, 6, 0.8, 1,
		3, 4, 5, 6, 0.7, nan,
	}
	got, nonFinite := mustDecode(t, h, []Tensor{{Name: "boxes", Shape: []int{1, 7, 6}, Data: rows}}, 0, 0.25)
	if nonFinite != 4 {
		t.Errorf("%d dropped, want 4", nonFinite)
	}
	want := []Candidate{{Box{1, 2, 11, 12}, 0.9, 2, 1}, {Box{1, 2, 11, 12}, 0.5, 2, 0}}
	got = NMS(got, NMSOptions{IoU: 0.45, Selected: h.Selected()})
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := NMS(got, NMSOptions{IoU: 0.45, MaxDet: 1, Selected: true}); len(got) != 1 || got[0] != want[0] {
		t.Errorf("the best of them is %+v, want %+v", got, want[0])
	}
}
