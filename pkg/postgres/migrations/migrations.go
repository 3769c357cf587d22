// Package migrations holds the one history of the database's schema, for every service.
//
// A migration is never changed once released: another follows it. Each adds only, so that the version before runs on
// the schema after, and each can be taken back.
package migrations

import "embed"

// FS holds the migrations, in goose's format.
//
//go:embed *.sql
var FS embed.FS
