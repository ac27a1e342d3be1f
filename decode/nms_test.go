package decode

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// slowNMS is the suppression as torchvision writes it, every box against
// every other, for the properties to be held to.
func slowNMS(candidates []Candidate, o NMSOptions) []Candidate {
	c := slices.Clone(candidates)
	if len(o.Classes) > 0 {
		c = slices.DeleteFunc(c, func(x Candidate) bool { return !slices.Contains(o.Classes, int(x.Class)) })
	}
	slices.SortStableFunc(c, func(a, b Candidate) int { return int(a.Anchor) - int(b.Anchor) })
	slices.SortStableFunc(c, func(a, b Candidate) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	c = c[:min(len(c), maxNMS)]
	var kept []Candidate
	for _, x := range c {
		if !slices.ContainsFunc(kept, func(k Candidate) bool { return slowIoU(k, x, o.Agnostic) > decimal(o.IoU) }) {
			kept = append(kept, x)
		}
	}
	if o.MaxDet > 0 {
		kept = kept[:min(len(kept), o.MaxDet)]
	}
	return kept
}

func slowIoU(a, b Candidate, agnostic bool) float64 {
	move := func(c Candidate) [4]float32 {
		d := float32(c.Class) * 7680
		if agnostic {
			d = 0
		}
		return [4]float32{c.Box.X1 + d, c.Box.Y1 + d, c.Box.X2 + d, c.Box.Y2 + d}
	}
	p, q := move(a), move(b)
	w := max(min(p[2], q[2])-max(p[0], q[0]), 0)
	h := max(min(p[3], q[3])-max(p[1], q[1]), 0)
	inter, first, second := w*h, (p[2]-p[0])*(p[3]-p[1]), (q[2]-q[0])*(q[3]-q[1])
	return float64(inter / (first + second - inter))
}

func TestNMSTable(t *testing.T) {
	box := func(x float32, score float32, class, anchor int32) Candidate {
		return Candidate{Box{x, 0, x + 10, 10}, score, class, anchor}
	}
	cases := []struct {
		name string
		in   []Candidate
		o    NMSOptions
		want []int32 // anchors
	}{
		{"nothing", nil, NMSOptions{IoU: 0.5}, nil},
		{"best suppresses", []Candidate{box(0, 0.5, 0, 0), box(1, 0.9, 0, 1)}, NMSOptions{IoU: 0.5}, []int32{1}},
		{"apart", []Candidate{box(0, 0.5, 0, 0), box(50, 0.9, 0, 1)}, NMSOptions{IoU: 0.5}, []int32{1, 0}},
		{"classes apart", []Candidate{box(0, 0.5, 0, 0), box(0, 0.9, 1, 1)}, NMSOptions{IoU: 0.5}, []int32{1, 0}},
		{"agnostic", []Candidate{box(0, 0.5, 0, 0), box(0, 0.9, 1, 1)}, NMSOptions{IoU: 0.5, Agnostic: true}, []int32{1}},
		{"ties keep anchor order", []Candidate{box(0, 0.5, 0, 7), box(40, 0.5, 0, 3), box(80, 0.5, 0, 5)}, NMSOptions{IoU: 0.5}, []int32{3, 5, 7}},
		{"a tie suppresses the later anchor", []Candidate{box(0, 0.5, 0, 7), box(0, 0.5, 0, 3)}, NMSOptions{IoU: 0.5}, []int32{3}},
		{"IoU of the threshold stays", []Candidate{box(0, 0.9, 0, 0), {Box{0, 0, 6, 10}, 0.8, 0, 1}}, NMSOptions{IoU: 0.5999}, []int32{0}},
		{"IoU 0.6 as YOLOv5 compares it", []Candidate{box(0, 0.9, 0, 0), {Box{0, 0, 6, 10}, 0.8, 0, 1}}, NMSOptions{IoU: 0.6}, []int32{0}},
		{"IoU 0.5 as YOLOv5 compares it", []Candidate{box(0, 0.9, 0, 0), {Box{0, 0, 5, 10}, 0.8, 0, 1}}, NMSOptions{IoU: 0.5}, []int32{0, 1}},
		{"suppressed do not suppress", []Candidate{box(0, 0.9, 0, 0), box(3, 0.8, 0, 1), box(6, 0.7, 0, 2)}, NMSOptions{IoU: 0.5}, []int32{0, 2}},
		{"max det", []Candidate{box(0, 0.5, 0, 0), box(50, 0.9, 0, 1), box(90, 0.7, 0, 2)}, NMSOptions{IoU: 0.5, MaxDet: 2}, []int32{1, 2}},
		{"wanted classes", []Candidate{box(0, 0.5, 0, 0), box(50, 0.9, 1, 1), box(90, 0.7, 2, 2)}, NMSOptions{IoU: 0.5, Classes: []int{2, 0}}, []int32{2, 0}},
		{"unwanted do not suppress", []Candidate{box(0, 0.5, 0, 0), box(0, 0.9, 1, 1)}, NMSOptions{IoU: 0.5, Agnostic: true, Classes: []int{0}}, []int32{0}},
		{"no area", []Candidate{{Box{5, 5, 5, 5}, 0.9, 0, 0}, {Box{5, 5, 5, 5}, 0.8, 0, 1}}, NMSOptions{IoU: 0}, []int32{0, 1}},
		{"a class no head has", []Candidate{box(0, 0.9, -3, 0), box(0, 0.8, 1<<30, 1), box(0, 0.7, -3, 2)}, NMSOptions{IoU: 0.5}, []int32{0, 1}},
	}
	for _, c := range cases {
		var got []int32
		for _, x := range NMS(slices.Clone(c.in), c.o) {
			got = append(got, x.Anchor)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: anchors %v, want %v", c.name, got, c.want)
		}
	}
}

// randomCandidates are boxes in clumps over a square of some side.
func randomCandidates(rng *rand.Rand, n, classes int, side float32) []Candidate {
	out := make([]Candidate, n)
	for i := range out {
		x, y := float32(rng.IntN(8))*side/8, float32(rng.IntN(8))*side/8
		x, y = x+rng.Float32()*side/20, y+rng.Float32()*side/20
		w, h := side*(0.02+rng.Float32()/5), side*(0.02+rng.Float32()/5)
		out[i] = Candidate{Box{x - w, y - h, x + w, y + h}, float32(rng.IntN(1000)+1) / 1000, int32(rng.IntN(classes)), int32(i)}
	}
	rng.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestNMSAgainstSlow holds the per-class lists, the packed boxes and the
// counting sort to the plain algorithm, also where boxes of different classes
// come to overlap.
func TestNMSAgainstSlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	kept := 0
	for i := range 120 {
		n := []int{1, 3, 30, 255, 256, 700}[i%6]
		classes := []int{1, 2, 80, 9000, 20000}[i%5]
		side := []float32{1e-3, 64, 640, 7000, 9000, 1e6}[(i/2)%6]
		o := NMSOptions{IoU: float32(i%11) / 10, MaxDet: []int{0, 10, 300}[i%3], Agnostic: i%4 == 3}
		if i%7 == 0 {
			o.Classes = []int{0, 5, 1}
		}
		in := randomCandidates(rng, n, classes, side)
		want := slowNMS(in, o)
		if got := NMS(slices.Clone(in), o); !slices.Equal(got, want) {
			t.Fatalf("%d boxes of %d classes over %g px, %+v: %d kept, want %d", n, classes, side, o, len(got), len(want))
		}
		kept += len(want)
	}
	if kept < 2000 {
		t.Errorf("only %d boxes were kept in all", kept)
	}
}

func TestNMSTakesTheBest30000(t *testing.T) {
	in := make([]Candidate, maxNMS+10)
	for i := range in {
		x := float32(i%200) * 20
		y := float32(i/200) * 20
		in[i] = Candidate{Box{x, y, x + 10, y + 10}, float32(i+1) / float32(len(in)+1), 0, int32(i)}
	}
	got := NMS(in, NMSOptions{IoU: 0.5})
	if len(got) != maxNMS || got[0].Anchor != maxNMS+9 || got[maxNMS-1].Anchor != 10 {
		t.Errorf("%d boxes, from anchor %d to %d", len(got), got[0].Anchor, got[len(got)-1].Anchor)
	}
}

func TestDescending(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	negativeZero := float32(math.Copysign(0, -1))
	if descending(0) != descending(negativeZero) || descending(nan) != math.MaxUint32 {
		t.Error("zeros differ or NaN is not last")
	}
	for range 100000 {
		a, b := math.Float32frombits(rng.Uint32()), math.Float32frombits(rng.Uint32())
		if a == a && b == b && (a > b) != (descending(a) < descending(b)) {
			t.Fatalf("%g and %g", a, b)
		}
	}
}

func TestDecimal(t *testing.T) {
	for x, want := range map[float32]float64{0.6: 0.6, 0.45: 0.45, 0.5: 0.5, 0: 0, 1: 1, 0.1: 0.1} {
		if got := decimal(x); got != want {
			t.Errorf("%g is %v", x, got)
		}
	}
}

// rawCandidates are boxes of any finite numbers: 18 bytes each.
func rawCandidates(raw []byte) []Candidate {
	var out []Candidate
	for ; len(raw) >= 18 && len(out) < 200; raw = raw[18:] {
		number := func(i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])) }
		c := Candidate{Box{number(0), number(1), number(2), number(3)}, float32(raw[16]) / 255, int32(raw[17] % 16), int32(len(out))}
		if b := c.Box; finite(b.X1) && finite(b.Y1) && finite(b.X2) && finite(b.Y2) {
			out = append(out, c)
		}
	}
	return out
}

// FuzzNMS: what is kept is a part of what came, each box once, best first; no
// two that may suppress each other overlap by more than the threshold; no
// number is NaN; and it is what the plain algorithm keeps.
func FuzzNMS(f *testing.F) {
	corners := func(boxes ...[4]float32) (raw []byte) {
		for i, b := range boxes {
			for _, v := range b {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
			}
			raw = append(raw, byte(255-i), byte(i%2))
		}
		return raw
	}
	f.Add(uint64(1), uint16(50), uint8(3), float32(640), float32(0.45), uint16(0), false, []byte{})
	f.Add(uint64(2), uint16(400), uint8(1), float32(1e-6), float32(0), uint16(5), true, []byte{})
	f.Add(uint64(3), uint16(300), uint8(200), float32(8000), float32(1), uint16(0), false, []byte{})
	f.Add(uint64(4), uint16(0), uint8(0), float32(1), float32(0.5), uint16(0), false,
		corners([4]float32{0, 0, 10, 10}, [4]float32{1, 1, 9, 9}, [4]float32{10, 10, 0, 0}, [4]float32{5, 5, 5, 5}))
	f.Add(uint64(5), uint16(3), uint8(1), float32(1), float32(0.1), uint16(2), true,
		corners([4]float32{-3e38, -3e38, 3e38, 3e38}, [4]float32{1e-45, 0, 1e-40, 1e-38}, [4]float32{-1e20, 0, 1e20, 1}))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, classes uint8, side, iou float32, maxDet uint16, agnostic bool, raw []byte) {
		// any side and threshold, folded into what they may be
		if !finite(side) {
			side = 640
		}
		side = min(max(float32(math.Abs(float64(side))), 1e-30), 1e30)
		if !finite(iou) {
			iou = 0.45
		}
		iou -= float32(math.Floor(float64(iou)))
		in := randomCandidates(rand.New(rand.NewPCG(seed, 1)), int(n%600), int(classes)+1, side)
		for _, c := range rawCandidates(raw) {
			c.Anchor += 600
			in = append(in, c)
		}
		o := NMSOptions{IoU: iou, MaxDet: int(maxDet), Agnostic: agnostic}
		got := NMS(slices.Clone(in), o)
		if maxDet > 0 && len(got) > int(maxDet) {
			t.Fatalf("%d kept, at most %d were asked for", len(got), maxDet)
		}
		came := map[int32]Candidate{}
		for _, c := range in {
			came[c.Anchor] = c
		}
		for i, a := range got {
			// NaN equals nothing, so there is none either
			if c, ok := came[a.Anchor]; !ok || c != a {
				t.Fatalf("%+v was not among the candidates, or twice among what is kept", a)
			}
			delete(came, a.Anchor)
			if i > 0 && (got[i-1].Score < a.Score || got[i-1].Score == a.Score && got[i-1].Anchor >= a.Anchor) {
				t.Fatalf("%+v stands before %+v", got[i-1], a)
			}
			for _, b := range got[:i] {
				if (agnostic || a.Class == b.Class) && slowIoU(a, b, agnostic) > decimal(iou) {
					t.Fatalf("%+v and %+v overlap by %g", a, b, slowIoU(a, b, agnostic))
				}
			}
		}
		if want := slowNMS(in, o); !slices.Equal(got, want) {
			t.Fatalf("%d kept, the plain algorithm keeps %d", len(got), len(want))
		}
	})
}
