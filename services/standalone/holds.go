package standalone

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/topology"
)

type holdsCommand struct {
	List    holdsListCommand    `cmd:"" default:"withargs" help:"List the conversations that the bot does not have, with who has them and why."`
	Hold    holdsHoldCommand    `cmd:"" help:"Take a conversation from the bot, for a time or until it is given back."`
	Release holdsReleaseCommand `cmd:"" help:"Give a conversation back to the bot, whoever has it."`
}

type holdsListCommand struct {
	Account string `help:"Only those of one account."`
	All     bool   `help:"Also those that the bot has again, for as long as that is remembered."`
	JSON    bool   `help:"One JSON object a line."`
}

// Run lists who has which conversation.
func (c *holdsListCommand) Run(ctx context.Context, inv Invocation) error {
	return withBus(ctx, inv, func(conn *bus.Conn) error {
		bucket, err := bus.OpenBucket(ctx, conn, topology.Conversations.Name)
		if err != nil {
			return err
		}
		var found []holds.Record
		now := time.Now()
		err = holds.New(bucket, holds.Options{}).List(ctx, func(r holds.Record) error {
			conversation, err := dm.ParseConversation(r.Conversation)
			if err != nil {
				return err
			}
			if _, held := r.At(now); (held || c.All) && (c.Account == "" || c.Account == conversation.Account) {
				found = append(found, r)
			}
			return nil
		})
		if err != nil {
			return err
		}
		slices.SortFunc(found, func(a, b holds.Record) int { return strings.Compare(a.Conversation, b.Conversation) })
		return c.print(inv, found, now)
	})
}

func (c *holdsListCommand) print(inv Invocation, found []holds.Record, now time.Time) error {
	if c.JSON {
		lines := json.NewEncoder(inv.Stdout)
		for _, r := range found {
			if err := lines.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(inv.Stdout, 0, 0, 2, ' ', 0)
	for n, r := range found {
		if n == 0 {
			_, _ = fmt.Fprintln(table, "CONVERSATION\tHOLDER\tREASON\tBY\tSINCE\tUNTIL")
		}
		for _, h := range []*dm.Hold{r.Person, r.App} {
			if h == nil || !c.All && !h.Holds(now) {
				continue
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Conversation, h.Holder, h.Reason, h.By, h.At.UTC().Format(time.RFC3339), end(*h))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	say(inv.Stdout, "%d conversation(s)", len(found))
	return nil
}

// end says until when.
func end(h dm.Hold) string {
	switch {
	case h.Holder == dm.HolderBot:
		return ""
	case h.Until.IsZero():
		return "it is released"
	default:
		return h.Until.UTC().Format(time.RFC3339)
	}
}

type holdsHoldCommand struct {
	Conversation string        `arg:"" help:"The conversation, as channel:account:customer."`
	For          time.Duration `help:"For how long, such as 12h; without it, until it is released." placeholder:"TIME"`
	By           string        `help:"Who has it; the system's user by default."`
}

// Run takes a conversation from the bot.
func (c *holdsHoldCommand) Run(ctx context.Context, inv Invocation) error {
	o := holds.Operation{By: whoAsks(c.By)}
	switch {
	case c.For < 0:
		return fmt.Errorf("--for: got %s, expected more than 0", c.For)
	case c.For > 0:
		o.Until = time.Now().Add(c.For)
	}
	return operate(ctx, inv, c.Conversation, o)
}

type holdsReleaseCommand struct {
	Conversation string `arg:"" help:"The conversation, as channel:account:customer."`
	By           string `help:"Who gives it back; the system's user by default."`
}

// Run gives a conversation back to the bot.
func (c *holdsReleaseCommand) Run(ctx context.Context, inv Invocation) error {
	return operate(ctx, inv, c.Conversation, holds.Operation{By: whoAsks(c.By), Release: true})
}

func operate(ctx context.Context, inv Invocation, conversation string, o holds.Operation) error {
	var err error
	if o.Conversation, err = dm.ParseConversation(conversation); err != nil {
		return err
	}
	return withBus(ctx, inv, func(conn *bus.Conn) error {
		change, err := holds.Operate(ctx, conn, o)
		switch {
		case err != nil:
			return err
		case !change.Changed:
			say(inv.Stdout, "%s: the bot has it already", o.Conversation)
		case o.Release:
			say(inv.Stdout, "%s: the bot has it again", o.Conversation)
		default:
			say(inv.Stdout, "%s: a person has it, until %s", o.Conversation, end(*change.Record.Person))
		}
		return nil
	})
}
