package decode

import "math"

// view is a View of one picture of a batch: channel k of position p is at
// k*channel + p*position of each slice.
type view struct {
	box, conf, labels []float32 // each from its own first channel on; conf is nil where there is none
	channel, position int
	count             int   // positions
	anchor            int32 // number of the first one

	nx               int     // cells in a row of the grid
	stride           float32 // input pixels per cell
	anchorW, anchorH float32 // YOLOv5's anchor in input pixels
}

// of returns the view of one picture, once the outputs are known to be whole.
func (v View) of(outputs []Tensor, index int) (view, error) {
	placed := view{
		channel: v.Channel, position: v.Position, count: v.Count, anchor: v.Anchor,
		nx: v.NX, stride: v.Stride, anchorW: v.AnchorW, anchorH: v.AnchorH,
	}
	for _, part := range [...]struct {
		Part
		to *[]float32
	}{{v.Box, &placed.box}, {v.Conf, &placed.conf}, {v.Labels, &placed.labels}} {
		if part.Output < 0 {
			continue
		}
		data, err := outputs[part.Output].picture(index, part.Next)
		if err != nil {
			return view{}, err
		}
		if v.Count > 0 {
			*part.to = data[part.First:]
		}
	}
	return placed, nil
}

// scan is one picture's decoding under way.
type scan struct {
	dst       []Candidate
	nonFinite int

	conf       float32 // threshold of scores
	confBorder float32 // threshold of confidences as the tensor has them
	formula    Formula
	regMax     int
	classes    int
	labels     int  // labels of a prediction: one a class, or the score alone
	logits     bool // confidence and labels still need a sigmoid
	multiLabel bool // every label that passes makes a candidate

	chunk
}

// chunkSize is how many survivors are looked at together, so that labels that
// lie channel by channel are read in the order of memory.
const chunkSize = 256

// chunk holds the survivors of the objectness test.
type chunk struct {
	n        int
	position [chunkSize]int32
	class    [chunkSize]int32
	best     [chunkSize]float32 // best label so far
	before   [chunkSize]float32 // best label of the classes before class
	suspect  bool               // one of all the labels is NaN or infinite
}

// run decodes one view.
func (s *scan) run(v view) {
	if v.conf == nil {
		for start := 0; start < v.count; start += chunkSize {
			s.n = min(chunkSize, v.count-start)
			for i := range s.n {
				s.position[i] = int32(start + i)
			}
			s.flush(&v)
		}
	} else {
		s.scanConf(&v)
	}
}

// scanConf gathers the positions whose confidence passes.
func (s *scan) scanConf(v *view) {
	border, step := s.confBorder, v.position
	s.n = 0
	for p, at := 0, 0; p < v.count; p, at = p+1, at+step {
		c := v.conf[at]
		if c <= border && c >= -math.MaxFloat32 && c <= math.MaxFloat32 {
			continue
		}
		if !finite(c) {
			s.nonFinite++
			continue
		}
		s.position[s.n] = int32(p)
		if s.n++; s.n == chunkSize {
			s.flush(v)
			s.n = 0
		}
	}
	s.flush(v)
}

// flush finds the survivors' best labels and appends those that pass.
func (s *scan) flush(v *view) {
	if s.n == 0 {
		return
	}
	if v.position == 1 {
		s.labelsByChannel(v)
	} else {
		s.labelsByRow(v)
	}
	for i := range s.n {
		s.emit(v, i)
	}
}

// labelsByChannel reads labels channel by channel, each for all survivors.
func (s *scan) labelsByChannel(v *view) {
	n := s.n
	position, class, best, before := s.position[:n], s.class[:n], s.best[:n], s.before[:n]
	exponents := uint32(0)
	plane := v.labels[:v.count]
	for i, p := range position {
		x := plane[p]
		exponents |= exponentCarry(x)
		best[i], before[i], class[i] = x, float32(math.Inf(-1)), 0
	}
	for k := 1; k < s.labels; k++ {
		plane := v.labels[k*v.channel:][:v.count]
		for i, p := range position {
			x := plane[p]
			exponents |= exponentCarry(x)
			if x > best[i] {
				best[i], before[i], class[i] = x, best[i], int32(k)
			}
		}
	}
	s.suspect = exponents>>31 != 0
}

// labelsByRow reads each survivor's labels, which lie side by side.
func (s *scan) labelsByRow(v *view) {
	exponents := uint32(0)
	for i, p := range s.position[:s.n] {
		row := v.labels[int(p)*v.position:][:s.labels]
		best, before, class := row[0], float32(math.Inf(-1)), 0
		for k, x := range row {
			exponents |= exponentCarry(x)
			if x > best {
				best, before, class = x, best, k
			}
		}
		s.best[i], s.before[i], s.class[i] = best, before, int32(class)
	}
	s.suspect = exponents>>31 != 0
}

// exponentCarry has its highest bit set where x is NaN or infinite: all bits
// of its exponent are ones, and one more carries over.
func exponentCarry(x float32) uint32 { return math.Float32bits(x)&^(1<<31) + 1<<23 }

// finiteLabels reports whether all labels of survivor i are finite.
func (s *scan) finiteLabels(v *view, i int) bool {
	at := int(s.position[i]) * v.position
	for range s.labels {
		if !finite(v.labels[at]) {
			return false
		}
		at += v.channel
	}
	return true
}

// emit appends survivor i if its score passes and its numbers are finite.
func (s *scan) emit(v *view, i int) {
	p := int(s.position[i])
	if s.suspect && !s.finiteLabels(v, i) {
		s.nonFinite++
		return
	}
	conf := float32(1)
	if v.conf != nil {
		conf = s.probability(v.conf[p*v.position])
	}
	score := conf * s.probability(s.best[i])
	if !(score > s.conf) {
		return // nor do the other labels
	}
	at := p * v.position
	exponents := uint32(0)
	if s.formula != FormulaYOLOv8 { // what is wrong with a distance is wrong with its corner
		exponents = exponentCarry(v.box[at]) | exponentCarry(v.box[at+v.channel]) |
			exponentCarry(v.box[at+2*v.channel]) | exponentCarry(v.box[at+3*v.channel])
	}
	box := s.box(v, p)
	exponents |= exponentCarry(box.X1) | exponentCarry(box.Y1) | exponentCarry(box.X2) | exponentCarry(box.Y2) | exponentCarry(score)
	if exponents>>31 != 0 {
		s.nonFinite++
		return
	}
	anchor := v.anchor + int32(p)
	if s.formula == FormulaCorners {
		class := v.labels[at+v.channel]
		if !(class >= 0 && class < float32(s.classes)) {
			s.nonFinite++
			return
		}
		s.dst = append(s.dst, Candidate{Box: box, Score: score, Class: int32(class), Anchor: anchor})
		return
	}
	if !s.multiLabel {
		s.dst = append(s.dst, Candidate{Box: box, Score: score, Class: s.firstOfEquals(v, i, conf, score), Anchor: anchor})
		return
	}
	for k := range s.classes {
		x := v.labels[at+k*v.channel]
		if s.logits && x <= s.confBorder {
			continue // a sigmoid saved: no confidence lifts it over the threshold
		}
		if score := conf * s.probability(x); score > s.conf {
			s.dst = append(s.dst, Candidate{Box: box, Score: score, Class: int32(k), Anchor: anchor})
		}
	}
}

// firstOfEquals returns the first class whose score is the best one's.
// Different labels can round to one score, and then YOLOv5, which compares
// scores, takes the first of them.
func (s *scan) firstOfEquals(v *view, i int, conf, score float32) int32 {
	class := s.class[i]
	if class == 0 {
		return 0
	}
	if s.logits && s.best[i] < 8 && s.best[i]-s.before[i] > 0.01 && score > 1e-30 {
		return class // too far apart to round to one score
	}
	if conf*s.probability(s.before[i]) != score {
		return class
	}
	base := int(s.position[i]) * v.position
	for k := range class {
		if conf*s.probability(v.labels[base+int(k)*v.channel]) == score {
			return k
		}
	}
	return class
}

func (s *scan) probability(x float32) float32 {
	if s.logits {
		return sigmoid(x)
	}
	return x
}

// box decodes the box of position p, to corners in pixels of the input.
//
// YOLOv5 (models/yolo.py, Detect): y = sigmoid(p), xy = (2y - 0.5 + grid) *
// stride, wh = (2y)^2 * anchor. YOLOX (yolox_head.py, decode_outputs):
// xy = (p + grid) * stride, wh = exp(p) * stride. YOLOv8 (tal.py, dist2bbox):
// the sides lie (distance * stride) from the cell's middle.
func (s *scan) box(v *view, p int) Box {
	at := p * v.position
	if s.formula == FormulaYOLOv8 {
		x, y := float32(p%v.nx)+0.5, float32(p/v.nx)+0.5
		return Box{
			X1: (x - s.distance(v, at, 0)) * v.stride, Y1: (y - s.distance(v, at, 1)) * v.stride,
			X2: (x + s.distance(v, at, 2)) * v.stride, Y2: (y + s.distance(v, at, 3)) * v.stride,
		}
	}
	x, y, w, h := v.box[at], v.box[at+v.channel], v.box[at+2*v.channel], v.box[at+3*v.channel]
	switch s.formula {
	case FormulaCorners:
		return Box{X1: x, Y1: y, X2: w, Y2: h}
	case FormulaDecoded:
	case FormulaYOLOX:
		gx, gy := float32(p%v.nx), float32(p/v.nx)
		x, y = (x+gx)*v.stride, (y+gy)*v.stride
		w, h = float32(math.Exp(float64(w)))*v.stride, float32(math.Exp(float64(h)))*v.stride
	default:
		gx, gy := float32(p%v.nx)-0.5, float32(p/v.nx)-0.5
		x, y = s.probability(x)*2, s.probability(y)*2
		w, h = s.probability(w)*2, s.probability(h)*2
		x, y = (x+gx)*v.stride, (y+gy)*v.stride
		w, h = float32(w*w)*v.anchorW, float32(h*h)*v.anchorH
	}
	w, h = w/2, h/2
	return Box{X1: x - w, Y1: y - h, X2: x + w, Y2: y + h}
}

// distance decodes the distance in cells from a cell's middle to side k (left,
// top, right, bottom) of its box: the mean of a distribution over regMax bins.
func (s *scan) distance(v *view, at, k int) float32 {
	bins := v.box[at+k*s.regMax*v.channel:]
	if s.regMax == 1 {
		return bins[0]
	}
	greatest := bins[0]
	for j := 1; j < s.regMax; j++ {
		greatest = max(greatest, bins[j*v.channel])
	}
	var sum, mean float64
	for j := range s.regMax {
		weight := math.Exp(float64(bins[j*v.channel]) - float64(greatest))
		sum += weight
		mean += float64(weight * float64(j))
	}
	return float32(mean / sum)
}
