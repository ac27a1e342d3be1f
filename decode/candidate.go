package decode

// Candidate is one prediction that passed the confidence threshold.
type Candidate struct {
	// Box is in pixels of the network's input and may reach over its edges.
	Box Box
	// Score is confidence x label, or the label alone where the family has no
	// confidence (YOLOv8).
	Score float32
	// Class is the label's index: the best one's, the first of equals, unless
	// the decoder is told MultiLabel.
	Class int32
	// Anchor is the row of the prediction among all of the picture's: level,
	// anchor, y, x, as YOLOv5 and YOLOX concatenate them; the row or column
	// itself where the graph has decoded.
	Anchor int32
}
