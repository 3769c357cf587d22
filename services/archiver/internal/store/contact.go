package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/archiver/internal/record"
)

// What was fetched last counts. Two of the same microsecond are the same look-up: their event has the same id.
const upsertContacts = `
INSERT INTO contacts AS c (channel, page_id, instagram_user_id, name, username, picture_url, no_consent, fetched_at)
SELECT channel, page, customer, nullif(name, ''), nullif(username, ''), nullif(picture, ''), refused, at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::timestamptz[])
  AS k (channel, page, customer, name, username, picture, refused, at)
ON CONFLICT (channel, page_id, instagram_user_id) DO UPDATE SET
    name = excluded.name, username = excluded.username, picture_url = excluded.picture_url, no_consent = excluded.no_consent, fetched_at = excluded.fetched_at
WHERE excluded.fetched_at > c.fetched_at`

func (f *fold) addContact(c *record.Contact) {
	if known, ok := f.contacts[c.Key]; !ok || c.Later(known) {
		f.contacts[c.Key] = c
	}
}

// writeContacts writes in one order everywhere, so that two writers do not deadlock.
func (f *fold) writeContacts(b *pgx.Batch) {
	n := len(f.contacts)
	if n == 0 {
		return
	}
	all := keys(f.contacts)
	slices.SortFunc(all, func(a, b dm.Conversation) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Customer, b.Customer))
	})
	channels, pages, customers := make([]string, n), make([]string, n), make([]string, n)
	names, usernames, pictures := make([]string, n), make([]string, n), make([]string, n)
	refused, at := make([]bool, n), make([]time.Time, n)
	for i, key := range all {
		c := f.contacts[key]
		channels[i], pages[i], customers[i] = string(key.Channel), key.Account, key.Customer
		names[i], usernames[i], pictures[i], refused[i], at[i] = c.Name, c.Username, c.PictureURL, c.NoConsent, c.FetchedAt
	}
	b.Queue(upsertContacts, channels, pages, customers, names, usernames, pictures, refused, at)
}
