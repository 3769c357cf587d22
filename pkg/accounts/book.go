package accounts

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
)

// Options says how to open a [Book].
type Options struct {
	Settings Settings
	// Tokens is set by who sends. Without it token files are not opened and no account needs a token.
	Tokens *Tokens
	// Log is told of changes and of a new file that is broken; nil for silence.
	Log *slog.Logger
	// Every is how often ACCOUNTS_FILE is looked at; a second if zero.
	Every time.Duration
}

// Book is the list of accounts. It is safe for concurrent use; looking one up costs a map access.
type Book struct {
	o   Options
	log *slog.Logger

	mu       sync.RWMutex
	accounts map[key]Account
	// configured is what the settings say, without the tokens that took the place of theirs.
	configured map[key]Account
	renewed    map[key]Renewal
	secrets    []config.Secret
	changed    chan struct{}
	// problem is why the newest file could not be used.
	problem error

	watch watch
}

// Open reads the accounts. It fails on a broken ACCOUNTS_FILE with an error that names every problem by file, line and
// field. Call [Book.Run] to follow the file.
func Open(o Options) (*Book, error) {
	if o.Every <= 0 {
		o.Every = time.Second
	}
	b := &Book{o: o, log: o.Log, changed: make(chan struct{})}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.watch.before(o.Settings.AccountsFile)
	list, tokens, err := b.read()
	if err != nil {
		return nil, err
	}
	b.accounts, b.configured, b.secrets = list, list, appSecrets(list)
	b.watch.read(tokens)
	return b, nil
}

// Renewal is a token that takes the place of a configured one.
type Renewal struct {
	Channel dm.Channel
	ID      string
	// Instead is the [Fingerprint] of the configured token.
	Instead string
	Token   config.Secret
}

// Renew puts tokens in the place of those that are configured, as long as they are configured: whoever configures another
// one wants that one.
func (b *Book) Renew(renewals ...Renewal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.renewed == nil {
		b.renewed = map[key]Renewal{}
	}
	for _, r := range renewals {
		b.renewed[key{r.Channel, r.ID}] = r
	}
	b.apply(b.effective(b.configured))
}

// Configured is an account as it is configured, whatever token has taken its token's place.
func (b *Book) Configured(channel dm.Channel, id string) (Account, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	a, ok := b.configured[key{channel, id}]
	return a, ok
}

// effective are accounts with the tokens that hold.
func (b *Book) effective(configured map[key]Account) map[key]Account {
	if len(b.renewed) == 0 {
		return configured
	}
	out := maps.Clone(configured)
	for k, r := range b.renewed {
		if a, ok := out[k]; ok && a.Token != "" && Fingerprint(a.Token) == r.Instead {
			a.Token = r.Token
			out[k] = a
		}
	}
	return out
}

// apply puts accounts in place and says whether anything differs.
func (b *Book) apply(accounts map[key]Account) bool {
	if maps.Equal(b.accounts, accounts) {
		return false
	}
	b.accounts, b.secrets = accounts, appSecrets(accounts)
	close(b.changed)
	b.changed = make(chan struct{})
	return true
}

// Get finds an account. Not found means that we neither answer for it nor hold its token.
func (b *Book) Get(channel dm.Channel, id string) (Account, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	a, ok := b.accounts[key{channel, id}]
	return a, ok
}

// Answers says whether customers who write to the account are answered: it is in the book and not for the archive only.
func (b *Book) Answers(channel dm.Channel, id string) bool {
	a, ok := b.Get(channel, id)
	return ok && a.Reply
}

// All lists the accounts by channel and id.
func (b *Book) All() []Account {
	b.mu.RLock()
	list := slices.Collect(maps.Values(b.accounts))
	b.mu.RUnlock()
	slices.SortFunc(list, func(x, y Account) int {
		if c := strings.Compare(string(x.Channel), string(y.Channel)); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	return list
}

// AppSecrets lists the app secrets that accounts have of their own, each once. The slice is shared: do not write to it.
func (b *Book) AppSecrets() []config.Secret {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.secrets
}

func appSecrets(accounts map[key]Account) []config.Secret {
	var out []config.Secret
	for _, a := range accounts {
		if a.AppSecret != "" {
			out = append(out, a.AppSecret)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Changed returns a channel that is closed when the accounts change next: an account more or less, a new token. Take it
// before reading the accounts and no change is missed.
func (b *Book) Changed() <-chan struct{} {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.changed
}

// Problem is why the newest ACCOUNTS_FILE is not in use, nil while it is: something for a health check.
func (b *Book) Problem() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.problem
}

// read gives the accounts that the settings name now, and the token files that were read for them.
func (b *Book) read() (map[key]Account, *tokenFiles, error) {
	s := b.o.Settings
	if s.PageID == "" && s.AccountsFile == "" {
		return nil, nil, errors.New("accounts: neither INSTAGRAM_PAGE_ID nor ACCOUNTS_FILE is set")
	}
	accounts := map[key]Account{}
	if s.PageID != "" {
		a := s.single(b.o.Tokens)
		accounts[a.key()] = a
	}
	if s.AccountsFile == "" {
		return accounts, nil, nil
	}
	var tokens *tokenFiles
	if b.o.Tokens != nil {
		tokens = &tokenFiles{}
	}
	list, problems := readFile(s.AccountsFile, tokens)
	if len(problems) > 0 {
		return nil, tokens, errors.Join(named(problems)...)
	}
	for _, a := range list {
		accounts[a.key()] = a // the file says more than the two variables do: it wins
	}
	return accounts, tokens, nil
}

// set puts new accounts in place and says whether anything differs.
func (b *Book) set(accounts map[key]Account) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problem = nil
	b.configured = accounts
	return b.apply(b.effective(accounts))
}

func (b *Book) setProblem(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problem = err
}
