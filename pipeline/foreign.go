package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtdet/trtdet/imaging"
)

// ErrNotImages is wrapped by errors of sources that hold images in a form that
// is not read here yet: videos, cameras, streams, addresses. The error says what
// makes images of it.
var ErrNotImages = errors.New("not read here yet")

// videoExtensions are those of files that ffmpeg takes apart.
var videoExtensions = []string{".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".3gp", ".asf",
	".ogv", ".h264", ".h265", ".264", ".265", ".y4m"}

// CheckSources finds the first of args that is no image and that nothing here
// makes into images, before a model is opened for it.
func CheckSources(args []string) error {
	for _, arg := range args {
		if arg == "-" {
			continue
		}
		if err := foreign(arg); err != nil {
			return err
		}
	}
	return nil
}

// foreign returns an error that wraps ErrNotImages where a source is a video, a
// camera, a stream or an address.
func foreign(source string) error {
	if info, err := os.Stat(source); err == nil {
		return foreignFile(source, info)
	}
	scheme, _, found := strings.Cut(strings.ToLower(source), "://")
	switch {
	case found && isWord(scheme) && scheme != "file":
		path, _, _ := strings.Cut(source, "?")
		if strings.HasPrefix(scheme, "http") && !isVideo(path) {
			return fmt.Errorf("%s: an address is %w: curl -fO %s fetches an image, %s takes a video apart", source, ErrNotImages, quoted(source), ffmpeg("", source))
		}
		return fmt.Errorf("%s: a stream is %w: %s makes images of it", source, ErrNotImages, ffmpeg("", source))
	case source != "" && strings.Trim(source, "0123456789") == "":
		return camera(source, "/dev/video"+source)
	}
	return nil
}

// foreignFile is about a file that is there.
func foreignFile(source string, info fs.FileInfo) error {
	switch {
	case info.Mode().IsRegular() && isVideo(source):
		return fmt.Errorf("%s: a video is %w: %s makes images of it", source, ErrNotImages, ffmpeg("", source))
	case info.Mode()&fs.ModeCharDevice != 0 && strings.HasPrefix(source, "/dev/video"):
		return camera(source, source)
	}
	return nil
}

func camera(source, device string) error {
	return fmt.Errorf("%s: a camera is %w: %s makes images of it", source, ErrNotImages, ffmpeg("-f v4l2 ", device))
}

func isVideo(path string) bool {
	return slices.Contains(videoExtensions, strings.ToLower(filepath.Ext(path)))
}

// isWord tells an address's scheme from the beginning of a pattern.
func isWord(s string) bool {
	return len(s) > 1 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// ffmpeg is the command that makes images of an input, in a folder.
func ffmpeg(options, input string) string {
	return "mkdir -p frames && ffmpeg " + options + "-i " + quoted(input) + " frames/%06d.jpg"
}

// ifList says where a list of paths goes, as a file that is no image may be one.
func ifList(source string, err error) string {
	if !errors.Is(err, imaging.ErrUnsupported) || !strings.EqualFold(filepath.Ext(source), ".txt") {
		return ""
	}
	return fmt.Sprintf("; a list of paths is read from standard input: - < %s", quoted(source))
}

// quoted is a word of a shell.
func quoted(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:%+@,=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
