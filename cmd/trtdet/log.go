package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// lineHandler writes log records the way a command speaks: one plain line,
// "trtdet: warning: text (key value, key value)".
type lineHandler struct {
	w     io.Writer // takes lines from any goroutine
	level slog.Level
}

func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }
func (h *lineHandler) WithAttrs([]slog.Attr) slog.Handler               { return h }
func (h *lineHandler) WithGroup(string) slog.Handler                    { return h }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var details []string
	r.Attrs(func(a slog.Attr) bool {
		details = append(details, fmt.Sprintf("%s %v", a.Key, a.Value))
		return true
	})
	line := "trtdet: " + levelWord(r.Level) + r.Message
	if len(details) > 0 {
		line += " (" + strings.Join(details, ", ") + ")"
	}
	_, err := fmt.Fprintln(h.w, line)
	return err
}

func levelWord(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error: "
	case l >= slog.LevelWarn:
		return "warning: "
	}
	return ""
}
