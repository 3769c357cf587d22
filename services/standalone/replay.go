package standalone

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
)

type replayCommand struct {
	ToStage      string `name:"to-stage" required:"" enum:"archiver,responder" help:"archiver: fill in rows that are missing. responder: decide again what was not answered."`
	From         string `help:"Only what was stored from this time on: RFC 3339, a date, or an age such as 24h." placeholder:"TIME"`
	To           string `help:"Only what was stored before this time." placeholder:"TIME"`
	Account      string `help:"Only one account's messages."`
	Conversation string `help:"Only one conversation's, as channel:account:customer."`
	Yes          bool   `help:"Do it; without, it only counts."`
	By           string `help:"Who asks; the system's user by default."`
}

// Run replays a stretch of the streams.
func (c *replayCommand) Run(ctx context.Context, inv Invocation) error {
	from, err := parseTime("--from", c.From)
	if err != nil {
		return err
	}
	to, err := parseTime("--to", c.To)
	if err != nil {
		return err
	}
	request := replay.Request{Stage: c.ToStage, From: from, To: to, Account: c.Account, Conversation: c.Conversation, By: whoAsks(c.By), DryRun: !c.Yes}
	return withBus(ctx, inv, func(conn *bus.Conn) error {
		result, err := replay.Run(ctx, conn, request)
		if err != nil {
			return err
		}
		streams := make([]string, 0, len(result.Found))
		for stream, n := range result.Found {
			streams = append(streams, fmt.Sprintf("%s %d", stream, n))
		}
		sort.Strings(streams)
		what := fmt.Sprintf("%d message(s)", result.Total())
		if len(streams) > 0 {
			what += " (" + strings.Join(streams, ", ") + ")"
		}
		if !c.Yes {
			say(inv.Stdout, "%s would be replayed to the %s; add --yes to do it", what, c.ToStage)
			return nil
		}
		say(inv.Stdout, "%s replayed to the %s", what, c.ToStage)
		return nil
	})
}

// parseTime reads a time, a date or an age.
func parseTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if age, err := parseAge(s); err == nil {
		return time.Now().Add(-age), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: got %q, expected a time such as 2026-11-22T20:00:00Z, a date, or an age such as 24h", flag, s)
}
