package envelope

import "fmt"

// FormatError says which field of a payload is not what an envelope has there. It holds no message text.
type FormatError struct {
	Field, Got, Expected string
	Err                  error
}

func (e *FormatError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: expected %s: %v", e.Field, e.Expected, e.Err)
	}
	return fmt.Sprintf("%s: got %q, expected %s", e.Field, e.Got, e.Expected)
}

func (e *FormatError) Unwrap() error { return e.Err }

// UnsupportedError is an envelope written by a newer version than this one.
type UnsupportedError struct {
	Type    string
	Version int
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("envelope %s has version %d, newer than %d: update this service first", e.Type, e.Version, Version)
}
