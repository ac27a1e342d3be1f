package eval

import (
	"cmp"
	"slices"
)

// Confusion counts what the objects of each class were taken for, by
// YOLOv5's rules (utils/metrics.py, ConfusionMatrix): detections over a
// confidence of 0.25, IoU over 0.45 whatever the class.
type Confusion struct {
	// Counts[detected][actual]; the last row and column are the background:
	// objects that were missed, detections of nothing.
	Counts [][]int
}

const (
	confusionConf = 0.25
	confusionIoU  = 0.45
)

func confusion(d *Dataset, detections [][]Detection, classes int) Confusion {
	c := Confusion{Counts: make([][]int, classes+1)}
	for i := range c.Counts {
		c.Counts[i] = make([]int, classes+1)
	}
	for p := range d.Pictures {
		c.picture(d.Pictures[p].counted(), detections[p], classes)
	}
	return c
}

func (c *Confusion) picture(objects []Object, detections []Detection, background int) {
	type pair struct {
		object, detection int
		iou               float32
	}
	var pairs []pair
	for i, o := range objects {
		box := corners(o)
		for k, d := range detections {
			if d.Score > confusionConf {
				if iou := v5Overlap(box, d); iou > confusionIoU {
					pairs = append(pairs, pair{i, k, iou})
				}
			}
		}
	}
	// each detection keeps its best object, then each object its best detection
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.iou, a.iou) })
	picked := map[int]bool{}
	pairs = slices.DeleteFunc(pairs, func(p pair) bool { twice := picked[p.detection]; picked[p.detection] = true; return twice })
	found := map[int]int{}
	for _, p := range pairs {
		if _, taken := found[p.object]; !taken {
			found[p.object] = p.detection
		}
	}
	used := map[int]bool{}
	for i, o := range objects {
		if k, ok := found[i]; ok {
			used[k] = true
			c.Counts[detections[k].Class][o.Class]++
		} else {
			c.Counts[background][o.Class]++
		}
	}
	for k, d := range detections {
		if d.Score > confusionConf && !used[k] {
			c.Counts[d.Class][background]++
		}
	}
}
