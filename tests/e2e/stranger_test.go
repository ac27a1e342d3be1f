package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// asStranger makes a command another user's, where the test may: it is root.
func asStranger(c *exec.Cmd) *exec.Cmd {
	if os.Getuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65531, Gid: 65531}}
	}
	c.Dir = "/"
	return c
}

// plant has the stranger put a file into a folder that everybody can write.
func plant(t *testing.T, path string, content []byte) {
	t.Helper()
	const put = `umask 022; mkdir -p "$(dirname "$1")" && cat >"$1" && chmod 755 "$1"`
	c := asStranger(exec.Command("sh", "-c", put, "sh", path))
	c.Stdin = bytes.NewReader(content)
	output(t, c)
}

// shared is a folder that everybody can write, made by root or the user.
func shared(t *testing.T, path string, sticky fs.FileMode) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o777|sticky)); err != nil {
		t.Fatal(err)
	}
	return path
}

// A stranger's library is all that TensorRT and ONNX Runtime are told by, and
// tells who loads it. It lies in each place that is searched; nothing runs it.
func TestStrangersLibraries(t *testing.T) {
	dir, err := os.MkdirTemp("", "trtdet-shared-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // a test's own folder is closed to others
		t.Fatal(err)
	}
	marker := filepath.Join(shared(t, filepath.Join(dir, "told"), 0), "ran")
	made := filepath.Join(t.TempDir(), "lib.so")
	cc := exec.Command("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", made)
	cc.Stdin = strings.NewReader(`#include <stdio.h>
		int tensorrt_version_10_1_0_4, tensorrt_version_1_7_1_116;
		int createInferBuilder_INTERNAL, createInferRuntime_INTERNAL, createNvOnnxParser_INTERNAL, OrtGetApiBase;
		__attribute__((constructor)) static void run(void) { fclose(fopen("` + marker + `", "w")); }`)
	output(t, cc)
	library, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	script := []byte("#!/bin/sh\n: >'" + marker + "'\n")
	linked, err := os.ReadFile(filepath.Join(top, "build/out/bin/trtdet")) // as make links it
	if err != nil {
		t.Fatalf("make build makes it: %v", err)
	}
	program := filepath.Join(dir, "trtdet")
	if err := os.WriteFile(program, linked, 0o755); err != nil {
		t.Fatal(err)
	}
	names := []string{"libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1",
		"libnvinfer.so.10", "libnvonnxparser.so.10", "libonnxruntime.so"}
	named := []string{"TRTDET_TENSORRT", "TRTDET_ONNXRUNTIME", "VIRTUAL_ENV", "LD_LIBRARY_PATH"} // which would be believed
	libraries := func(folder string) {
		for _, name := range names {
			plant(t, filepath.Join(folder, name), library)
		}
	}
	for _, c := range []struct {
		name     string
		program  string                       // below a folder of the case's own
		plant    func(folder string) []string // returns the environment
		reported bool                         // trtdet info names what was planted
	}{
		{"a checkout around the program", "shared/a/b/trtdet", func(folder string) []string {
			for _, place := range []string{"shared", "shared/a", "shared/a/b"} {
				plant(t, filepath.Join(folder, place, "go.mod"), []byte("module github.com/trtdet/trtdet\n"))
				libraries(filepath.Join(folder, place, "build/deps/tensorrt/lib"))
				libraries(filepath.Join(folder, place, "build/deps/onnxruntime/lib"))
			}
			return nil
		}, false},
		{"build/deps of the program's own checkout", "shared/build/out/bin/trtdet", func(folder string) []string {
			libraries(filepath.Join(folder, "shared/build/deps/tensorrt/lib"))
			libraries(filepath.Join(folder, "shared/build/deps/onnxruntime/lib"))
			return nil
		}, true},
		{"beside the program", "shared/trtdet", func(folder string) []string {
			libraries(filepath.Join(folder, "shared"))
			return nil
		}, true},
		{"lib beside the program's folder", "shared/bin/trtdet", func(folder string) []string {
			libraries(filepath.Join(folder, "shared/lib"))
			return nil
		}, true},
		{"lib/trtdet beside the program's folder", "shared/bin/trtdet", func(folder string) []string {
			libraries(filepath.Join(folder, "shared/lib/trtdet"))
			return nil
		}, true},
		{"a virtual environment", "shared/trtdet", func(folder string) []string {
			for _, below := range []string{"tensorrt_libs", "tensorrt_rtx_libs", "onnxruntime/capi"} {
				libraries(filepath.Join(folder, "shared/venv/lib/python3.11/site-packages", below))
			}
			return []string{"VIRTUAL_ENV=" + filepath.Join(folder, "shared/venv")}
		}, true},
		{"programs on the PATH", "own/trtdet", func(folder string) []string {
			for _, name := range []string{"python3", "ldconfig"} {
				plant(t, filepath.Join(folder, "shared", name), script)
			}
			return []string{"PATH=" + filepath.Join(folder, "shared") + ":" + os.Getenv("PATH")}
		}, true},
		{"the folder it runs in", "own/trtdet", func(folder string) []string {
			libraries(filepath.Join(folder, "shared"))
			plant(t, filepath.Join(folder, "shared/python3"), script)
			return []string{"PATH=.::" + os.Getenv("PATH")}
		}, false},
	} {
		for kind, sticky := range map[string]fs.FileMode{"open": 0, "sticky": fs.ModeSticky} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				folder := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-"))
				shared(t, filepath.Join(folder, "shared"), sticky)
				path := filepath.Join(folder, c.program)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				// the folders on the way are shared too
				for at := filepath.Dir(path); len(at) > len(folder); at = filepath.Dir(at) {
					if strings.Contains(c.program, "shared/") {
						shared(t, at, sticky)
					}
				}
				if err := os.Link(program, path); err != nil {
					t.Fatal(err)
				}
				environment := c.plant(folder)
				for _, args := range [][]string{
					{"info"}, {"info", "--format", "json"},
					{"build", carried(), "-o", filepath.Join(t.TempDir(), "m.engine"), "--quiet"},
					{"run", carried(), heldOut(t)[0], "--nosave"},
				} {
					run := exec.Command(path, args...)
					run.Dir = filepath.Join(folder, "shared")
					for _, v := range os.Environ() {
						if name, _, _ := strings.Cut(v, "="); !slices.Contains(named, name) {
							run.Env = append(run.Env, v)
						}
					}
					run.Env = append(run.Env, environment...)
					out, err := run.CombinedOutput() // without a library it says so, or takes one that root put there
					if _, ran := os.Stat(marker); ran == nil {
						os.Remove(marker)
						t.Errorf("trtdet %s ran what a stranger planted", strings.Join(args, " "))
					}
					if args[0] != "info" {
						continue
					}
					if err != nil {
						t.Errorf("%v\n%s", err, out)
					}
					told := strings.Contains(string(out), "passed over: ") &&
						strings.Contains(string(out), filepath.Join(folder, "shared"))
					if told != c.reported {
						t.Errorf("%s: planted libraries are named: %v, want %v:\n%s", args, told, c.reported, out)
					}
					if len(args) > 1 && !json.Valid(out) {
						t.Errorf("this is not JSON: %s", out)
					}
				}
			})
		}
	}
}

// Where the user names a file, what lies beside it may still be a stranger's.
func TestStrangersParser(t *testing.T) {
	dir := shared(t, filepath.Join(t.TempDir(), "shared"), fs.ModeSticky)
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "libnvinfer.so.10")
	cc := exec.Command("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", mine)
	cc.Stdin = strings.NewReader("int tensorrt_version_10_1_0_4;")
	output(t, cc)
	if os.Getuid() != 0 {
		t.Skip("not root: a file of another user cannot be made")
	}
	plant(t, filepath.Join(dir, "libnvonnxparser.so.10"), []byte("a stranger's"))
	o := must(t, "", "info", "--tensorrt-lib", mine)
	want := "its ONNX parser is passed over: " + filepath.Join(dir, "libnvonnxparser.so.10") + " belongs to user 65531"
	if !strings.Contains(o.stdout, want) {
		t.Errorf("info says\n%s", o.stdout)
	}
	o = must(t, "", "info", "--tensorrt-lib", dir) // the folder is the user's word
	if strings.Contains(o.stdout, "passed over") {
		t.Errorf("info says\n%s", o.stdout)
	}
}

// What trtdet env names goes into other programs.
func TestStrangersInstallation(t *testing.T) {
	prefix := t.TempDir()
	install := exec.Command("build/install.sh", prefix)
	install.Dir = top
	output(t, install)
	program := trtdet
	defer func() { trtdet = program }()
	trtdet = filepath.Join(prefix, "bin", "trtdet")
	cuda := []string{"env", "--cuda", filepath.Join(top, "build/deps/cuda")}
	must(t, "", cuda...)
	shared(t, filepath.Join(prefix, "lib"), 0)
	words := []string{
		"libtrtdet.a may be another user's: folder " + prefix + "/lib is writable by others", "another PREFIX=",
	}
	fails(t, "", 1, words, cuda...)
}
