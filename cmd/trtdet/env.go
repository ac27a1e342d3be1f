package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/internal/trust"
)

// oldestCUDA is the CUDA_VERSION of cuda.h that trtdet's Go code needs.
const oldestCUDA = 12000

func envCommand() *cli.Command {
	return &cli.Command{
		Name:  "env",
		Usage: "print what a Go module of your own is built with",
		Description: "Where trtdet was installed (make install PREFIX=...), prints CGO_CFLAGS and CGO_LDFLAGS for go build, as a\n" +
			"shell reads them. What they hold already stays in them. The cuda.h that was installed is taken, or --cuda's; none\n" +
			"of NVIDIA's libraries is needed. On an error the shell gets \"false\", so that eval fails too.\n\n" +
			"Examples:\n" +
			"  flags=$(trtdet env) && eval \"$flags\" && go build\n" +
			"  trtdet env --cuda /usr/local/cuda-13.0",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "cuda", Usage: "`FOLDER` of CUDA, or of its cuda.h", DefaultText: "that of make install, else $CUDA_HOME, $CUDA_PATH, /usr/local/cuda, /usr"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT`: shell or json", Value: "shell"},
		},
		Action: printEnv,
	}
}

// forShell reports whether a command line, a wrong one too, is of trtdet env whose
// output a shell evaluates.
func forShell(args []string) bool {
	at := commandAt(args)
	if at == 0 || args[at] != "env" {
		return false
	}
	for i, arg := range args {
		name, value, here := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if name == "format" && arg != name {
			return value != "json" && (here || i+1 == len(args) || args[i+1] != "json")
		}
	}
	return true
}

// goEnv is the environment of a go build.
type goEnv struct {
	CFlags  string `json:"CGO_CFLAGS"`
	LDFlags string `json:"CGO_LDFLAGS"`
}

func printEnv(c *cli.Context) error {
	format := c.String("format")
	if format != "shell" && format != "json" {
		return usagef("--format %s: want shell or json", format)
	}
	if c.NArg() > 0 {
		return usagef("env: want no arguments, got %d; see trtdet env --help", c.NArg())
	}
	prefix, err := installedIn()
	if err != nil {
		return err
	}
	cuda, err := cudaHeaders(c.String("cuda"), filepath.Join(prefix, "include/trtdet/nvidia"))
	if err != nil {
		return err
	}
	// ours before CUDA's, which it includes
	libraries := filepath.Join(prefix, "lib/trtdet")
	e := goEnv{
		CFlags: join(cgoDefault("CGO_CFLAGS"), "-Wno-deprecated-declarations",
			flag("-I", filepath.Join(prefix, "include/trtdet/cuda")), flag("-I", cuda)),
		// the program looks there for ONNX Runtime and TensorRT when it runs
		LDFlags: join(flag("-L", libraries), flag("-Wl,-rpath,", libraries), cgoDefault("CGO_LDFLAGS")),
	}
	if format == "json" {
		return printJSON(c.App.Writer, e)
	}
	fmt.Fprintf(c.App.Writer, "export CGO_CFLAGS=%s\nexport CGO_LDFLAGS=%s\n", shellQuoted(e.CFlags), shellQuoted(e.LDFlags))
	return nil
}

// installedIn returns the PREFIX that this program lies in.
func installedIn() (string, error) {
	program, err := os.Executable()
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err != nil {
		return "", err
	}
	prefix := filepath.Dir(filepath.Dir(program))
	library := filepath.Join(prefix, "lib/trtdet/libtrtdet.a")
	if _, err := os.Stat(library); err != nil {
		return "", fmt.Errorf("%s was not installed, there is no %s: run make install PREFIX=... in trtdet's checkout, and the trtdet that it installs",
			program, library)
	}
	// what is built with them runs them
	for _, file := range []string{library, filepath.Join(prefix, "include/trtdet/cuda/cuda.h")} {
		if err := trust.File(file); err != nil {
			return "", fmt.Errorf("%s may be another user's: %w; run make install with another PREFIX=DIR", file, err)
		}
	}
	return prefix, nil
}

var cudaVersion = regexp.MustCompile(`(?m)^\s*#\s*define\s+CUDA_VERSION\s+(\d+)`)

// cudaHeaders returns the folder of cuda.h: in the place that was given, else
// where make install put one, else in the usual places, of which one that is too
// old hides no other.
func cudaHeaders(given, installed string) (string, error) {
	places := []string{given}
	if given == "" {
		places = []string{installed, os.Getenv("CUDA_HOME"), os.Getenv("CUDA_PATH"), "/usr/local/cuda", "/usr"}
	}
	places = slices.DeleteFunc(places, func(place string) bool { return place == "" })
	var tooOld error
	for _, place := range places {
		for _, folder := range []string{filepath.Join(place, "include"), place} {
			header, err := os.ReadFile(filepath.Join(folder, "cuda.h"))
			if err != nil {
				continue
			}
			var number int
			if found := cudaVersion.FindSubmatch(header); found != nil {
				fmt.Sscan(string(found[1]), &number) // digits
			}
			if number >= oldestCUDA {
				return filepath.Abs(folder)
			}
			tooOld = cmp.Or(tooOld, fmt.Errorf("%s is of CUDA %d.%d, 12 or newer is needed: name another with --cuda",
				filepath.Join(folder, "cuda.h"), number/1000, number%1000/10))
		}
	}
	if tooOld != nil {
		return "", tooOld
	}
	return "", fmt.Errorf("no cuda.h in %s: install CUDA's headers (pip install nvidia-cuda-runtime has them, in nvidia/cu13/include) and name their folder with --cuda",
		strings.Join(places, ", "))
}

// cgoDefault is what a variable holds, or what go takes where it is not set.
func cgoDefault(name string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return "-O2 -g"
}

func join(flags ...string) string { return strings.Join(flags, " ") }

// flag is one flag with a path, as go splits it from others.
func flag(name, path string) string {
	if strings.ContainsAny(path, " \t\n'") {
		return `"` + name + path + `"`
	}
	return name + path
}

// shellQuoted is a word of a shell.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
