// Package people is what the console's pages and its commands have in common about users: what a new one must be, and the
// one-time link that they sign in with first.
package people

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// LinkAge is how long a one-time link works.
const LinkAge = 3 * 24 * time.Hour

const maxName, maxAccounts = 100, 1000

// Acceptable says what is wrong with a user.
func Acceptable(u store.User) error {
	email := strings.TrimSpace(u.Email)
	at, err := mail.ParseAddress(email)
	switch {
	case err != nil || at.Address != email || len(email) > 254:
		return fmt.Errorf("e-mail address: got %q, expected such as ann@example.com", email)
	case !slices.Contains(store.Roles, u.Role):
		return fmt.Errorf("role: got %q, expected owner, agent or viewer", u.Role)
	case len(u.Name) > maxName || strings.ContainsFunc(u.Name, func(r rune) bool { return r < ' ' }):
		return fmt.Errorf("name: expected one line of at most %d bytes", maxName)
	case len(u.Accounts) > maxAccounts:
		return fmt.Errorf("accounts: got %d, expected %d at most", len(u.Accounts), maxAccounts)
	case u.Role == store.Owner && len(u.Accounts) > 0:
		return errors.New("accounts: an owner sees all, expected none")
	}
	return nil
}

// Store keeps links.
type Store interface {
	AddLink(ctx context.Context, by store.Actor, userID string, hash []byte, expires time.Time) error
}

// Link makes a one-time link for a user, in place of those before, that leads to next.
func Link(ctx context.Context, s Store, by store.Actor, public *url.URL, u store.User, next string) (string, error) {
	token, hash := web.NewToken()
	if err := s.AddLink(ctx, by, u.ID, hash, time.Now().Add(LinkAge)); err != nil {
		return "", err
	}
	to := public.JoinPath("welcome")
	query := url.Values{"token": {token}}
	if next != "" {
		query.Set("next", next)
	}
	to.RawQuery = query.Encode()
	return to.String(), nil
}
