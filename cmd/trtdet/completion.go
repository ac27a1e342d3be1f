package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
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

// bashCompletion lists words instead of asking the program for them: it works
// while trtdet is not on the PATH yet, and costs nothing at each Tab.
func bashCompletion(app *cli.App) string {
	var b strings.Builder
	var commands []string
	for _, c := range app.Commands {
		if !c.Hidden {
			commands = append(commands, c.Name)
		}
	}
	b.WriteString("_trtdet() {\n")
	b.WriteString("    local word=${COMP_WORDS[COMP_CWORD]} flags=\n")
	b.WriteString("    case ${COMP_WORDS[1]} in\n")
	for _, c := range app.Commands {
		if c.Hidden {
			continue
		}
		fmt.Fprintf(&b, "    %s) flags='%s' ;;\n", c.Name, strings.Join(longFlags(c.Flags), " "))
	}
	b.WriteString("    esac\n")
	b.WriteString("    if ((COMP_CWORD == 1)); then\n")
	fmt.Fprintf(&b, "        COMPREPLY=($(compgen -W '%s --help --version' -- \"$word\"))\n", strings.Join(commands, " "))
	b.WriteString("    elif [[ ${COMP_WORDS[1]} == completion ]]; then\n")
	fmt.Fprintf(&b, "        COMPREPLY=($(compgen -W '%s' -- \"$word\"))\n", strings.Join(shells, " "))
	b.WriteString("    elif [[ $word == -* ]]; then\n")
	b.WriteString("        COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n")
	b.WriteString("    else\n")
	b.WriteString("        COMPREPLY=($(compgen -f -- \"$word\"))\n")
	b.WriteString("    fi\n")
	b.WriteString("}\n")
	b.WriteString("complete -o filenames -F _trtdet trtdet\n")
	return b.String()
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
