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
				fmt.Fprint(c.App.Writer, bashCompletion(c.App))
			case "zsh":
				fmt.Fprint(c.App.Writer, "#compdef trtdet\nautoload -U +X bashcompinit && bashcompinit\n"+bashCompletion(c.App))
			case "fish":
				script, err := c.App.ToFishCompletion()
				if err != nil {
					return err
				}
				fmt.Fprint(c.App.Writer, script)
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

// bashCompletion lists words instead of asking the program for them: it works
// while trtdet is not on the PATH yet, and costs nothing at each Tab.
func bashCompletion(app *cli.App) string {
	var commands []string
	flags := &strings.Builder{}
	for _, c := range app.Commands {
		if !c.Hidden {
			commands = append(commands, c.Name)
			fmt.Fprintf(flags, "    %s) flags='%s' ;;\n", c.Name, strings.Join(longFlags(slices.Concat(c.Flags, app.Flags)), " "))
		}
	}
	values := &strings.Builder{}
	for _, flag := range slices.Sorted(maps.Keys(flagValues)) {
		pattern := "'" + flag + "'"
		if strings.HasPrefix(flag, "--") {
			pattern = "*' " + flag + "'"
		}
		fmt.Fprintf(values, "    %s) words='%s' ;;\n", pattern, strings.Join(flagValues[flag], " "))
	}
	return fmt.Sprintf(`_trtdet() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} before=${COMP_WORDS[COMP_CWORD-1]} flags= words=
    case $command in
%s    esac
    case "$command $before" in
%s    esac
    if ((COMP_CWORD == 1)); then
        words='%s --help --version --verbose'
    elif [[ $command == completion ]]; then
        words='%s'
    elif [[ $word == -* ]]; then
        words=$flags
    fi
    if [[ $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}
complete -o filenames -F _trtdet trtdet
`, flags, values, strings.Join(commands, " "), strings.Join(shells, " "))
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
