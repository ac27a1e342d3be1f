package pipeline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/trtdet/trtdet/imaging"
)

// ErrNoPictures is wrapped when a folder or pattern has no picture in it.
var ErrNoPictures = errors.New("no pictures")

// Sources yields the paths of the pictures that args name, in the order given:
// a file is itself, a folder its pictures sorted by name (not those of folders
// in it), a pattern with *, ?, [...] or ** its matches, and "-" a list of
// paths on stdin, one a line. An argument that names nothing yields itself with
// an error, and the next argument follows. A file named outright is read
// whatever it is called, unless that is a video's name: what is no image yet is
// an error that wraps ErrNotImages.
func Sources(args []string, stdin io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, arg := range args {
			for path, err := range expand(arg, stdin) {
				if !yield(path, err) {
					return
				}
			}
		}
	}
}

func expand(arg string, stdin io.Reader) iter.Seq2[string, error] {
	if arg == "-" {
		return lines(stdin)
	}
	if err := foreign(arg); err != nil {
		return list(arg, nil, err)
	}
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir():
		paths, err := folder(arg)
		return list(arg, paths, err)
	case errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(arg, "*?["):
		paths, err := pattern(arg)
		return list(arg, paths, err)
	}
	// what cannot be read is reported when it is read
	return list(arg, []string{arg}, nil)
}

func list(arg string, paths []string, err error) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err != nil {
			yield(arg, err)
			return
		}
		for _, p := range paths {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func folder(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var paths []string
	inside := ""
	for _, e := range entries {
		if e.IsDir() {
			inside = fmt.Sprintf("; %s takes those of the folders in it", quoted(filepath.Join(path, "**/*")))
		}
		if !e.IsDir() && imaging.IsPicture(e.Name()) {
			paths = append(paths, filepath.Join(path, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: %w in this folder; known are %s%s", path, ErrNoPictures, strings.Join(imaging.Extensions, " "), inside)
	}
	return paths, nil
}

func pattern(glob string) ([]string, error) {
	folder, rest := literal(glob)
	matches, err := doublestar.Glob(os.DirFS(folder), rest, doublestar.WithFilesOnly())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", glob, err)
	}
	for i := range matches {
		matches[i] = filepath.Join(folder, matches[i])
	}
	paths := slices.DeleteFunc(matches, func(p string) bool { return !imaging.IsPicture(p) })
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: %w match this pattern", glob, ErrNoPictures)
	}
	slices.Sort(paths)
	return paths, nil
}

// literal parts a pattern at the folders on its way that are there as they are
// written: one may be called [old].
func literal(glob string) (folder, rest string) {
	folder, rest = ".", filepath.Clean(glob)
	if filepath.IsAbs(rest) {
		folder, rest = "/", rest[1:]
	}
	for {
		name, behind, more := strings.Cut(rest, "/")
		next := filepath.Join(folder, name)
		if info, err := os.Stat(next); !more || err != nil || !info.IsDir() {
			return folder, rest
		}
		folder, rest = next, behind
	}
}

// lines yields the paths that r lists as they come in, so that a program can
// feed them one at a time.
func lines(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		scanner := bufio.NewScanner(r)
		for scanner.Scan() {
			if path := strings.TrimRight(scanner.Text(), "\r"); path != "" && !yield(path, foreign(path)) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield("-", fmt.Errorf("reading the list of pictures from standard input: %w", err))
		}
	}
}
