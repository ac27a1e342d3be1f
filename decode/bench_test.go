package decode

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// benchOutputs are the maps, fused or 5d, of a 640x640 input, 25200 predictions of 80
// classes, of which n have a confidence that passes 0.25.
func benchOutputs(layout Layout, n int) (Head, []Tensor) {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	head := Head{Family: YOLOv5, Layout: layout, Classes: 80}
	anchors := [][2]float32{{30, 60}, {60, 40}, {50, 90}}
	var outputs []Tensor
	rows := make([]bool, 25200)
	for _, i := range rng.Perm(len(rows))[:n] {
		rows[i] = true
	}
	at := 0
	for i, stride := range []int{8, 16, 32} {
		side := 640 / stride
		plane := side * side
		name := fmt.Sprint("map", i)
		head.Levels = append(head.Levels, Level{Stride: stride, Anchors: anchors, Outputs: []string{name}})
		data := make([]float32, 3*85*plane)
		for a := range 3 {
			for p := range plane {
				passes := rows[at]
				at++
				value := func(k int) float32 {
					if k == 4 {
						if passes {
							return 1 + rng.Float32()*3
						}
						return -6 - rng.Float32()
					}
					return rng.Float32()*4 - 1
				}
				for k := range 85 {
					i := (a*85+k)*plane + p
					if layout == FiveD {
						i = (a*plane+p)*85 + k
					}
					data[i] = value(k)
				}
			}
		}
		shape := []int{1, 255, side, side}
		if layout == FiveD {
			shape = []int{1, 3, side, side, 85}
		}
		outputs = append(outputs, Tensor{Name: name, Shape: shape, Data: data})
	}
	return head, outputs
}

func BenchmarkDecode(b *testing.B) {
	for _, layout := range []Layout{Fused, FiveD} {
		for _, n := range []int{100, 1000, 10000} {
			head, outputs := benchOutputs(layout, n)
			d, err := NewDecoder(head)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%d", layout, n), func(b *testing.B) {
				b.ReportAllocs()
				var dst []Candidate
				for b.Loop() {
					dst, _, _ = d.Decode(dst[:0], outputs, 0, 640, 640, 0.25)
				}
				if len(dst) < n/2 {
					b.Fatalf("%d candidates of %d", len(dst), n)
				}
			})
		}
	}
}

// benchCandidates are n boxes in groups of a dozen, as a detector's are.
func benchCandidates(n, classes int) []Candidate {
	rng := rand.New(rand.NewPCG(2, uint64(n)))
	out := make([]Candidate, n)
	groups := max(n/12, 1)
	for i := range out {
		g := rand.New(rand.NewPCG(3, uint64(rng.IntN(groups))))
		x, y, w, h := g.Float32()*640, g.Float32()*640, 20+g.Float32()*100, 20+g.Float32()*100
		class := g.IntN(classes)
		x, y = x+float32(rng.NormFloat64()*5), y+float32(rng.NormFloat64()*5)
		out[i] = Candidate{
			Box: Box{x - w/2, y - h/2, x + w/2, y + h/2}, Score: float32(math.Sqrt(rng.Float64())),
			Class: int32(class), Anchor: int32(i),
		}
	}
	return out
}

func BenchmarkNMS(b *testing.B) {
	for _, classes := range []int{80, 1} {
		for _, n := range []int{100, 1000, 10000} {
			candidates := benchCandidates(n, classes)
			work := make([]Candidate, n)
			b.Run(fmt.Sprintf("classes%d/%d", classes, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					copy(work, candidates)
					NMS(work, NMSOptions{IoU: 0.45, MaxDet: 1000})
				}
			})
		}
	}
}

// BenchmarkHead is what a network's outputs cost after it: decode and NMS.
func BenchmarkHead(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		head, outputs := benchOutputs(Fused, n)
		d, err := NewDecoder(head)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			var dst []Candidate
			for b.Loop() {
				dst, _, _ = d.Decode(dst[:0], outputs, 0, 640, 640, 0.25)
				NMS(dst, NMSOptions{IoU: 0.45, MaxDet: 1000})
			}
		})
	}
}
