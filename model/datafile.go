package model

import "fmt"

// DataFile is YOLOv5's data.yaml: where a dataset's pictures are and what its
// classes are called.
type DataFile struct {
	// Root is the folder that the splits' relative paths start from ("path"),
	// empty where the file has none.
	Root string
	// Splits has for "train", "val" and "test" the folders of pictures and
	// lists of pictures that the file names.
	Splits map[string][]string
	// Names of the classes, by index; nil where the file has none.
	Names []string
}

// ReadDataFile reads a data.yaml. The error wraps ErrHint or a file system's
// error and names the file.
func ReadDataFile(path string) (*DataFile, error) {
	top, err := readYAML(path)
	if err != nil {
		return nil, err
	}
	d := &DataFile{Splits: map[string][]string{}}
	if root := top["path"]; root != nil {
		d.Root = textOf(root)
	}
	for _, split := range []string{"train", "val", "test"} {
		switch v := top[split].(type) {
		case nil: // "test:" with nothing behind it is common
		case string:
			d.Splits[split] = []string{v}
		case []any:
			for _, item := range v {
				text, ok := item.(string)
				if !ok {
					return nil, fmt.Errorf("%s: %w: %s has %v, want paths", path, ErrHint, split, item)
				}
				d.Splits[split] = append(d.Splits[split], text)
			}
		default:
			return nil, fmt.Errorf("%s: %w: %s is %v, want a path or a list of paths", path, ErrHint, split, v)
		}
	}
	if v, ok := top["names"]; ok {
		if d.Names, err = namesOf(v); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", path, ErrHint, err)
		}
	}
	return d, nil
}
