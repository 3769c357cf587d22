package store

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// PoisonError is a fact that cannot be stored whatever is tried. It holds no message text.
type PoisonError struct{ Err error }

func (e *PoisonError) Error() string { return "PostgreSQL refuses this: " + e.Err.Error() }

func (e *PoisonError) Unwrap() error { return e.Err }

// unfitError is a fact that cannot even be written down as a row.
type unfitError struct{ error }

func (e *unfitError) Unwrap() error { return e.error }

// isPoison: PostgreSQL was there and refused the data themselves: wrong data (class 22), a violated constraint (23), or
// more than fits, such as a key too long for an index (54). Or they are none that could be sent.
func isPoison(err error) bool {
	var unfit *unfitError
	if errors.As(err, &unfit) {
		return true
	}
	c := code(err)
	if len(c) != 5 {
		return false
	}
	switch c[:2] {
	case "22", "23", "54":
		return true
	default:
		return false
	}
}

// isConflict: deadlock, serialisation failure, or a row that somebody else wrote between our reading and our writing.
func isConflict(err error) bool {
	switch code(err) {
	case "40001", "40P01", "23505":
		return true
	default:
		return false
	}
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
