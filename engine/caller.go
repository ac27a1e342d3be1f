package engine

import "context"

type callerKey struct{}

// WithCaller returns a context whose calls take turns as one caller, whatever
// their number: those of a client, a camera, a tenant. Without it each call is a
// caller of its own. No caller waits behind all that another has put in.
func WithCaller(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callerKey{}, name)
}

func callerOf(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}
