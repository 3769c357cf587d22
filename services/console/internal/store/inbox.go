package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
)

// InboxFilter says which conversations are listed, and in which order.
type InboxFilter struct {
	Account string
	Label   string
	// Assignee is a user's id, or "none" for nobody's.
	Assignee string
	Unread   bool
	// Waiting lists those whose customer had the last word, the longest silence of ours first. Otherwise the newest is first.
	Waiting bool
	Closed  bool
	// Only, if not nil, are the ids of the only conversations that are listed, open or closed; Not those that are not.
	Only, Not []string
	// OnlyOpen lists of Only what is open, or closed, as it does without.
	OnlyOpen bool
	After    InboxCursor
	Limit    int
}

// NoAssignee is the filter's assignee that lists what nobody is assigned to.
const NoAssignee = "none"

// InboxCursor is where a page of the list ends; zero for its beginning.
type InboxCursor struct {
	At time.Time
	ID string
}

// String writes the cursor for a URL.
func (c InboxCursor) String() string {
	if c.ID == "" {
		return ""
	}
	return strconv.FormatInt(c.At.UnixMicro(), 10) + "_" + c.ID
}

// ParseCursor reads what String wrote; anything else is the beginning.
func ParseCursor(s string) InboxCursor {
	at, id, ok := strings.Cut(s, "_")
	micros, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || !isUUID(id) {
		return InboxCursor{}
	}
	return InboxCursor{At: time.UnixMicro(micros).UTC(), ID: id}
}

// isUUID keeps from PostgreSQL what it would call a syntax error.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdef", rune(c)) {
			return false
		}
	}
	return true
}

// Talk is a conversation as the inbox has it.
type Talk struct {
	ID string
	dm.Conversation
	Contact                                        Contact
	LastMessageAt, LastInboundAt, LastOutboundAt   *time.Time
	Open, Unread, Waiting                          bool
	AssigneeID, AssigneeName                       string
	Labels                                         []string
	Text, Type, Direction, Origin, Status, Payload string // of the newest message
	Deleted                                        bool
}

// Name is what the customer is called on pages.
func (t *Talk) Name() string { return t.Contact.Called(t.Customer) }

const talkColumns = `c.id, c.channel, c.page_id, c.instagram_user_id, c.last_message_at, c.last_inbound_at, c.last_outbound_at,
	c.is_open, c.is_unread, c.is_waiting, coalesce(c.assignee::text, ''), coalesce(nullif(u.name, ''), u.email, ''),
	coalesce(left(m.message_text, 200), ''), coalesce(m.message_type, ''), coalesce(m.direction, ''), coalesce(m.metadata #>> '{intent,origin}', ''),
	coalesce(m.status, ''), coalesce(m.metadata ->> 'payload', ''), m.deleted_at IS NOT NULL`

// talkJoins adds who it is assigned to and the newest message.
const talkJoins = ` LEFT JOIN users u ON u.id = c.assignee
	LEFT JOIN LATERAL (SELECT message_text, message_type, direction, status, metadata, deleted_at FROM messages
		WHERE conversation_id = c.id ORDER BY timestamp DESC, id DESC LIMIT 1) m ON true`

func scanTalk(row pgx.CollectableRow) (t Talk, err error) {
	err = row.Scan(&t.ID, &t.Channel, &t.Account, &t.Customer, &t.LastMessageAt, &t.LastInboundAt, &t.LastOutboundAt, &t.Open, &t.Unread, &t.Waiting,
		&t.AssigneeID, &t.AssigneeName, &t.Text, &t.Type, &t.Direction, &t.Origin, &t.Status, &t.Payload, &t.Deleted)
	return t, err
}

// inboxSQL writes the query of a filter. Conditions are written only where they narrow: a plan made for "all or these" could
// not look for them in an index.
func inboxSQL(scope Scope, f InboxFilter) (sql string, args []any) {
	where := []string{"c.last_message_at IS NOT NULL"}
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	add := func(condition string) { where = append(where, condition) }
	switch {
	case f.Only != nil && !f.OnlyOpen:
	case f.Closed:
		add("NOT c.is_open")
	default:
		add("c.is_open")
	}
	if f.Only != nil {
		add("c.id = ANY (" + arg(f.Only) + "::uuid[])")
	}
	switch {
	case f.Account != "":
		add("c.page_id = " + arg(f.Account))
	case len(scope) > 0:
		add("c.page_id = ANY (" + arg(scope) + "::text[])")
	}
	if f.Unread {
		add("c.is_unread")
	}
	if len(f.Not) > 0 {
		add("c.id <> ALL (" + arg(f.Not) + "::uuid[])")
	}
	switch {
	case f.Assignee == NoAssignee:
		add("c.assignee IS NULL")
	case f.Assignee != "":
		add("c.assignee = " + arg(f.Assignee) + "::uuid")
	}
	if f.Label != "" {
		add(hasLabel(arg(f.Label)))
	}
	order := "c.last_message_at DESC, c.id DESC"
	if f.Waiting {
		add("c.is_waiting")
		order = "c.last_inbound_at, c.id"
	}
	if f.After.ID != "" {
		at, id := arg(f.After.At), arg(f.After.ID)
		if f.Waiting {
			add("(c.last_inbound_at, c.id) > (" + at + "::timestamptz, " + id + "::uuid)")
		} else {
			add("(c.last_message_at, c.id) < (" + at + "::timestamptz, " + id + "::uuid)")
		}
	}
	return `SELECT ` + talkColumns + ` FROM (SELECT * FROM conversations c WHERE ` + strings.Join(where, " AND ") +
		` ORDER BY ` + order + ` LIMIT ` + arg(f.Limit) + `) c` + talkJoins + ` ORDER BY ` + order, args
}

// Inbox lists conversations. What it could not list in one page begins at next, which is zero at the end.
func (s *Store) Inbox(ctx context.Context, scope Scope, f InboxFilter) (talks []Talk, next InboxCursor, err error) {
	if f.Account != "" && len(scope) > 0 && !slices.Contains(scope, f.Account) || f.Assignee != "" && f.Assignee != NoAssignee && !isUUID(f.Assignee) {
		return nil, next, nil
	}
	limit := f.Limit
	f.Limit++
	sql, args := inboxSQL(scope, f)
	rows, err := s.pool.Query(ctx, sql, args...)
	if err == nil {
		talks, err = pgx.CollectRows(rows, scanTalk)
	}
	if err == nil {
		err = s.describe(ctx, talks)
	}
	if err != nil {
		return nil, next, fmt.Errorf("list conversations: %w", err)
	}
	if len(talks) > limit {
		talks = talks[:limit]
		last := &talks[limit-1]
		next = InboxCursor{At: *last.LastMessageAt, ID: last.ID}
		if f.Waiting {
			next.At = *last.LastInboundAt
		}
	}
	return talks, next, nil
}

// Talk finds one conversation.
func (s *Store) Talk(ctx context.Context, scope Scope, id string) (Talk, error) {
	if !isUUID(id) {
		return Talk{}, ErrNotFound
	}
	rows, err := s.pool.Query(ctx, `SELECT `+talkColumns+` FROM conversations c`+talkJoins+`
		WHERE c.id = $2 AND (cardinality($1::text[]) = 0 OR c.page_id = ANY ($1))`, scope, id)
	var t Talk
	if err == nil {
		t, err = pgx.CollectExactlyOneRow(rows, scanTalk)
	}
	one := []Talk{t}
	if err == nil {
		err = s.describe(ctx, one)
	}
	if err != nil {
		return Talk{}, fmt.Errorf("find conversation: %w", notFound(err))
	}
	return one[0], nil
}

// describe adds names and labels.
func (s *Store) describe(ctx context.Context, talks []Talk) error {
	if len(talks) == 0 {
		return nil
	}
	if err := s.addContacts(ctx, talks); err != nil {
		return err
	}
	return s.addLabels(ctx, talks)
}

// InboxAccounts are the accounts that have conversations, at most so many: a loose scan of the index by account, one step for
// each.
func (s *Store) InboxAccounts(ctx context.Context, scope Scope, most int) ([]string, error) {
	if len(scope) > 0 {
		return scope, nil
	}
	rows, err := s.pool.Query(ctx, `
		WITH RECURSIVE a (page_id, n) AS (
			(SELECT page_id, 1 FROM conversations ORDER BY page_id LIMIT 1)
			UNION ALL
			SELECT (SELECT c.page_id FROM conversations c WHERE c.page_id > a.page_id ORDER BY c.page_id LIMIT 1), n + 1
			FROM a WHERE a.page_id IS NOT NULL AND n < $1)
		SELECT page_id FROM a WHERE page_id IS NOT NULL`, most)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	accounts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return accounts, nil
}
