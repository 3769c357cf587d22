package page

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// accountsData is how every account stands.
type accountsData struct {
	Accounts []accountItem
	// Takes: the console can give new tokens.
	Takes, MayResume, MaySetToken bool
	// Problem is what was wrong with the form of the account ProblemKey.
	Problem, ProblemKey string
}

// accountItem is an account, or an app whose accounts are all concerned.
type accountItem struct {
	accounts.State
	// Known: senders have told of it.
	Known bool
	now   time.Time
}

// From what used-up percentage on the sender slows down; in the time before it dies a token is warned of.
const (
	slowFrom   = 80
	expiryWarn = 7 * 24 * time.Hour
)

// UsageTone is how the share of Meta's allowance that is used up is drawn.
func (a accountItem) UsageTone() string {
	switch {
	case a.Usage == nil || a.Usage.Percent < slowFrom:
		return ""
	case a.Usage.Percent < 100:
		return "warn"
	default:
		return "bad"
	}
}

// Slowed says how much slower than it could the account sends; empty at full rate.
func (a accountItem) Slowed() string {
	if a.Usage == nil || a.Usage.Rate >= 1 {
		return ""
	}
	return fmt.Sprintf("It sends at %.3g %% of its rate, so that Meta need not refuse.", 100*a.Usage.Rate)
}

// ExpiryNote is said of a token that is dead, or will be within days; empty of others.
func (a accountItem) ExpiryNote() string {
	switch left := a.Token.Expires.Sub(a.now); {
	case left <= 0:
		return "dead"
	case left < expiryWarn:
		return "soon"
	default:
		return ""
	}
}

// ExpiryTone is how it is drawn.
func (a accountItem) ExpiryTone() string {
	if a.ExpiryNote() == "dead" {
		return "bad"
	}
	return "warn"
}

// accounts lists how accounts stand.
func (p *Pages) accounts(w http.ResponseWriter, r *http.Request) error {
	return p.showAccounts(w, r, http.StatusOK, accountsData{})
}

func (p *Pages) showAccounts(w http.ResponseWriter, r *http.Request, status int, data accountsData) (err error) {
	if data.Accounts, err = p.accountItems(r); err != nil {
		return busAway(err, "How accounts stand is kept on the bus, and it is not reached now.")
	}
	role := web.UserOf(r).Role
	data.Takes, data.MayResume, data.MaySetToken = p.Tokens.TakesTokens(), role.May(store.Agent), role.May(store.Owner)
	return p.showWith(w, r, status, "accounts/accounts", "Accounts", data)
}

// accountItems are the accounts that senders have told of, and those that have conversations; what is to be seen to is first.
func (p *Pages) accountItems(r *http.Request) ([]accountItem, error) {
	if p.AccountStates == nil || p.Tokens == nil {
		return nil, ops.ErrAway
	}
	states, err := p.AccountStates.States(r.Context())
	if err != nil {
		return nil, err
	}
	scope := web.ScopeOf(r)
	var items []accountItem
	told := map[string]bool{}
	for i := range states {
		// An app's pause holds all its accounts back: everybody is told.
		if s := states[i]; s.App != "" || len(scope) == 0 || slices.Contains(scope, s.Account) {
			told[s.Key()] = true
			items = append(items, accountItem{State: s, Known: true, now: p.Now()})
		}
	}
	seen, err := p.Store.Accounts(r.Context(), scope)
	if err != nil {
		return nil, err
	}
	for _, a := range seen {
		if s := (accounts.State{Channel: a.Channel, Account: a.ID}); !told[s.Key()] {
			items = append(items, accountItem{State: s, now: p.Now()})
		}
	}
	slices.SortStableFunc(items, func(a, b accountItem) int {
		if x, y := a.urgency(), b.urgency(); x != y {
			return y - x
		}
		return strings.Compare(a.Key(), b.Key())
	})
	return items, nil
}

// urgency is greater for what a person should see to.
func (a accountItem) urgency() int {
	switch {
	case a.Pause != nil:
		return 2
	case a.Token != nil && (!a.Token.Valid || a.Token.Problem != "" || !a.Token.Expires.IsZero() && a.ExpiryNote() != ""):
		return 1
	default:
		return 0
	}
}
