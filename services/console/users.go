package console

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/services/console/internal/password"
	"github.com/parley-dm/parley/services/console/internal/people"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// NewUser is a user to add by a command, which whoever can reach the database may do.
type NewUser struct {
	Email, Name string
	Role        string // owner, agent or viewer
	Accounts    []string
	// Password may be empty: then there is a one-time link.
	Password string
	// By names who adds it, in the audit log; Next is where the link leads to.
	By, Next string
}

// AddUser adds a user and returns a one-time link to sign in with, or nothing for one with a password. A user who exists and
// is to get no password gets a new link: it is how an owner who is locked out comes in again.
func AddUser(ctx context.Context, db config.Database, public *url.URL, n NewUser) (link string, err error) {
	user := store.User{Email: strings.ToLower(strings.TrimSpace(n.Email)), Name: n.Name, Role: store.Role(n.Role), Accounts: n.Accounts}
	if err := people.Acceptable(user); err != nil {
		return "", err
	}
	if n.Password != "" {
		if err := password.Acceptable(n.Password); err != nil {
			return "", err
		}
		if user.PasswordHash, err = password.Hash(ctx, n.Password); err != nil {
			return "", err
		}
	}
	pool, err := postgres.Open(ctx, db, postgres.Options{Name: Name + " command", MaxConns: 1})
	if err != nil {
		return "", err
	}
	defer pool.Close()
	if err := postgres.CheckSchema(ctx, pool); err != nil {
		return "", err
	}
	s := store.New(pool, time.Now)
	by := store.Actor{Name: n.By, Via: "command"}
	added, err := s.AddUser(ctx, user)
	switch {
	case err == nil:
		err = s.Audit(ctx, by, store.Change{Action: "user.added", Target: "user:" + added.ID, Detail: map[string]any{"email": added.Email, "role": added.Role}})
	case errors.Is(err, store.ErrEmailTaken) && n.Password == "":
		added, err = again(ctx, s, user)
	case errors.Is(err, store.ErrEmailTaken):
		err = fmt.Errorf("%w: leave the password away to get a sign-in link for it", err)
	}
	if err != nil || n.Password != "" {
		return "", err
	}
	return people.Link(ctx, s, by, public, added, n.Next)
}

// again finds the user that exists, as long as it is the one that was meant.
func again(ctx context.Context, s *store.Store, want store.User) (store.User, error) {
	have, err := s.UserByEmail(ctx, want.Email)
	switch {
	case err != nil:
		return have, err
	case have.DisabledAt != nil:
		return have, fmt.Errorf("%w, and may not sign in: an owner can change that on the page People", store.ErrEmailTaken)
	case have.Role != want.Role:
		return have, fmt.Errorf("%w, with the role %s: an owner can change that on the page People", store.ErrEmailTaken, have.Role)
	}
	return have, nil
}
