package repository

import (
	"errors"
	"fmt"
)

// What a repository answers beside what it was asked for.
var (
	// ErrNotFound: there is no such rule, version, conversation or message.
	ErrNotFound = errors.New("not found")
	// ErrConflict: somebody changed it meanwhile. The error is a [*ConflictError] where the rule as it is now is known.
	ErrConflict = errors.New("changed meanwhile")
	// ErrInvalid: it cannot be stored so. The error says which field, what it holds and what is expected.
	ErrInvalid = errors.New("invalid")
)

// ConflictError says that a rule has another version than the one that was to be changed.
type ConflictError struct {
	// Expected is the version that was named, Current the rule as it is now.
	Expected int
	Current  Rule
}

// Error says what is there now and who made it.
func (e *ConflictError) Error() string {
	by := ""
	if e.Current.UpdatedBy != "" {
		by = " by " + e.Current.UpdatedBy
	}
	return fmt.Sprintf("rule %q: %v%s: it has version %d, expected %d", e.Current.Name, ErrConflict, by, e.Current.Version, e.Expected)
}

// Is makes it an [ErrConflict].
func (*ConflictError) Is(target error) bool { return target == ErrConflict }

func invalid(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrInvalid, field, fmt.Sprintf(format, args...))
}

func missing(id string) error { return fmt.Errorf("rule %s: %w", id, ErrNotFound) }

func stale(named, stored int) error {
	return fmt.Errorf("the order of %d rule(s): %w: there are %d", named, ErrConflict, stored)
}
