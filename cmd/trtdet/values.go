package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/trtdet/trtdet/engine"
)

// parseImgSize reads "640" (square) or "H,W" in pixels.
func parseImgSize(s string) (height, width int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	parts := strings.Split(s, ",")
	sizes := make([]int, len(parts))
	for i, p := range parts {
		if sizes[i], err = strconv.Atoi(strings.TrimSpace(p)); err != nil || sizes[i] < 1 || sizes[i] > 1<<15 {
			return 0, 0, usagef("--imgsz %s: want one size, or HEIGHT,WIDTH, from 1 to 32768 pixels", s)
		}
	}
	switch len(sizes) {
	case 1:
		return sizes[0], sizes[0], nil
	case 2:
		return sizes[0], sizes[1], nil
	}
	return 0, 0, usagef("--imgsz %s: want one size, or HEIGHT,WIDTH", s)
}

// leastSize is the fewest bytes that a flag takes: less is a number without its
// unit, as YOLOv5's --workspace 4, which are gigabytes.
const leastSize = 1 << 20

// parseSize reads a flag's number of bytes, such as 512MiB; 0 for none.
func parseSize(flag, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	bytes, err := humanize.ParseBytes(s)
	if err != nil || bytes < leastSize || bytes > 1<<50 {
		return 0, usagef("--%s %s: want a size such as 512MiB or 4GiB", flag, s)
	}
	return int64(bytes), nil
}

// parseBatch reads "N", which is 1:N:N, or "MIN:OPT:MAX".
func parseBatch(s string) (engine.BatchRange, error) {
	if s == "" {
		return engine.BatchRange{}, nil
	}
	parts := strings.Split(s, ":")
	if len(parts) == 1 {
		parts = []string{"1", s, s}
	}
	var n [3]int
	var err error
	ok := len(parts) == 3
	for i := 0; ok && i < 3; i++ {
		n[i], err = strconv.Atoi(parts[i])
		ok = err == nil && n[i] >= 1 && (i == 0 || n[i] >= n[i-1])
	}
	if !ok {
		return engine.BatchRange{}, usagef("--batch %s: want N, or MIN:OPT:MAX with 1 <= MIN <= OPT <= MAX", s)
	}
	return engine.BatchRange{Min: n[0], Opt: n[1], Max: n[2]}, nil
}

// parseAnchors reads one list of widths and heights per level, levels apart by
// colons: "10,13,16,30:30,61,62,45".
func parseAnchors(s string) ([][][2]float32, error) {
	if s == "" {
		return nil, nil
	}
	var levels [][][2]float32
	for level := range strings.SplitSeq(s, ":") {
		numbers := strings.Split(level, ",")
		if len(numbers)%2 != 0 {
			return nil, usagef("--anchors: level %q has an odd number of sizes, want W,H,W,H,...", level)
		}
		var anchors [][2]float32
		for i := 0; i < len(numbers); i += 2 {
			w, err := parseSide(numbers[i])
			if err != nil {
				return nil, err
			}
			h, err := parseSide(numbers[i+1])
			if err != nil {
				return nil, err
			}
			anchors = append(anchors, [2]float32{w, h})
		}
		levels = append(levels, anchors)
	}
	return levels, nil
}

func parseSide(s string) (float32, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 32)
	if err != nil || !(v > 0) {
		return 0, usagef("--anchors: %q is no size in pixels", s)
	}
	return float32(v), nil
}

// parseThreshold checks a flag that lies between 0 and 1.
func parseThreshold(flag string, v float64) (*float32, error) {
	if !(v >= 0 && v <= 1) {
		return nil, usagef("--%s %v: want a number from 0 to 1", flag, v)
	}
	f := float32(v)
	return &f, nil
}

// parseScores reads "0.25,0.4,0.5".
func parseScores(flag, text string) ([]float32, error) {
	if text == "" {
		return nil, nil
	}
	var scores []float32
	for _, word := range strings.Split(text, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil {
			return nil, usagef("--%s %s: %q is no number; want scores from 0 to 1 such as 0.25,0.5", flag, text, word)
		}
		f, err := parseThreshold(flag, v)
		if err != nil {
			return nil, err
		}
		scores = append(scores, *f)
	}
	return scores, nil
}

// seconds writes a duration the way people read it.
func seconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.0f ms", s*1000)
	}
	return fmt.Sprintf("%.1f s", s)
}
