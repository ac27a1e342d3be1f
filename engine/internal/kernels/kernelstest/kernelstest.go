// Package kernelstest holds the kernels, on whatever machine runs them, to the
// Go decoder and to imaging.Letterbox.
package kernelstest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/x448/float16"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/kernels"
	"github.com/trtdet/trtdet/imaging"
)

// Machine runs kernels.
type Machine interface {
	// Put copies bytes to memory that the kernels see and returns its address,
	// 0 where there are none. It stays until Free.
	Put(b []byte) uint64
	// Free gives up all that was Put.
	Free()
	// Get copies bytes back from an address that Put returned.
	Get(to []byte, from uint64)
	// Letterbox launches the kernel over a batch for an input of width x height.
	Letterbox(block *kernels.Block, width, height, batch int)
	// Decode launches the kernel over a batch of views, the largest of which has
	// a number of positions.
	Decode(block *kernels.Block, positions, views, batch int)
}

// put is Put of any values.
func put[T any](m Machine, s []T) uint64 { return m.Put(bytesOf(s)) }

func bytesOf[T any](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(*new(T))))
}

func halves(values []float32) []uint16 {
	h := make([]uint16, len(values))
	for i, v := range values {
		h[i] = float16.Fromfloat32(v).Bits()
	}
	return h
}

// TestLetterbox holds the kernel to imaging.Letterbox to the bit: batches of
// pictures of any size in both placements, channel orders and precisions.
func TestLetterbox(t *testing.T, m Machine) {
	rng := rand.New(rand.NewPCG(1, 2))
	const width, height = 96, 64
	sizes := [][2]int{{1, 1}, {1, 50}, {70, 1}, {96, 64}, {32, 64}, {97, 63}, {480, 320}, {333, 777}, {48, 32}}
	for _, pre := range []decode.Preprocess{decode.YOLOv5.Preprocess(), decode.YOLOX.Preprocess()} {
		for _, half := range []bool{false, true} {
			for _, swapped := range []bool{false, true} {
				const plane = 3 * width * height
				want := make([]float32, len(sizes)*plane)
				pictures := make([]kernels.Picture, len(sizes))
				for i, size := range sizes {
					p := imaging.NewPicture(size[0], size[1])
					for k := range p.Pix {
						p.Pix[k] = byte(rng.UintN(256))
					}
					fit := decode.NewFit(p.Width, p.Height, width, height, pre.Letterbox)
					imaging.Letterbox(want[i*plane:(i+1)*plane], p, fit, pre)
					pitch := 3*p.Width + rng.IntN(9)
					pixels := make([]byte, pitch*p.Height)
					for y := range p.Height {
						row := pixels[y*pitch:]
						copy(row, p.Pix[3*y*p.Width:][:3*p.Width])
						if (pre.ChannelOrder == decode.BGR) != swapped { // the kernel gets BGR pixels then
							for x := range p.Width {
								row[3*x], row[3*x+2] = row[3*x+2], row[3*x]
							}
						}
					}
					pictures[i] = kernels.NewPicture(put(m, pixels), pitch, fit, swapped)
				}
				floats, shorts := make([]float32, len(want)), make([]uint16, len(want))
				to := bytesOf(floats)
				if half {
					to = bytesOf(shorts)
				}
				in := kernels.Input{Address: m.Put(to), Width: width, Height: height, Half: half, Range: pre.PixelRange}
				var block kernels.Block
				kernels.SetLetterbox(&block, put(m, pictures), len(sizes), in)
				m.Letterbox(&block, width, height, len(sizes))
				m.Get(to, in.Address)
				m.Free()
				if half && !slices.Equal(shorts, halves(want)) || !half && !slices.Equal(floats, want) {
					t.Errorf("%+v, half %v, swapped %v: the kernel's input is not imaging.Letterbox's", pre, half, swapped)
				}
			}
		}
	}
}

// randomHead is a head with maps for an input of width x height.
func randomHead(rng *rand.Rand, layout decode.Layout, classes int) (h decode.Head, width, height int) {
	h = decode.Head{Family: decode.YOLOv5, Layout: layout, Classes: classes, SigmoidApplied: rng.IntN(4) == 0}
	levels, anchors := 1+rng.IntN(5), 1+rng.IntN(9)
	switch {
	case layout == decode.Columns, layout == decode.End2End:
		h.Family = decode.YOLOv8
	case layout == decode.Split && rng.IntN(3) == 0:
		h.Family, anchors, h.RegMax = decode.YOLOv8, 0, []int{1, 2, 16}[rng.IntN(3)]
	case layout == decode.RowsGrid, layout != decode.Rows && rng.IntN(3) == 0:
		h.Family, anchors = decode.YOLOX, 0
	}
	if h.Decoded() {
		h.SigmoidApplied = true
		h.Levels = []decode.Level{{Outputs: []string{"rows"}}}
		return h, 64, 64
	}
	joined := rng.IntN(2) == 0
	for i := range levels {
		l := decode.Level{Stride: 4 << i, Outputs: []string{fmt.Sprint("p", i)}}
		for range anchors {
			l.Anchors = append(l.Anchors, [2]float32{1 + 99*rng.Float32(), 1 + 99*rng.Float32()})
		}
		if layout == decode.Split && !joined {
			l.Outputs = []string{fmt.Sprint("box", i), fmt.Sprint("conf", i), fmt.Sprint("labels", i)}
			if h.RegMax > 0 {
				l.Outputs = slices.Delete(l.Outputs, 1, 2)
			}
		}
		if layout == decode.RowsGrid {
			l.Outputs[0] = "rows"
		}
		h.Levels = append(h.Levels, l)
	}
	return h, (4 << (levels - 1)) * (1 + rng.IntN(3)), (4 << (levels - 1)) * (1 + rng.IntN(3))
}

// outputsOf makes outputs of a head with every number from value.
func outputsOf(h decode.Head, batch, width, height int, value func() float32) []decode.Tensor {
	var outputs []decode.Tensor
	add := func(name string, shape ...int) {
		size := 1
		for _, n := range shape {
			size *= n
		}
		t := decode.Tensor{Name: name, Shape: shape, Data: make([]float32, size)}
		for i := range t.Data {
			t.Data[i] = value()
		}
		outputs = append(outputs, t)
	}
	na, cells := h.AnchorsPerCell(), 0
	for _, l := range h.Levels {
		nx, ny := 7, 9
		if l.Stride > 0 {
			nx, ny = width/l.Stride, height/l.Stride
		}
		cells += nx * ny
		switch {
		case h.RegMax > 0 && len(l.Outputs) == 1:
			add(l.Outputs[0], batch, 4*h.RegMax+h.Classes, ny, nx)
		case h.RegMax > 0:
			add(l.Outputs[0], batch, 4*h.RegMax, ny, nx)
			add(l.Outputs[1], batch, h.Classes, ny, nx)
		case h.Layout == decode.FiveD:
			add(l.Outputs[0], batch, na, ny, nx, 5+h.Classes)
		case h.Layout == decode.Fused, h.Layout == decode.Split && len(l.Outputs) == 1:
			add(l.Outputs[0], batch, na*(5+h.Classes), ny, nx)
		case h.Layout == decode.Split:
			add(l.Outputs[0], batch, na*4, ny, nx)
			add(l.Outputs[1], batch, na, ny, nx)
			add(l.Outputs[2], batch, na*h.Classes, ny, nx)
		}
	}
	switch h.Layout {
	case decode.Rows, decode.RowsGrid:
		add("rows", batch, cells, 5+h.Classes)
	case decode.Columns:
		add("rows", batch, 4+h.Classes, cells)
	case decode.End2End:
		add("rows", batch, cells, 6)
		rows := outputs[len(outputs)-1].Data
		for i := 5; i < len(rows); i += 6 { // now and then a class that the head does not have
			rows[i] = float32(math.Floor(float64(rows[i]) * float64(h.Classes+1)))
		}
	}
	return outputs
}

// launch decodes a batch with the kernel. The candidates of each picture come
// in the order of the Go decoder.
func launch(t *testing.T, m Machine, d *decode.Decoder, outputs []decode.Tensor, half bool, batch, width, height, capacity int, confs []float32) ([][]decode.Candidate, []kernels.Found) {
	t.Helper()
	views, err := d.Views(outputs, width, height)
	if err != nil {
		t.Fatal(err)
	}
	addresses := make([]kernels.Output, len(outputs))
	for i, o := range outputs {
		addresses[i].Half = half
		if half {
			addresses[i].Address = put(m, halves(o.Data))
		} else {
			addresses[i].Address = put(m, o.Data)
		}
	}
	placed, positions := make([]kernels.View, len(views)), 0
	for i, v := range views {
		positions = max(positions, v.Count)
		if placed[i], err = kernels.NewView(v, addresses); err != nil {
			t.Fatal(err)
		}
	}
	found, candidates := make([]kernels.Found, batch), make([]decode.Candidate, batch*capacity)
	thresholds := make([]kernels.Threshold, batch)
	for i := range thresholds {
		thresholds[i] = kernels.NewThreshold(d, confs[i])
	}
	var block kernels.Block
	to := kernels.Candidates{Found: put(m, found), Address: put(m, candidates), Capacity: capacity}
	kernels.SetDecode(&block, put(m, placed), put(m, thresholds), batch, d, to)
	m.Decode(&block, positions, len(placed), batch)
	m.Get(bytesOf(found), to.Found)
	m.Get(bytesOf(candidates), to.Address)
	each := make([][]decode.Candidate, batch)
	for i := range each {
		n, _ := kernels.Counts(&found[i])
		each[i] = candidates[i*capacity:][:min(n, capacity)]
		slices.SortFunc(each[i], func(a, b decode.Candidate) int {
			if a.Anchor != b.Anchor {
				return int(a.Anchor - b.Anchor)
			}
			return int(a.Class - b.Class)
		})
	}
	return each, found
}

// number returns numbers as maps hold them, now and then one that no map should.
func number(rng *rand.Rand, h decode.Head, odd bool) func() float32 {
	return func() float32 {
		if odd && rng.IntN(40) == 0 {
			odds := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, 88, 104, -104, 0, 65504, 1e-8}
			return odds[rng.IntN(len(odds))]
		}
		if h.SigmoidApplied {
			return rng.Float32()
		}
		return float32(rng.NormFloat64() * 3)
	}
}

// close reports whether two numbers are the same but for the last bit that
// exp of Go and exp of C may disagree about.
func close(a, b float32) bool {
	return a == b || math.Abs(float64(a-b)) <= 3e-7*math.Max(math.Abs(float64(a)), math.Abs(float64(b)))
}

// TestDecode holds the kernel to the Go decoder: every layout with random
// heads, 1 to 5 levels, 1 to 9 anchors, 1 to 1000 classes, both precisions, each
// picture with a threshold of its own.
func TestDecode(t *testing.T, m Machine) {
	rounds := 60
	if testing.Short() {
		rounds = 12
	}
	rng := rand.New(rand.NewPCG(3, 4))
	seen := 0
	for _, layout := range []decode.Layout{decode.Fused, decode.Split, decode.FiveD, decode.Rows, decode.RowsGrid, decode.Columns, decode.End2End} {
		for round := range rounds {
			classes := []int{1, 2, 3, 20, 80, 1000}[round%6]
			h, width, height := randomHead(rng, layout, classes)
			d, err := decode.NewDecoder(h)
			if err != nil {
				t.Fatal(err)
			}
			d.MultiLabel = rng.IntN(3) == 0
			batch, half := 1+rng.IntN(3), rng.IntN(2) == 0
			confs := make([]float32, batch)
			for i := range confs {
				confs[i] = []float32{0, 0.001, 0.25, 0.5, 0.9, 1}[rng.IntN(6)]
			}
			outputs := outputsOf(h, batch, width, height, number(rng, h, round%2 == 0))
			if half {
				for _, o := range outputs {
					for i, v := range o.Data {
						o.Data[i] = float16.Fromfloat32(v).Float32()
					}
				}
			}
			name := fmt.Sprintf("%s %s, %d levels, %d anchors, %d classes, half %v, multi-label %v, conf %g",
				h.Family, layout, len(h.Levels), h.AnchorsPerCell(), classes, half, d.MultiLabel, confs)
			wants, nonFinite := make([][]decode.Candidate, batch), make([]int, batch)
			most := 1
			for i := range batch {
				if wants[i], nonFinite[i], err = d.Decode(nil, outputs, i, width, height, confs[i]); err != nil {
					t.Fatal(err)
				}
				most = max(most, len(wants[i]))
			}
			got, found := launch(t, m, d, outputs, half, batch, width, height, most, confs)
			m.Free()
			for i, want := range wants {
				seen += len(want)
				if _, n := kernels.Counts(&found[i]); n != nonFinite[i] || len(got[i]) != len(want) {
					t.Fatalf("%s: picture %d has %d candidates and %d numbers that are not finite, want %d and %d",
						name, i, len(got[i]), n, len(want), nonFinite[i])
				}
				for k, w := range want {
					g := got[i][k]
					if g.Anchor != w.Anchor || g.Class != w.Class || !close(g.Score, w.Score) ||
						!close(g.Box.Width(), w.Box.Width()) || !close(g.Box.Height(), w.Box.Height()) ||
						!near(g.Box.X1, w.Box.X1) || !near(g.Box.Y1, w.Box.Y1) {
						t.Fatalf("%s: picture %d, candidate %d is %+v, want %+v", name, i, k, g, w)
					}
				}
			}
		}
	}
	if seen < 100*rounds {
		t.Errorf("only %d candidates were compared", seen)
	}
}

// near is close for corners, which can cancel to nearly nothing.
func near(a, b float32) bool { return close(a, b) || math.Abs(float64(a-b)) < 1e-3 }

// TestDecodeOverflow fills the candidates' room: what is there is good, and
// the count says how much room was needed.
func TestDecodeOverflow(t *testing.T, m Machine) {
	rng := rand.New(rand.NewPCG(5, 6))
	h, width, height := randomHead(rng, decode.Fused, 3)
	d, err := decode.NewDecoder(h)
	if err != nil {
		t.Fatal(err)
	}
	outputs := outputsOf(h, 2, width, height, number(rng, h, false))
	confs := []float32{0.1, 0.1}
	all, _ := launch(t, m, d, outputs, false, 2, width, height, 1<<16, confs)
	some, found := launch(t, m, d, outputs, false, 2, width, height, 5, confs)
	for i := range all {
		if n, _ := kernels.Counts(&found[i]); len(all[i]) <= 5 || n != len(all[i]) {
			t.Errorf("picture %d: %d candidates counted, want %d", i, n, len(all[i]))
		}
		if len(some[i]) != 5 {
			t.Errorf("picture %d: %d candidates written, want 5", i, len(some[i]))
		}
		for _, c := range some[i] {
			if !slices.Contains(all[i], c) {
				t.Errorf("picture %d: %+v is none of its candidates", i, c)
			}
		}
	}
}
