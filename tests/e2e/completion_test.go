package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		o := must(t, "", "completion", shell)
		for _, w := range []string{"trtdet", "conf-thres", "timing-cache"} {
			if !strings.Contains(o.stdout, w) {
				t.Errorf("completion %s lacks %q", shell, w)
			}
		}
		if strings.Contains(o.stdout, "build-child") {
			t.Errorf("completion %s shows the hidden command", shell)
		}
	}
}

// completions are what is typed, and the words that the shell makes of it, in a
// folder where a folder is called build and a file my picture.jpg.
var completions = []struct{ typed, want string }{
	{"trtdet bui\t x", "[build][x]"},
	{"trtdet --verbose bui\t x", "[--verbose][build][x]"},
	{"trtdet run --nosa\t x", "[run][--nosave][x]"},
	{"trtdet run --format jso\t x", "[run][--format][jsonl][x]"},
	{"trtdet eval --format js\t x", "[eval][--format][json][x]"},
	{"trtdet bench --device cp\t x", "[bench][--device][cpu][x]"},
	{"trtdet completion fi\t x", "[completion][fish][x]"},
	{"trtdet run bui\tx", "[run][build/x]"},
	{"trtdet run my\t x", "[run][my picture.jpg][x]"},
}

func completionFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "build"), 0o755); err != nil {
		t.Fatal(err)
	}
	writePNG(t, filepath.Join(dir, "my picture.jpg"), 4, 4)
	return dir
}

// A person types in a shell on a terminal. The program is a function there that
// prints its arguments.
func TestCompletionOnATerminal(t *testing.T) {
	for _, shell := range []struct{ name, start, load string }{
		{"bash", "bash --norc --noprofile -i", ". ./completion; trtdet() { printf '[%s]' \"$@\"; echo; }\n"},
		{"zsh", "zsh -f -i", "unsetopt zle_bracketed_paste; autoload -U compinit && compinit -u -D; . ./completion; trtdet() { printf '[%s]' \"$@\"; echo }\n"},
	} {
		t.Run(shell.name, func(t *testing.T) {
			if _, err := exec.LookPath(shell.name); err != nil && shell.name != "bash" {
				t.Skipf("there is no %s on this machine", shell.name)
			}
			dir := completionFolder(t)
			script := must(t, "", "completion", shell.name).stdout
			if err := os.WriteFile(filepath.Join(dir, "completion"), []byte(script), 0o644); err != nil {
				t.Fatal(err)
			}
			p := newProcess(dir, exec.Command("script", "-qec", shell.start, "/dev/null"))
			p.Env = append(os.Environ(), "TERM=dumb", "HOME="+dir)
			keys, err := p.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p.start(t)
			press := func(text, marker string) {
				before := strings.Count(p.stdout.String(), marker)
				io.WriteString(keys, text) //nolint:errcheck // the wait below fails
				p.until(t, "the shell answers "+fmt.Sprintf("%q", text), func() bool { return strings.Count(p.stdout.String(), marker) > before })
			}
			press(shell.load+"printf 'read%s\\n' y\n", "ready")
			for i, c := range completions {
				end := fmt.Sprintf("end%d.", i)
				press(c.typed+fmt.Sprintf("\nprintf 'end%%s.\\n' %d\n", i), end)
				if !strings.Contains(p.stdout.String(), c.want) {
					t.Errorf("%q does not become %s:\n%s", c.typed, c.want, p.stdout.String())
				}
			}
			io.WriteString(keys, "exit\n") //nolint:errcheck // the wait below fails
			p.end(t)
		})
	}
}

func TestCompletionInFish(t *testing.T) {
	if _, err := exec.LookPath("fish"); err != nil {
		t.Skip("there is no fish on this machine")
	}
	dir := completionFolder(t)
	script := must(t, "", "completion", "fish").stdout
	for _, c := range []struct{ typed, want, not string }{
		{"trtdet bui", "build\t", "build/"},
		{"trtdet --verbose bui", "build\t", "build/"},
		{"trtdet run --nosa", "--nosave\t", "--hide"},
		{"trtdet run --format js", "jsonl\t", "build"},
		{"trtdet eval --format js", "json\t", "jsonl"},
		{"trtdet run --img", "--imgsz", "--nosave"},
		{"trtdet completion fi", "fish", "file"},
		{"trtdet run bui", "build/", "build\t"},
		{"trtdet run build --no", "--nosave", "--half"},
	} {
		f := exec.Command("fish", "--no-config", "-c", script+"\ncomplete -C '"+c.typed+"'")
		f.Dir = dir
		f.Env = append(os.Environ(), "HOME="+dir)
		out, err := f.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) || strings.Contains(string(out), c.not) {
			t.Errorf("%q: %v, want %q and no %q in\n%s", c.typed, err, c.want, c.not, out)
		}
	}
}
