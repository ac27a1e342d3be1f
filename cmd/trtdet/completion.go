package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/report"
)

var shells = []string{"bash", "zsh", "fish"}

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes trtdet's commands and flags in a shell",
		ArgsUsage: "bash|zsh|fish",
		Description: "Examples:\n" +
			"  source <(trtdet completion bash)\n" +
			"  trtdet completion zsh > \"${fpath[1]}/_trtdet\"\n" +
			"  trtdet completion fish > ~/.config/fish/completions/trtdet.fish",
		Action: func(c *cli.Context) error {
			switch c.Args().First() {
			case "bash":
				fmt.Fprintf(c.App.Writer, bashScript, wordCases(c.App))
			case "zsh":
				fmt.Fprintf(c.App.Writer, zshScript, wordCases(c.App))
			case "fish":
				fmt.Fprint(c.App.Writer, fishCompletion(c.App))
			default:
				return usagef("completion: want one of %s", strings.Join(shells, ", "))
			}
			return nil
		},
	}
}

// flagValues are the words that a flag takes; a flag that is not here takes a
// file, a folder or a number.
var flagValues = map[string][]string{
	"run --format":    report.Formats,
	"eval --format":   report.EvaluationFormats,
	"bench --format":  report.BenchmarkFormats,
	"bench --graphs":  {"on", "off", "on,off"},
	"eval --split":    {"val", "test", "train"},
	"info --format":   {"table", "json"},
	"--device":        {"auto", "cpu", "cuda:0"},
	"--tensorrt":      {"auto", "rtx", "10", "11"},
	"--head":          {"coupled", "decoupled-base", "decoupled", "yolox"},
	"--letterbox":     {"center", "top-left"},
	"--channel-order": {"rgb", "bgr"},
	"--pixel-range":   {"1", "255"},
}

// The scripts list words instead of asking the program for them: they work while
// trtdet is not on the PATH yet, and cost nothing at each Tab. A word of trtdet's
// is completed as a word, also where a file or folder has its name: build/ is one.
const (
	bashScript = `_trtdet() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= list= at
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} != -* ]]; then
            command=${COMP_WORDS[at]}
            break
        fi
    done
%s    if [[ $list ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$list" -- "$word")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _trtdet trtdet
`
	zshScript = `#compdef trtdet
_trtdet() {
    local word=$words[CURRENT] before=$words[CURRENT-1] command= list= at
    for ((at = 2; at < CURRENT; at++)); do
        if [[ $words[at] != -* ]]; then
            command=$words[at]
            break
        fi
    done
%s    if [[ -n $list ]]; then
        compadd -- ${=list}
    else
        _files
    fi
}
if [[ $funcstack[1] == _trtdet ]]; then
    _trtdet "$@"
else
    compdef _trtdet trtdet
fi
`
	fishScript = `function __trtdet_command
    for word in (commandline -opc)[2..-1]
        if not string match -q -- '-*' $word
            echo $word
            return
        end
    end
end
function __trtdet_needs_command
    test (count (__trtdet_command)) = 0
end
function __trtdet_is
    contains -- $argv[1] (__trtdet_command)
end
`
)

// wordCases is the part that bash and zsh read alike: it sets list to the words
// that may stand here, by command, word and before; none where it is a file.
func wordCases(app *cli.App) string {
	var commands []string
	cases := &strings.Builder{}
	cases.WriteString("    case \"$command $before\" in\n")
	for _, flag := range slices.Sorted(maps.Keys(flagValues)) {
		pattern := "'" + flag + "'"
		if strings.HasPrefix(flag, "--") {
			pattern = "*' " + flag + "'"
		}
		fmt.Fprintf(cases, "    %s) list='%s' ;;\n", pattern, strings.Join(flagValues[flag], " "))
	}
	cases.WriteString("    *) case \"$command $word\" in\n")
	for _, c := range shownCommands(app) {
		commands = append(commands, c.Name)
		fmt.Fprintf(cases, "        %s\\ -*) list='%s' ;;\n", c.Name, strings.Join(longFlags(slices.Concat(c.Flags, app.Flags)), " "))
	}
	fmt.Fprintf(cases, "        completion\\ *) list='%s' ;;\n", strings.Join(shells, " "))
	fmt.Fprintf(cases, "        \\ *) list='%s --help --version --verbose' ;;\n", strings.Join(commands, " "))
	cases.WriteString("        esac ;;\n    esac\n")
	return cases.String()
}

func shownCommands(app *cli.App) []*cli.Command {
	return slices.DeleteFunc(slices.Clone(app.Commands), func(c *cli.Command) bool { return c.Hidden })
}

func longFlags(flags []cli.Flag) []string {
	words := []string{"--help"}
	for _, f := range flags {
		for _, name := range f.Names() {
			if len(name) > 1 {
				words = append(words, "--"+name)
			}
		}
	}
	slices.Sort(words)
	return words
}

// fishCompletion has a line for each word, as fish wants it.
func fishCompletion(app *cli.App) string {
	script := &strings.Builder{}
	script.WriteString(fishScript)
	line := func(condition, rest, about string) {
		fmt.Fprintf(script, "complete -c trtdet -n '%s' %s -d '%s'\n", condition, rest, fishQuoted(about))
	}
	line("__trtdet_needs_command", "-l help", "show help")
	line("__trtdet_needs_command", "-l version", "print the version")
	for _, f := range app.Flags {
		line("__trtdet_needs_command", fishFlag("", f), fishUsage(f))
	}
	for _, c := range shownCommands(app) {
		line("__trtdet_needs_command", "-f -a "+c.Name, c.Usage)
		is := "__trtdet_is " + c.Name
		line(is, "-l help", "show help")
		for _, f := range slices.Concat(c.Flags, app.Flags) {
			line(is, fishFlag(c.Name, f), fishUsage(f))
		}
	}
	line("__trtdet_is completion", "-f -a '"+strings.Join(shells, " ")+"'", "shell")
	return script.String()
}

// fishFlag is a flag of a command with the words that it takes.
func fishFlag(command string, f cli.Flag) string {
	var words []string
	for _, name := range f.Names() {
		dash := "-l "
		if len(name) == 1 {
			dash = "-s "
		}
		words = append(words, dash+name)
	}
	name := "--" + f.Names()[0]
	values := slices.Concat(flagValues[command+" "+name], flagValues[name])
	switch {
	case len(values) > 0:
		words = append(words, "-x -a '"+strings.Join(values, " ")+"'")
	case takesValue(f):
		words = append(words, "-r")
	}
	return strings.Join(words, " ")
}

// fishUsage is a flag's usage without the marks of its value's name.
func fishUsage(f cli.Flag) string {
	if d, ok := f.(cli.DocGenerationFlag); ok {
		return strings.ReplaceAll(d.GetUsage(), "`", "")
	}
	return ""
}

func fishQuoted(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s)
}
