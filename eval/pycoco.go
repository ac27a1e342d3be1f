package eval

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// COCO's rules, by pycocotools/cocoeval.py.
const (
	cocoIoUs    = 10  // thresholds, 0.5 to 0.95
	cocoRecalls = 101 // points at which precision is taken
	cocoAreas   = 4
	cocoMaxDet  = 100
	cocoEps     = 0x1p-52 // numpy's spacing(1)
)

var (
	cocoIoU    = linspace(0.5, 0.95, cocoIoUs)
	cocoRecall = linspace(0, 1, cocoRecalls)
	// cocoArea are the bounds of all, small, medium and large, in pixels.
	cocoArea = [cocoAreas][2]float64{{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}}
	// cocoMaxDets are the detections of a class in a picture that take part.
	cocoMaxDets = [3]int{1, 10, cocoMaxDet}
)

// linspace is numpy's, whose roundings decide at the borders.
func linspace(from, to float64, n int) []float64 {
	v := make([]float64, n)
	step := (to - from) / float64(n-1)
	for i := range v {
		v[i] = float64(float64(i)*step) + from // rounded before the sum, whatever the processor could do at once
	}
	v[n-1] = to
	return v
}

type cocoResult struct {
	overall COCO
	classes []COCO
}

// evaluateCOCO computes the figures class by class, several classes at once.
func evaluateCOCO(d *Dataset, detections [][]Detection, classes int) cocoResult {
	groups := groupByClass(d, detections, classes)
	all := make([]cocoClass, classes)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			m := &cocoMatcher{}
			for c := int(next.Add(1)) - 1; c < classes; c = int(next.Add(1)) - 1 {
				all[c] = m.class(groups[c])
			}
		})
	}
	workers.Wait()
	result := cocoResult{overall: summarize(all)}
	for c := range all {
		result.classes = append(result.classes, summarize(all[c:c+1]))
	}
	return result
}

// cocoGroup is what there is of one class in one picture.
type cocoGroup struct {
	objects    []Object
	detections []Detection // best first, cocoMaxDet at most
}

// groupByClass sorts out, for each class, the pictures that have something of it.
func groupByClass(d *Dataset, detections [][]Detection, classes int) [][]cocoGroup {
	groups := make([][]cocoGroup, classes)
	last := make([]int, classes) // the picture of each class's last group
	for p := range d.Pictures {
		of := func(class int) *cocoGroup {
			if g := groups[class]; len(g) == 0 || last[class] != p {
				groups[class], last[class] = append(g, cocoGroup{}), p
			}
			return &groups[class][len(groups[class])-1]
		}
		for _, o := range d.Pictures[p].Objects {
			g := of(o.Class)
			g.objects = append(g.objects, o)
		}
		sorted := slices.Clone(detections[p])
		slices.SortStableFunc(sorted, byScore)
		for _, det := range sorted {
			if g := of(det.Class); len(g.detections) < cocoMaxDet {
				g.detections = append(g.detections, det)
			}
		}
	}
	return groups
}

func byScore(a, b Detection) int { return cmp.Compare(b.Score, a.Score) }

// cocoClass is what one class gives.
type cocoClass struct {
	// precision at each IoU, recall point and area, with 100 detections; there
	// is none where there are no objects.
	precision [cocoAreas][cocoIoUs][cocoRecalls]float64
	recall    [cocoAreas][len(cocoMaxDets)][cocoIoUs]float64
	objects   [cocoAreas]int
}

// cocoMatcher holds the memory that one class after the other needs.
type cocoMatcher struct {
	ious    []float64 // detection by detection, object by object
	order   []int     // of the objects: those that count come first
	ignored []bool
	matched []bool
	entries []cocoEntry
	// of one curve
	recalls, precisions []float64
}

// cocoEntry is a detection after matching; bit t of its masks is about IoU t.
type cocoEntry struct {
	score   float32
	rank    int32 // among the detections of its class in its picture
	hit     [cocoAreas]uint16
	ignored [cocoAreas]uint16
}

func (m *cocoMatcher) class(groups []cocoGroup) cocoClass {
	var c cocoClass
	m.entries = m.entries[:0]
	for i := range groups {
		m.match(&groups[i], &c)
	}
	slices.SortStableFunc(m.entries, func(a, b cocoEntry) int { return cmp.Compare(b.score, a.score) })
	for area := range cocoAreas {
		if c.objects[area] == 0 {
			continue
		}
		for k, most := range cocoMaxDets {
			for t := range cocoIoUs {
				m.accumulate(&c, area, k, most, t)
			}
		}
	}
	return c
}

// match gives each detection of one picture the best object that is left, at
// every IoU and for every range of areas.
func (m *cocoMatcher) match(g *cocoGroup, c *cocoClass) {
	n := len(g.objects)
	m.ious = slices.Grow(m.ious[:0], n*len(g.detections))[:n*len(g.detections)]
	boxes := make([][4]float64, len(g.detections))
	for i, d := range g.detections {
		boxes[i] = xywh(d)
		for k := range g.objects {
			m.ious[i*n+k] = cocoOverlap(boxes[i], &g.objects[k])
		}
	}
	base := len(m.entries)
	for i, d := range g.detections {
		m.entries = append(m.entries, cocoEntry{score: d.Score, rank: int32(i)})
	}
	entries := m.entries[base:]
	m.ignored, m.matched = slices.Grow(m.ignored[:0], n)[:n], slices.Grow(m.matched[:0], n)[:n]
	for area, bounds := range cocoArea {
		// objects that count before those that do not, each in the order given
		m.order = m.order[:0]
		for _, wanted := range []bool{false, true} {
			for k := range g.objects {
				o := &g.objects[k]
				if ignored := o.Crowd || o.Area < bounds[0] || o.Area > bounds[1]; ignored == wanted {
					m.ignored[k] = ignored
					m.order = append(m.order, k)
					if !ignored {
						c.objects[area]++
					}
				}
			}
		}
		for t, least := range cocoIoU {
			clear(m.matched)
			for i := range entries {
				e := &entries[i]
				best, overlap := -1, min(least, 1-1e-10)
				for _, k := range m.order {
					if m.matched[k] && !g.objects[k].Crowd {
						continue
					}
					if best >= 0 && !m.ignored[best] && m.ignored[k] {
						break // one that counts is better than any that does not
					}
					if iou := m.ious[i*n+k]; iou >= overlap {
						best, overlap = k, iou
					}
				}
				outside := false
				if best >= 0 {
					m.matched[best] = true
					e.hit[area] |= 1 << t
					outside = m.ignored[best]
				} else {
					size := boxes[i][2] * boxes[i][3]
					outside = size < bounds[0] || size > bounds[1]
				}
				if outside {
					e.ignored[area] |= 1 << t
				}
			}
		}
	}
}

// accumulate makes the recall, and with 100 detections the precision curve, of
// the sorted entries.
func (m *cocoMatcher) accumulate(c *cocoClass, area, k, most, t int) {
	hits, misses := 0, 0
	recalls, precisions := m.recalls[:0], m.precisions[:0]
	for i := range m.entries {
		e := &m.entries[i]
		if int(e.rank) >= most {
			continue
		}
		if e.ignored[area]>>t&1 == 0 {
			if e.hit[area]>>t&1 != 0 {
				hits++
			} else {
				misses++
			}
		}
		recalls = append(recalls, float64(hits)/float64(c.objects[area]))
		precisions = append(precisions, float64(hits)/(float64(hits+misses)+cocoEps))
	}
	m.recalls, m.precisions = recalls, precisions
	if len(recalls) > 0 {
		c.recall[area][k][t] = recalls[len(recalls)-1]
	}
	if most != cocoMaxDet {
		return
	}
	for i := len(precisions) - 1; i > 0; i-- {
		precisions[i-1] = max(precisions[i-1], precisions[i])
	}
	at := 0
	for r, recall := range cocoRecall {
		for at < len(recalls) && recalls[at] < recall {
			at++
		}
		if at == len(recalls) {
			break // what is never reached stays 0
		}
		c.precision[area][t][r] = precisions[at]
	}
}

// xywh is a detection's box as COCO files have it.
func xywh(d Detection) [4]float64 {
	x, y := float64(d.Box.X1), float64(d.Box.Y1)
	return [4]float64{x, y, float64(d.Box.X2) - x, float64(d.Box.Y2) - y}
}

// cocoOverlap is the IoU of a detection and an object; of a crowd only the
// detection's own area counts (maskApi.c, bbIou).
func cocoOverlap(d [4]float64, o *Object) float64 {
	w := min(d[2]+d[0], o.Box[2]+o.Box[0]) - max(d[0], o.Box[0])
	h := min(d[3]+d[1], o.Box[3]+o.Box[1]) - max(d[1], o.Box[1])
	if w <= 0 || h <= 0 {
		return 0
	}
	common, own := w*h, d[2]*d[3]
	if o.Crowd {
		return common / own
	}
	return common / (own + o.Box[2]*o.Box[3] - common)
}

// summarize takes the means over the classes that have objects.
func summarize(classes []cocoClass) COCO {
	precision := func(area int, ious ...int) Figure {
		var sum, n float64
		for c := range classes {
			if classes[c].objects[area] == 0 {
				continue
			}
			for _, t := range ious {
				for _, p := range classes[c].precision[area][t] {
					sum += p
				}
				n += cocoRecalls
			}
		}
		return Figure(sum / n)
	}
	recall := func(area, k int) Figure {
		var sum, n float64
		for c := range classes {
			if classes[c].objects[area] == 0 {
				continue
			}
			for _, r := range classes[c].recall[area][k] {
				sum += r
			}
			n += cocoIoUs
		}
		return Figure(sum / n)
	}
	every := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	return COCO{
		MAP50: precision(0, 0), MAP75: precision(0, 5), MAP5095: precision(0, every...),
		Small: precision(1, every...), Medium: precision(2, every...), Large: precision(3, every...),
		AR1: recall(0, 0), AR10: recall(0, 1), AR100: recall(0, 2),
		ARSmall: recall(1, 2), ARMedium: recall(2, 2), ARLarge: recall(3, 2),
	}
}
