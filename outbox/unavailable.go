package outbox

import "errors"

// ErrUnavailable is in the chain of every error that says that the store as a whole can't be worked with: its disk is
// full or broken, its file is locked, gone or read-only. Such an error says nothing about what was to be written.
var ErrUnavailable = errors.New("the store is unavailable")
