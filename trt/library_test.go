package trt

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rtx loads the real TensorRT-RTX; a machine without it has not been set up.
func rtx(t testing.TB) *Library {
	t.Helper()
	l, err := Load(RTX, "")
	if err != nil {
		t.Fatalf("these tests need TensorRT-RTX, which make setup fetches: %v", err)
	}
	t.Cleanup(func() { l.Close() }) // cannot fail
	return l
}

func rtxBuilder(t testing.TB, log *slog.Logger) *Builder {
	t.Helper()
	b, err := rtx(t).NewBuilder(log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() }) // cannot fail
	return b
}

// fakeLibrary compiles a shared library that only claims to be a TensorRT.
func fakeLibrary(t testing.TB, folder, name, symbols string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	cc := exec.Command("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", path)
	cc.Stdin = strings.NewReader(symbols)
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return path
}

func TestSearchGiven(t *testing.T) {
	real := rtx(t).Path()
	empty := t.TempDir()
	text := writeFile(t, "notes.txt", []byte("not a library, but longer than the header of one would be, for sure"))
	other := fakeLibrary(t, t.TempDir(), "libfoo.so", "int foo;")
	old := fakeLibrary(t, t.TempDir(), "libnvinfer.so.9", "int tensorrt_version_9_1_0_4;")
	alone := fakeLibrary(t, t.TempDir(), "libnvinfer.so.10", "int tensorrt_version_10_1_0_4;")
	pair := t.TempDir()
	fakeLibrary(t, pair, "libnvinfer.so.11", "int tensorrt_version_11_2_3_4;")
	fakeLibrary(t, pair, "libnvonnxparser.so.11", "int x;")
	foreign := fakeLibrary(t, t.TempDir(), "libnvinfer.so.10", "int tensorrt_version_10_1_0_4;")
	elf, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	elf[18], elf[19] = 8, 0 // e_machine: MIPS
	if err := os.WriteFile(foreign, elf, 0o600); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name, given string
		flavor      Flavor
		version     string
		reason      string // "" = usable
	}{
		{"the real library", real, RTX, "1.7.1.116", ""},
		{"its folder", filepath.Dir(real), RTX, "1.7.1.116", ""},
		{"a folder with another flavor", pair, TensorRT11, "11.2.3.4", ""},
		{"nothing there", "/no/such/folder", "", "", "no such file or directory"},
		{"an empty folder", empty, "", "", "no TensorRT in this folder"},
		{"a text file", text, "", "", "not a shared library"},
		{"another library", other, "", "", "not a TensorRT library"},
		{"an old TensorRT", old, "", "9.1.0.4", "this program knows"},
		{"no parser", alone, TensorRT10, "10.1.0.4", "ONNX parser libnvonnxparser.so.10 is not beside it"},
		{"another machine's", foreign, "", "", "built for EM_MIPS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := Search(c.given)
			if len(all) != 1 {
				t.Fatalf("found %d libraries: %+v", len(all), all)
			}
			got := all[0]
			if got.Flavor != c.flavor || got.Version != c.version || got.Source != FromFlag {
				t.Errorf("found %+v", got)
			}
			switch {
			case c.reason == "" && (got.Err != nil || got.ParserPath == ""):
				t.Errorf("not usable: %+v", got)
			case c.reason != "" && (got.Err == nil || !strings.Contains(got.Err.Error(), c.reason)):
				t.Errorf("reason %v, want %q", got.Err, c.reason)
			}
		})
	}
}

func TestSearchEnv(t *testing.T) {
	real := rtx(t).Path()
	t.Setenv(EnvLibrary, "/no/such/folder"+string(filepath.ListSeparator)+filepath.Dir(real))
	all := Search("")
	if len(all) != 2 || all[0].Err == nil || all[1].Err != nil || all[1].Source != FromEnv {
		t.Errorf("found %+v", all)
	}
}

func TestSearchFindsTheCheckouts(t *testing.T) {
	t.Setenv(EnvLibrary, "")
	for _, found := range Search("") {
		if found.Flavor == RTX && found.Source == FromDeps && found.Err == nil {
			return
		}
	}
	t.Errorf("no TensorRT-RTX in build/deps (make setup puts it there): %+v", Search(""))
}

func TestLoaderPath(t *testing.T) {
	install := t.TempDir()
	lib := filepath.Join(install, "lib")
	if err := os.Mkdir(lib, 0o700); err != nil {
		t.Fatal(err)
	}
	library := fakeLibrary(t, lib, "libnvinfer.so.10", "int tensorrt_version_10_1_0_4;")
	fakeLibrary(t, lib, "libnvonnxparser.so.10", "int x;")
	links := t.TempDir()
	link := filepath.Join(links, "libnvinfer.so.10")
	if err := os.Symlink(library, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvLibrary, "")
	checkouts := LoaderPath(Auto, "")
	if !strings.HasSuffix(strings.SplitN(checkouts, ":", 2)[0], "build/deps/tensorrt/lib") {
		t.Errorf("nothing named: %q, want the checkout's", checkouts)
	}
	for _, c := range []struct{ name, explicit, env, before, want string }{
		{"a file", library, "", "", lib},
		{"an installation", install, "", "", lib},
		{"a link", link, "", "", links + ":" + lib},
		{"two places in the variable", "", "/no/such/folder:" + install, "", lib},
		{"beside the loader's own", library, "", "/other", lib + ":/other"},
		{"no TensorRT there", "/no/such/folder", "", "/other", ""},
	} {
		t.Setenv(EnvLibrary, c.env)
		t.Setenv("LD_LIBRARY_PATH", c.before)
		if got := LoaderPath(Auto, c.explicit); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := LoaderPath(RTX, install); got != "" {
		t.Errorf("another flavor's: %q, want none", got)
	}
}

func TestLoadRefuses(t *testing.T) {
	rtxFolder := filepath.Dir(rtx(t).Path())
	hollow := t.TempDir()
	fakeLibrary(t, hollow, "libnvinfer.so.10", "int tensorrt_version_10_1_0_4;")
	fakeLibrary(t, hollow, "libnvonnxparser.so.10", "int x;")
	liar := t.TempDir() // says 10 to who looks and 9 to who asks
	fakeLibrary(t, liar, "libnvinfer.so.10", "int tensorrt_version_10_1_0_4; int createInferBuilder_INTERNAL, createInferRuntime_INTERNAL;"+
		"int getInferLibVersion(void) { return 90104; }")
	fakeLibrary(t, liar, "libnvonnxparser.so.10", "int createNvOnnxParser_INTERNAL;")

	for _, c := range []struct {
		name, given string
		flavor      Flavor
		kind        error
		words       string
	}{
		{"an unknown flavor", "", "9", ErrInvalid, "use auto, rtx, 10 or 11"},
		{"nothing there", "/no/such/folder", Auto, ErrNoLibrary, "/no/such/folder: no such file or directory"},
		{"another flavor there", rtxFolder, TensorRT11, ErrNoLibrary, "it is TensorRT-RTX 1.7.1.116, not TensorRT 11"},
		{"no symbols", hollow, TensorRT10, ErrNoLibrary, "no symbol createInferBuilder_INTERNAL"},
		{"a lie", liar, TensorRT10, ErrNoLibrary, "is version 9.1.4, not a TensorRT 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := Load(c.flavor, c.given)
			if err == nil {
				l.Close() // cannot fail
				t.Fatal("loaded")
			}
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
			var e *Error
			if !errors.As(err, &e) || e.Op != "load" {
				t.Errorf("%#v is no *Error about loading", err)
			}
		})
	}
}

func TestLoadAuto(t *testing.T) {
	folder := filepath.Dir(rtx(t).Path())
	ten := t.TempDir() // comes first, but cannot be loaded
	fakeLibrary(t, ten, "libnvinfer.so.10", "int tensorrt_version_10_1_0_4;")
	fakeLibrary(t, ten, "libnvonnxparser.so.10", "int x;")
	t.Setenv(EnvLibrary, ten+string(filepath.ListSeparator)+folder)
	for _, f := range []Flavor{Auto, "", RTX} {
		l, err := Load(f, "")
		if err != nil {
			t.Fatal(err)
		}
		if l.Flavor() != RTX || l.Version() != "1.7.1.116" || filepath.Dir(l.Path()) != folder {
			t.Errorf("%q: loaded %s %s from %s", f, l.Flavor(), l.Version(), l.Path())
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := l.NewBuilder(nil); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed library's builder: %v", err)
		}
	}
}

// Without a GPU TensorRT 10 gives out no builder, and its runtime a bad
// pointer: it must not be asked.
func TestNothingOf10WithoutDriver(t *testing.T) {
	driver := DriverError()
	if driver == nil {
		t.Skip("this machine has a GPU")
	}
	if !errors.Is(driver, ErrNoDriver) {
		t.Errorf("driver: %v", driver)
	}
	folder := t.TempDir()
	fakeLibrary(t, folder, "libnvinfer.so.10", "#include <stdlib.h>\nint tensorrt_version_10_1_0_4;"+
		"void* createInferBuilder_INTERNAL(void) { abort(); } void* createInferRuntime_INTERNAL(void) { abort(); }"+
		"int getInferLibVersion(void) { return 100100; }")
	fakeLibrary(t, folder, "libnvonnxparser.so.10", "int createNvOnnxParser_INTERNAL;")
	l, err := Load(TensorRT10, folder)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // cannot fail
	_, err = l.NewBuilder(slog.New(slog.DiscardHandler))
	if _, err := l.LoadEngine([]byte("plan"), nil, nil); !errors.Is(err, ErrNoDriver) || !strings.Contains(err.Error(), "TensorRT 10 runs engines only on an NVIDIA GPU") {
		t.Errorf("engine: %v", err)
	}
	if !errors.Is(err, ErrNoDriver) || !strings.Contains(err.Error(), "TensorRT-RTX builds without one") {
		t.Errorf("%v", err)
	}
}

func TestFlavors(t *testing.T) {
	for _, f := range Flavors() {
		parsed, err := ParseFlavor(f.String())
		if err != nil || parsed != f {
			t.Errorf("%q reads as %q, %v", f, parsed, err)
		}
		want := map[Flavor]string{RTX: "1.", TensorRT10: "10.", TensorRT11: "11."}[f]
		if want == "" || !strings.HasPrefix(f.HeaderVersion(), want) {
			t.Errorf("%s was compiled with headers %q", f.Title(), f.HeaderVersion())
		}
	}
	for text, want := range map[string]Flavor{"": Auto, "AUTO": Auto, "Rtx": RTX, "10": TensorRT10} {
		if got, err := ParseFlavor(text); got != want || err != nil {
			t.Errorf("%q reads as %q, %v", text, got, err)
		}
	}
	if _, err := ParseFlavor("8"); !errors.Is(err, ErrInvalid) {
		t.Errorf("8: %v", err)
	}
}

func TestIgnored(t *testing.T) {
	l := rtx(t)
	level := 2
	if got := l.Ignored(BuildConfig{TimingCache: []byte{}, OptLevel: &level}); len(got) != 2 {
		t.Errorf("ignored: %q", got)
	}
	if got := l.Ignored(BuildConfig{}); got != nil {
		t.Errorf("ignored: %q", got)
	}
}
