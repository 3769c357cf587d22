// Package erase removes what an installation keeps of one customer, of one message, or of what is older than an age: the rows
// in PostgreSQL, and on the bus what a replay would bring back.
//
// It keeps the sender's ledger, which has no text and no customer in it and sees to it that nothing is said twice, and an
// audit line without anything of what was erased. It reaches neither backups nor Meta, nor what a process has in its hands at
// that moment: what was being archived meanwhile is found by looking again.
package erase

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/topology"
)

// Request says what to erase: one of a customer, a message and an age.
type Request struct {
	// Account is needed for a customer and a message; with an age it picks those of one account.
	Account string
	// Customer is whose everything is erased; MID is Meta's id of the one message; Before is the time that what is older is
	// erased by.
	Customer string
	MID      string
	Before   time.Time
	// By is who asks. DryRun only counts.
	By     string
	DryRun bool
}

// Validate reports every problem.
func (r *Request) Validate() error {
	var errs []error
	given := 0
	for _, set := range []bool{r.Customer != "", r.MID != "", !r.Before.IsZero()} {
		if set {
			given++
		}
	}
	if given != 1 {
		errs = append(errs, fmt.Errorf("expected one of a customer, a message and an age, got %d of them", given))
	}
	if r.Account == "" && r.Before.IsZero() {
		errs = append(errs, errors.New("account: expected the account that the customer wrote to; got none"))
	}
	if strings.ContainsAny(r.Account+r.Customer, ": \x00") || strings.IndexByte(r.MID, 0) >= 0 {
		errs = append(errs, fmt.Errorf("account %q, customer %q, mid %q: expected ids as Meta gives them", r.Account, r.Customer, r.MID))
	}
	return errors.Join(errs...)
}

func (r *Request) scope() string {
	switch {
	case r.Customer != "":
		return "customer"
	case r.MID != "":
		return "message"
	default:
		return "age"
	}
}

// subject is what the audit line says of who or what was erased.
func (r *Request) subject() []byte {
	if !r.Before.IsZero() {
		return nil
	}
	return topology.ErasedHash(r.Account, r.Customer+r.MID)
}

// Counts is how many of each kind: "table messages", "stream DM_EVENTS", "bucket parley_conversations".
type Counts map[string]int64

func (c Counts) add(kind, name string, n int64) {
	if n > 0 {
		c[kind+" "+name] += n
	}
}

// Names are the kinds of which there are any, sorted.
func (c Counts) Names() []string {
	out := make([]string, 0, len(c))
	for name, n := range c {
		if n > 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Result is what was erased, or would be.
type Result struct {
	Counts Counts
	// Unsent are replies among them that were not sent yet, and will not be.
	Unsent int64
	// Files are media of theirs that are kept, which an archiver removes from its store.
	Files int64
}

// What came meanwhile is looked for until there is none, but no longer than restless when it was looked for so many rounds: what was on
// its way when the first of them began comes one stage after another, a profile into its bucket, an event and a row.
const (
	restless = 10 * time.Second
	rounds   = 3
)

// ErrRestless says that the customer, or who answers them, goes on writing.
var ErrRestless = errors.New("something new came each time that it was looked for; run it again")

// Run erases, or counts. The bus may be nil, and is then left alone. When it fails in the middle it may be run again.
func Run(ctx context.Context, pool *pgxpool.Pool, conn *bus.Conn, r Request) (Result, error) {
	result := Result{Counts: Counts{}}
	if err := r.Validate(); err != nil {
		return result, err
	}
	if !r.Before.IsZero() {
		err := r.byAge(ctx, pool, conn, &result)
		return result, err
	}
	begun := time.Now()
	for n := 1; ; n++ {
		found, err := r.round(ctx, pool, conn, &result)
		switch {
		case err != nil || r.DryRun || !found:
			return result, err
		case n >= rounds && time.Since(begun) >= restless:
			return result, ErrRestless
		}
	}
}

// round erases what there is now, and says whether there was any. The bus comes first: what the archiver has not written yet
// is not written any more, and what it has is a row by then.
func (r *Request) round(ctx context.Context, pool *pgxpool.Pool, conn *bus.Conn, result *Result) (found bool, err error) {
	counts := Counts{}
	t := target{Request: r, ids: map[string]bool{}, mids: map[string]bool{}}
	if r.MID != "" {
		t.mids[r.MID] = true
	}
	if err := t.fromRows(ctx, pool); err != nil {
		return false, err
	}
	if conn != nil {
		if err := t.eraseBus(ctx, conn, counts); err != nil {
			return false, err
		}
	}
	if err := t.eraseRows(ctx, pool, counts, result); err != nil {
		return false, err
	}
	for name, n := range counts {
		result.Counts[name] += n
	}
	return len(counts) > 0, nil
}

// target is what is erased of a customer or a message, as it becomes known.
type target struct {
	*Request
	// ids are the events and intents that go with the message, mids the messages.
	ids, mids map[string]bool
}
