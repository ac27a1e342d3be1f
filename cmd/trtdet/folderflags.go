package main

import (
	"path/filepath"

	"github.com/urfave/cli/v2"
)

const categoryOutput = "What comes out"

// folderFlags say where files are saved; run and eval share them.
func folderFlags(project string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Category: categoryOutput, Name: "project", Usage: "save to `FOLDER`/NAME", Value: project},
		&cli.StringFlag{Category: categoryOutput, Name: "name", Usage: "save to PROJECT/`NAME`", Value: "exp"},
		&cli.BoolFlag{Category: categoryOutput, Name: "exist-ok", Usage: "save to PROJECT/NAME even if it exists"},
	}
}

// checkName keeps --name inside --project.
func checkName(c *cli.Context) error {
	if name := c.String("name"); !filepath.IsLocal(name) {
		return usagef("--name %s: want a name inside the project; --project names another place", name)
	}
	return nil
}

// folderFlagSet returns the first of folderFlags that the command line has, "" for
// none.
func folderFlagSet(c *cli.Context) string {
	for _, f := range folderFlags("") {
		if name := f.Names()[0]; c.IsSet(name) {
			return name
		}
	}
	return ""
}
