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
	names, missing, err := namesFrom(v, 0)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("names has nothing for class %d", missing[0])
	}
	return names, err
}

// metaNames makes class names of what a model's metadata says about them. It is
// free text of many exporters: ids may start at 1, which first says, and names
// be missing. The remark is for the user: why there are no names, or what was
// made of them.
func metaNames(text string) (names []string, first int, remark string) {
	v, err := parseLiteral(text)
	if err == nil && v == nil {
		return nil, 0, ""
	}
	var missing []int
	if err == nil {
		names, missing, err = namesFrom(v, 0)
	}
	if err != nil {
		var from1 error
		if names, missing, from1 = namesFrom(v, 1); from1 == nil {
			first, err = 1, nil
		}
	}
	switch {
	case err != nil:
		return nil, 0, fmt.Sprintf("metadata names is dropped: %v", err)
	case len(missing) > 0 && len(missing) == len(names):
		return nil, 0, "metadata names is dropped: every name in it is None"
	case len(missing) > 0:
		remark = fmt.Sprintf("%d of the metadata names are None; such a class is called by its number, as %s", len(missing), names[missing[0]])
	}
	return names, first, remark
}

// nameClasses returns the names that were said, or else invents some. Metadata
// that counts from 1 either means class 0 by 1, or has no name for class 0.
func (r *reading) nameClasses(classes int) []string {
	switch from1 := r.said.namesFrom1; len(from1) {
	case 0:
		if len(r.said.names) > 0 {
			return r.said.names
		}
	case classes:
		r.note("the ids of metadata names start at 1; its first name is taken for class 0")
		return from1
	case classes - 1:
		r.note("the ids of metadata names start at 1; class 0 has none and is called class0")
		return append(defaultNames(1), from1...)
	default:
		r.note("metadata names is dropped: it names classes 1 to %d, the outputs have room for %d", len(from1), classes)
	}
	r.note("the class names are invented: the file has none (--data names them)")
	return defaultNames(classes)
}

// namesFrom makes a list of class names; a dict's ids start at first. Where a
// name is None, missing has its place in the list, and it is a default name.
func namesFrom(v any, first int) (names []string, missing []int, err error) {
	var entries []pair
	switch v := v.(type) {
	case []pair:
		entries = v
	case []any:
		entries = entriesOf(v, first)
	default:
		return nil, nil, fmt.Errorf("names is neither a list nor a dict")
	}
	if len(entries) > maxClasses {
		return nil, nil, fmt.Errorf("names has %d entries", len(entries))
	}
	names = defaultNames(len(entries) + first)[first:]
	seen := make([]bool, len(entries))
	for _, p := range entries {
		id, ok := idOf(p.key)
		id -= first
		if !ok || id < 0 || id >= len(entries) || seen[id] {
			return nil, nil, fmt.Errorf("names has key %v, want each of the class ids 0 to %d once", p.key, len(entries)-1)
		}
		seen[id] = true
		switch p.value.(type) {
		case nil:
			missing = append(missing, id)
		case []any, []pair:
			return nil, nil, fmt.Errorf("names has a list or dict for class %d, want a text", id)
		default:
			names[id] = textOf(p.value)
		}
	}
	return names, missing, nil
}

// entriesOf gives the items of a list ids from first on. A list of (id, name),
// as an OrderedDict is written, has its own.
func entriesOf(list []any, first int) []pair {
	var own, counted []pair
	for i, item := range list {
		counted = append(counted, pair{int64(i + first), item})
		if two, ok := item.([]any); ok && len(two) == 2 {
			own = append(own, pair{two[0], two[1]})
		}
	}
	if len(own) == len(list) {
		return own
	}
	return counted
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
