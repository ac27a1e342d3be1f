package model

import (
	"fmt"
	"math"
	"strconv"
)

const maxClasses = 1 << 16

// namesOf makes a list of class names of a list of strings or of a dict from
// class id to name, as YOLOv5's data files and Ultralytics' metadata have them.
func namesOf(v any) ([]string, error) {
	switch v := v.(type) {
	case []any:
		if len(v) > maxClasses {
			return nil, fmt.Errorf("names has %d entries", len(v))
		}
		names := make([]string, len(v))
		for i, item := range v {
			names[i] = textOf(item)
		}
		return names, nil
	case []pair:
		if len(v) > maxClasses {
			return nil, fmt.Errorf("names has %d entries", len(v))
		}
		names, seen := make([]string, len(v)), make([]bool, len(v))
		for _, p := range v {
			id, ok := idOf(p.key)
			if !ok || id < 0 || id >= len(v) || seen[id] {
				return nil, fmt.Errorf("names has key %v, want each of the class ids 0 to %d once", p.key, len(v)-1)
			}
			names[id], seen[id] = textOf(p.value), true
		}
		return names, nil
	}
	return nil, fmt.Errorf("names is neither a list nor a dict")
}

// idOf takes a class id as a number or, as '0' in YAML and "0" in JSON, a text.
func idOf(key any) (int, bool) {
	if text, ok := key.(string); ok {
		id, err := strconv.Atoi(text)
		return id, err == nil
	}
	return intOf(key)
}

// textOf writes a name that a file has as a number or bool the way the file
// does.
func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

// intOf takes a whole number in whatever form a parser gives it.
func intOf(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case int64:
		return int(v), true
	case uint64:
		return int(v), v <= math.MaxInt32
	case float64:
		return int(v), v == math.Trunc(v) && math.Abs(v) < math.MaxInt32
	}
	return 0, false
}

func floatOf(v any) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	i, ok := intOf(v)
	return float64(i), ok
}

// anchorsOf makes anchors of YOLOv5's lists: per level either w, h, w, h, ... or
// [w, h] pairs.
func anchorsOf(v any) ([][][2]float32, error) {
	levels, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("anchors is not a list with one list per level")
	}
	var out [][][2]float32
	for i, l := range levels {
		list, ok := l.([]any)
		if !ok {
			return nil, fmt.Errorf("anchors of level %d is not a list", i)
		}
		var flat []float32
		for _, item := range list {
			both, ok := item.([]any)
			if !ok {
				both = []any{item}
			} else if len(both) != 2 {
				return nil, fmt.Errorf("anchors of level %d has a list of %d, want width and height", i, len(both))
			}
			for _, side := range both {
				f, ok := floatOf(side)
				if !ok || !(f > 0) || math.IsInf(f, 0) {
					return nil, fmt.Errorf("anchors of level %d has %v, want positive numbers", i, side)
				}
				flat = append(flat, float32(f))
			}
		}
		if len(flat) == 0 || len(flat)%2 != 0 {
			return nil, fmt.Errorf("anchors of level %d has %d numbers, want pairs of width and height", i, len(flat))
		}
		var level [][2]float32
		for k := 0; k < len(flat); k += 2 {
			level = append(level, [2]float32{flat[k], flat[k+1]})
		}
		out = append(out, level)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("anchors is empty")
	}
	return out, nil
}

// ascending puts the levels of a list of anchors in ascending order of size,
// as YOLOv5's check_anchor_order does: small anchors belong to small strides.
func ascending(anchors [][][2]float32) [][][2]float32 {
	out := append([][][2]float32{}, anchors...)
	area := func(level [][2]float32) (sum float64) {
		for _, a := range level {
			sum += float64(a[0]) * float64(a[1])
		}
		return sum / float64(len(level))
	}
	if len(out) > 1 && area(out[0]) > area(out[len(out)-1]) {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out
}

// defaultNames names classes as YOLOv5 does where a model has no names.
func defaultNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("class%d", i)
	}
	return names
}
