// Package eval measures detections against labels: COCO's average precisions,
// as pycocotools computes them, and YOLOv5's, as its val.py does. The two are
// different numbers and never share a name.
//
// It reads datasets (YOLOv5's data.yaml with label files, COCO's
// instances.json), takes them through a detector, and computes; it opens no
// model and draws nothing. Everything it returns is the caller's; nothing is
// shared between calls.
package eval
