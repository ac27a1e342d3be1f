package trt

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The parser beside a TensorRT is the one of its release, of which a folder may
// hold several; the newest TensorRT comes first.
func TestParserOfTheSameRelease(t *testing.T) {
	const library, parser = "libnvinfer.so.", "libnvonnxparser.so."
	for _, c := range []struct {
		name   string
		files  map[string]string // what each says, "" for nothing, ">FILE" for a link
		want   []string          // version, and parser or a part of the reason
		folder string
	}{
		{"two releases side by side", map[string]string{
			library + "10.9.0": "10_9_0_34", library + "10.16.1": "10_16_1_11", parser + "10.9.0": "", parser + "10.16.1": "",
		}, []string{"10.16.1.11 " + parser + "10.16.1", "10.9.0.34 " + parser + "10.9.0"}, "two"},
		{"the links lead to one release", map[string]string{
			library + "10": ">" + library + "10.16.1", library + "10.16.1": "10_16_1_11", library + "10.9.0": "10_9_0_34",
			parser + "10": ">" + parser + "10.9.0", parser + "10.9.0": "", parser + "10.16.1": "",
		}, []string{"10.16.1.11 " + parser + "10.16.1", "10.9.0.34 " + parser + "10"}, "links"},
		{"only another release's, by its name", map[string]string{library + "10": "10_16_1_11", parser + "10.9.0": ""},
			[]string{"10.16.1.11 its ONNX parser is not beside it: " + parser + "10.9.0 is of 10.9.0, not of 10.16.1"}, "name"},
		{"only another release's, by its symbol",
			map[string]string{library + "10": "10_16_1_11", parser + "10": "10_9_0_34"},
			[]string{"10.16.1.11 its ONNX parser is not beside it: " + parser + "10 is of 10.9.0.34, not of 10.16.1"}, "symbol"},
		{"a symbol is believed before a name", map[string]string{
			library + "10": "10_16_1_11", parser + "10.9.0": "10_16_1_11", parser + "10.16.1": "10_9_0_34"},
			[]string{"10.16.1.11 " + parser + "10.9.0"}, "lies"},
		{"one that does not say", map[string]string{library + "10": "10_16_1_11", parser + "10": ""},
			[]string{"10.16.1.11 " + parser + "10"}, "silent"},
		{"one that does not say, and the one",
			map[string]string{library + "10": "10_16_1_11", parser + "10": "", parser + "10.16.1": ""},
			[]string{"10.16.1.11 " + parser + "10.16.1"}, "both"},
		{"a folder that is a pattern", map[string]string{library + "10": "10_16_1_11", parser + "10.16.1": ""},
			[]string{"10.16.1.11 " + parser + "10.16.1"}, "TensorRT[10]"},
	} {
		folder := filepath.Join(t.TempDir(), c.folder)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, says := range c.files {
			target, link := strings.CutPrefix(says, ">")
			switch {
			case link:
				if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
					t.Fatal(err)
				}
			case says == "":
				fakeLibrary(t, folder, name, "int createNvOnnxParser_INTERNAL;")
			default:
				fakeLibrary(t, folder, name, "int tensorrt_version_"+says+";")
			}
		}
		var got []string
		for _, found := range Search(folder) {
			text := found.Version + " " + filepath.Base(found.ParserPath)
			if found.Err != nil {
				text = found.Version + " " + found.Err.Error()
			}
			got = append(got, text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got\n%q, want\n%q", c.name, got, c.want)
		}
	}
}

// The loader is told of no folder in which others can put a library, unless the
// user named it, and of none that it would read as something else.
func TestLoaderPathIsBelieved(t *testing.T) {
	made := func(folder string, mode os.FileMode) string {
		folder = filepath.Join(t.TempDir(), folder)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		fakeLibrary(t, folder, "libnvinfer.so.10", "int tensorrt_version_10_1_0_4;")
		fakeLibrary(t, folder, "libnvonnxparser.so.10", "int x;")
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		return folder
	}
	sticky, own, odd := made("sticky", 0o777|os.ModeSticky), made("own", 0o755), made("a:b", 0o755)
	open := made("open", 0o777)
	t.Setenv("LD_LIBRARY_PATH", "")
	for _, c := range []struct{ explicit, want string }{
		{own, own}, {filepath.Join(own, "libnvinfer.so.10"), own},
		{sticky, sticky}, {filepath.Join(sticky, "libnvinfer.so.10"), ""},
		{odd, ""},
	} {
		if got := LoaderPath(TensorRT10, c.explicit); got != c.want {
			t.Errorf("%s: %q, want %q", c.explicit, got, c.want)
		}
	}
	for found := range Candidates(TensorRT10, sticky) {
		again := slices.Collect(Candidates(TensorRT10, found.Explicit()))
		if len(again) != 1 || again[0].Path != found.Path || LoaderPath(TensorRT10, found.Explicit()) != sticky {
			t.Errorf("%s finds %v", found.Explicit(), again)
		}
	}
	// what the loader looks for by itself needs no word, and stays believed in another process
	t.Setenv(EnvLibrary, "")
	for _, folder := range []string{own, sticky, open} {
		t.Setenv("LD_LIBRARY_PATH", folder)
		for found := range Candidates(TensorRT10, "") {
			if found.Source != FromLoader {
				continue
			}
			again := slices.Collect(Candidates(TensorRT10, found.Explicit()))
			if found.Err != nil || len(again) != 1 || again[0].Path != found.Path || again[0].Err != nil {
				t.Errorf("%s: %+v finds %+v", folder, found, again)
			}
			if got := LoaderPath(TensorRT10, found.Explicit()); got != "" {
				t.Errorf("the loader's own folder: %q", got)
			}
			break
		}
	}
}

// A plan's own TensorRT is found behind a newer one.
func TestLoadVersion(t *testing.T) {
	var folders []string
	for _, version := range []string{"10.16.1", "10.9.0"} {
		folder := t.TempDir()
		folders = append(folders, folder)
		numbers := strings.Split(version, ".")
		fakeLibrary(t, folder, "libnvinfer.so.10", "int tensorrt_version_"+strings.Join(numbers, "_")+"_4;"+
			"int createInferBuilder_INTERNAL, createInferRuntime_INTERNAL;"+
			"int getInferLibVersion(void) { return "+numbers[0]+" * 10000 + "+numbers[1]+" * 100 + "+numbers[2]+"; }")
		fakeLibrary(t, folder, "libnvonnxparser.so.10", "int createNvOnnxParser_INTERNAL;")
	}
	t.Setenv(EnvLibrary, strings.Join(folders, string(filepath.ListSeparator)))
	for version, want := range map[string]string{"10.9.0": "10.9.0", "10.16.1": "10.16.1", "10.12.0": "10.16.1"} {
		l, err := LoadVersion(TensorRT10, version)
		if err != nil {
			t.Fatal(err)
		}
		if l.Version() != want {
			t.Errorf("for %s it is %s, want %s", version, l.Version(), want)
		}
		l.Close() // cannot fail
	}
}

// A library of the folder that we are in is that file, not the loader's of its name.
func TestLoadTakesTheFileThatItFound(t *testing.T) {
	folder := t.TempDir()
	fakeLibrary(t, folder, "libnvinfer.so.10", "int tensorrt_version_10_1_0_4;")
	fakeLibrary(t, folder, "libnvonnxparser.so.10", "int x;")
	t.Chdir(folder)
	for _, explicit := range []string{"libnvinfer.so.10", "."} {
		_, err := Load(TensorRT10, explicit)
		want := filepath.Join(folder, "libnvinfer.so.10") + " has no symbol createInferBuilder_INTERNAL"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", explicit, err, want)
		}
	}
	if all := Search(folder + "/libnvinfer.so.10"); len(all) != 1 || all[0].Err != nil {
		t.Errorf("found %+v", all)
	}
}

func TestSearchPassesOverPipes(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "libnvinfer.so.10")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	for explicit, want := range map[string]string{
		pipe: "not a regular file", filepath.Dir(pipe): "no TensorRT in this folder",
	} {
		if all := Search(explicit); len(all) != 1 || all[0].Err == nil || all[0].Err.Error() != want {
			t.Errorf("%s: %+v", explicit, all)
		}
	}
}
