package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// searchFound bounds how many conversations a search finds.
	searchFound     = 200
	searchFoundText = "200"
	// searchRows bounds how many messages are read in one step back, searchTime when no further step is taken after those of
	// the last fortnight.
	searchRows = "3000"
	searchTime = 120 * time.Millisecond
	// searchDays is how far the steps back go, each twice as long as the one before; then comes all that is older, at once.
	searchDays = 2000
)

// tsquery finds names that have all the words, the last one perhaps not written to its end.
const tsquery = `(nullif(plainto_tsquery('simple', $1)::text, '') || ':*')::tsquery`

// searchSQL reads the newest messages that match, of those that are in the index messages_search: what customers and people
// wrote. The words of the account and of the days are in the query; see the migration.
const searchSQL = `SELECT conversation_id::text FROM (
		SELECT conversation_id, timestamp FROM messages
		WHERE parley_words(message_text, account, timestamp) @@ (plainto_tsquery('simple', $1) && $2::tsquery)
			AND (direction = 'inbound' OR coalesce(metadata #>> '{intent,origin}', 'operator') = 'operator') LIMIT ` + searchRows + `) m
	GROUP BY conversation_id ORDER BY max(timestamp) DESC`

// Search finds conversations by words that were written in them, the newest first, or by the customer's name. many says that there
// may be more than were found. It steps back in time, so that words that are in every other message are found at once
// among the newest, and rare ones wherever they are.
func (s *Store) Search(ctx context.Context, scope Scope, words string) (ids []string, many bool, err error) {
	var nodes int
	if err := s.pool.QueryRow(ctx, `SELECT numnode(plainto_tsquery('simple', $1))`, words).Scan(&nodes); err != nil {
		return nil, false, fmt.Errorf("read what is searched for: %w", err)
	}
	if nodes == 0 {
		return []string{}, false, nil
	}
	if ids, err = s.searchContacts(ctx, scope, words); err != nil {
		return nil, false, err
	}
	seen := map[string]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	began := time.Now()
	today := int(s.now().Unix() / 86400)
	for from, length := today+1, 2; ; from, length = from-length, 2*length {
		oldest := from < today-searchDays
		found, err := s.searchStep(ctx, words, within(scope, from, length, oldest))
		if err != nil {
			return nil, false, err
		}
		for _, id := range found {
			if !seen[id] {
				seen[id], ids = true, append(ids, id)
			}
		}
		switch {
		case oldest:
			return ids[:min(len(ids), searchFound)], len(ids) > searchFound, nil
		case len(ids) >= searchFound:
			return ids[:searchFound], true, nil
		case length >= 8 && time.Since(began) > searchTime:
			return ids, true, nil
		}
	}
}

func (s *Store) searchStep(ctx context.Context, words, within string) ([]string, error) {
	rows, err := s.pool.Query(ctx, searchSQL, words, within)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return found, nil
}

// within is the part of a query that names accounts and days: so many before from, or all that are before any step.
func within(scope Scope, from, length int, oldest bool) string {
	var days, accounts []string
	for d := range length {
		days = append(days, lexeme("#"+strconv.Itoa(from-d)))
	}
	for _, a := range scope {
		accounts = append(accounts, lexeme("@"+a))
	}
	var parts []string
	if !oldest {
		parts = append(parts, "("+strings.Join(days, "|")+")")
	}
	if len(accounts) > 0 {
		parts = append(parts, "("+strings.Join(accounts, "|")+")")
	}
	return strings.Join(parts, "&")
}

// lexeme quotes a word for a tsquery.
func lexeme(word string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(word) + "'"
}
