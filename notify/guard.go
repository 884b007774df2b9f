package notify

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// guard turns a panic into an error. What one event holds must not end the process: it would meet that event again at
// each start.
func guard(f func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("panic: %w\n%s", v, debug.Stack())
		default:
			err = fmt.Errorf("panic: %T\n%s", v, debug.Stack()) // the value may hold the event's words
		}
	}()
	f()
	return nil
}
