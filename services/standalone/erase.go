package standalone

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/standalone/internal/erase"
)

type eraseCommand struct {
	Account    string `help:"The account. Needed but with --older-than, where it picks those of one."`
	Customer   string `help:"Everything of this customer with the account." placeholder:"ID"`
	MID        string `name:"mid" help:"One message, by Meta's id: its row, and what the streams have of it and of the answer to it." placeholder:"MID"`
	OlderThan  age    `help:"Everything that is older, such as 400d: for a schedule that bounds how long things are kept." placeholder:"AGE"`
	Yes        bool   `help:"Do it; without, it only counts."`
	By         string `help:"Who asks; the system's user by default."`
	WithoutBus bool   `name:"without-bus" help:"Leave NATS alone: what its streams have of it comes back with a replay, for up to seven days."`
}

// Help says what it reaches.
func (*eraseCommand) Help() string {
	return `Erases rows (messages, their changes, events, conversations, contacts, labels, media) and, on the bus, what the streams, the parked
replies, the dead letters and the buckets have, so that a replay does not bring it back. Each erasure leaves a line in the table
erasures: when, by whom and how much, with a hash instead of the customer's id. Replies that were not sent yet are not sent.

It keeps the sender's ledger, which has neither text nor customer, so that nothing is said twice, and the console's audit log.
For a day it remembers, by hash, what was erased, so that the look for missed webhooks does not fetch it from Meta again.
The files of media that are kept are removed by an archiver that has their store, within seconds while one runs.
It does not reach: backups of the database or of NATS; what waits in an ingress's spool while NATS is away; what was copied
elsewhere, such as logs, alerts and outgoing webhooks; what Meta keeps. What PostgreSQL and NATS's buckets removed
leaves their files when those are tidied up (VACUUM, compaction); what the streams had is overwritten at once.`
}

// eraseSettings is what the command reads.
type eraseSettings struct {
	config.Database
	config.NATS
}

// Validate reports every problem.
func (s eraseSettings) Validate() error { return errors.Join(s.Database.Validate(), s.NATS.Validate()) }

// Run erases, or counts.
func (c *eraseCommand) Run(ctx context.Context, inv Invocation) error {
	request := erase.Request{Account: c.Account, Customer: c.Customer, MID: c.MID, By: whoAsks(c.By), DryRun: !c.Yes}
	if c.OlderThan > 0 {
		request.Before = time.Now().Add(-time.Duration(c.OlderThan)).UTC().Truncate(time.Second)
	}
	if err := request.Validate(); err != nil {
		return usage(err)
	}
	if _, err := config.Load[eraseSettings](inv.Environ); err != nil {
		return err
	}
	return withDatabase(ctx, inv, func(pool *pgxpool.Pool) error {
		if c.WithoutBus {
			return c.run(ctx, inv, pool, nil, request)
		}
		return withBus(ctx, inv, func(conn *bus.Conn) error { return c.run(ctx, inv, pool, conn, request) })
	})
}

func (c *eraseCommand) run(ctx context.Context, inv Invocation, pool *pgxpool.Pool, conn *bus.Conn, request erase.Request) error {
	result, err := erase.Run(ctx, pool, conn, request)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(inv.Stdout, 0, 0, 2, ' ', 0)
	for _, name := range result.Counts.Names() {
		kind, what, _ := strings.Cut(name, " ")
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\n", kind, what, result.Counts[name])
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if result.Unsent > 0 {
		say(inv.Stdout, "%d of the replies were not sent yet, and will not be", result.Unsent)
	}
	if result.Files > 0 {
		say(inv.Stdout, "%d of the media are files, which an archiver with their store (MEDIA_DIR, MEDIA_S3_BUCKET) removes", result.Files)
	}
	switch {
	case len(result.Counts) == 0:
		say(inv.Stdout, "Nothing is known of it.")
	case !c.Yes:
		say(inv.Stdout, "This would be erased; add --yes to do it")
	default:
		say(inv.Stdout, "This was erased")
	}
	return nil
}

// age is a time span that may be given in days: 400d, or as Go writes it.
type age time.Duration

// UnmarshalText reads it.
func (a *age) UnmarshalText(text []byte) error {
	d, err := parseAge(string(text))
	*a = age(d)
	return err
}

// parseAge reads a time span.
func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	return 0, fmt.Errorf("got %q, expected an age such as 7d or 36h", s)
}
