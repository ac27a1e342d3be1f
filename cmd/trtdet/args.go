package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// commandAt is where among all arguments the command stands, 0 where none does.
func commandAt(args []string) int {
	return slices.IndexFunc(args[min(1, len(args)):], func(a string) bool { return !strings.HasPrefix(a, "-") }) + 1
}

// reorder moves a command's flags in front of its arguments, since the flag
// parser stops at the first argument and people write `run m.onnx a.jpg
// --nosave`. What stands behind "--" stays an argument, and so does "-".
func reorder(app *cli.App, args []string) ([]string, error) {
	at := commandAt(args)
	before := args[min(1, len(args)):]
	if at > 0 {
		before = args[1:at]
	}
	for _, arg := range before {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if findFlag(slices.Concat(app.Flags, []cli.Flag{cli.HelpFlag, cli.VersionFlag}), name) == nil {
			return nil, unknownFirst(app, arg)
		}
	}
	if at == 0 {
		return args, nil
	}
	command := app.Command(args[at])
	if command == nil {
		help, rest := []string{"help", "h"}, args[at+1:]
		if slices.Contains(help, args[at]) && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && !slices.Contains(help, rest[0]) && app.Command(rest[0]) == nil {
			return nil, unknownCommand(app, rest[0])
		}
		return args, nil
	}
	known := slices.Concat(command.Flags, app.Flags, []cli.Flag{cli.HelpFlag})
	var global, flags, arguments []string
	rest := args[at+1:]
	for i := 0; i < len(rest); i++ {
		arg := rest[i]
		if arg == "--" {
			arguments = append(arguments, rest[i+1:]...)
			break
		}
		if arg == "-" || !strings.HasPrefix(arg, "-") {
			if err := setting(app, command, arg); err != nil {
				return nil, err
			}
			arguments = append(arguments, arg)
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		f := findFlag(known, name)
		if f == nil {
			return nil, unknownFlag(app, command, arg)
		}
		if slices.Contains(cli.HelpFlag.Names(), name) {
			return slices.Concat(args[:at+1], []string{"--help"}), nil
		}
		to := &flags
		if slices.Contains(app.Flags, f) {
			to = &global
		}
		*to = append(*to, arg)
		if takesValue(f) && !hasValue {
			if i++; i == len(rest) {
				return nil, usagef("%s: flag %s needs a value; see trtdet %[1]s --help", command.Name, arg)
			}
			*to = append(*to, rest[i])
		}
		if err := strayValue(command, f, rest[:i+1], rest[i+1:]); err != nil {
			return nil, err
		}
	}
	return slices.Concat(args[:at], global, []string{args[at]}, flags, []string{"--"}, arguments), nil
}

// listFlags take several numbers, apart by commas; YOLOv5's scripts have blanks.
var listFlags = []string{"imgsz", "classes", "device", "conf-sweep", "bench --batch", "bench --slots", "bench --concurrency", "bench --rate"}

// strayValue reports an argument that was meant as a flag's value: a second number,
// or a word of yes or no. typed ends with the flag, or with its value.
func strayValue(c *cli.Command, f cli.Flag, typed, behind []string) error {
	if len(behind) == 0 {
		return nil
	}
	name, value, next := f.Names()[0], typed[len(typed)-1], behind[0]
	if _, err := os.Lstat(next); err == nil {
		return nil
	}
	_, notNumber := strconv.ParseFloat(next, 64)
	_, notBool := strconv.ParseBool(next)
	isList := slices.Contains(listFlags, name) || slices.Contains(listFlags, c.Name+" --"+name)
	switch {
	case takesValue(f) && isList && notNumber == nil:
		if _, behindEqual, found := strings.Cut(value, "="); found {
			value = behindEqual
		}
		return usagef("%s: --%s %s %s: its values are apart by commas here: --%[2]s %[3]s,%[4]s", c.Name, name, value, next)
	case !takesValue(f) && notBool == nil && notNumber != nil:
		return usagef("%s: --%s takes no value: leave %s out, or say --%[2]s=%[4]s", c.Name, name, next, strings.ToLower(next))
	}
	return nil
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// badValue is what the flag parser says of a value that does not fit.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value "(.*)" for (?:flag )?-([^:]+): `)

// wrongValue says what a flag wants instead of the parser's own words.
func wrongValue(c *cli.Command, err error) error {
	found := badValue.FindStringSubmatch(err.Error())
	if found == nil {
		return err
	}
	want := ""
	switch findFlag(c.Flags, found[2]).(type) {
	case *cli.IntFlag:
		want = "a whole number"
	case *cli.IntSliceFlag:
		want = "whole numbers apart by commas"
	case *cli.Float64Flag:
		want = "a number such as 0.25"
	case *cli.DurationFlag:
		want = "a time such as 90s or 1h"
	case *cli.BoolFlag:
		want = "no value, or true or false"
	default:
		return err
	}
	return fmt.Errorf("--%s %s: want %s", found[2], found[1], want)
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}
