package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
)

// Contact is what is known of a customer.
type Contact struct{ Name, Username, PictureURL string }

// Called is what they are called on pages: by their name, else by their user name, else by the end of their id.
func (c Contact) Called(customer string) string {
	switch {
	case c.Name != "":
		return c.Name
	case c.Username != "":
		return "@" + c.Username
	case len(customer) > 4:
		return "Customer …" + customer[len(customer)-4:]
	default:
		return "Customer " + customer
	}
}

// addContacts adds who customers are.
func (s *Store) addContacts(ctx context.Context, talks []Talk) error {
	channels, accounts, customers := talkKeys(talks)
	rows, err := s.pool.Query(ctx, //nolint:rowserrcheck // ForEachRow does
		`SELECT c.channel, c.page_id, c.instagram_user_id, coalesce(c.name, ''), coalesce(c.username, ''), coalesce(c.picture_url, '')
		FROM unnest($1::text[], $2::text[], $3::text[]) AS k (channel, page_id, instagram_user_id) JOIN contacts c USING (channel, page_id, instagram_user_id)`,
		channels, accounts, customers)
	if err != nil {
		return fmt.Errorf("read contacts: %w", err)
	}
	found := map[dm.Conversation]Contact{}
	var key dm.Conversation
	var c Contact
	_, err = pgx.ForEachRow(rows, []any{&key.Channel, &key.Account, &key.Customer, &c.Name, &c.Username, &c.PictureURL}, func() error {
		found[key] = c
		return nil
	})
	if err != nil {
		return fmt.Errorf("read contacts: %w", err)
	}
	for i := range talks {
		talks[i].Contact = found[talks[i].Conversation]
	}
	return nil
}

// searchContacts finds conversations by their customer's name or user name.
func (s *Store) searchContacts(ctx context.Context, scope Scope, words string) ([]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT v.id::text FROM contacts c JOIN conversations v USING (channel, page_id, instagram_user_id)
		WHERE to_tsvector('simple', coalesce(c.name, '') || ' ' || coalesce(c.username, '')) @@ `+tsquery+`
			AND (cardinality($2::text[]) = 0 OR c.page_id = ANY ($2)) LIMIT `+searchFoundText, words, scope)
	if err != nil {
		return nil, fmt.Errorf("search contacts: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("search contacts: %w", err)
	}
	return ids, nil
}

// talkKeys are the keys of conversations, as columns.
func talkKeys(talks []Talk) (channels, accounts, customers []string) {
	for i := range talks {
		channels, accounts, customers = append(channels, string(talks[i].Channel)), append(accounts, talks[i].Account), append(customers, talks[i].Customer)
	}
	return channels, accounts, customers
}
