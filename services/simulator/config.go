package simulator

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// Config is the simulator's settings. The defaults fit those of `parley demo`.
type Config struct {
	config.Common

	Addr       string        `env:"SIMULATOR_ADDR" envDefault:"127.0.0.1:8082" help:"the phone page and the played Graph API"`
	WebhookURL string        `env:"WEBHOOK_URL" envDefault:"http://127.0.0.1:8000/webhooks/instagram" help:"where webhooks are sent"`
	AppSecret  config.Secret `env:"FACEBOOK_APP_SECRET" envDefault:"demo-secret" help:"signs webhooks (the first of a comma-separated list); any of them may prove a call"`
	AppID      string        `env:"FACEBOOK_APP_ID" envDefault:"100000000000001" help:"the app that echoes and debug_token name"`
	PageID     string        `env:"INSTAGRAM_PAGE_ID" envDefault:"17841400000000001" help:"the account that customers write to"`
	Token      config.Secret `env:"INSTAGRAM_PAGE_ACCESS_TOKEN" envDefault:"demo-token" help:"the token that the Graph API accepts for it"`
	Shop       string        `env:"SIMULATOR_SHOP" envDefault:"Café Aurora" help:"the account's name on the phones"`
	// Accounts are more than the one above: id:token or id:token:name, separated by commas.
	Accounts config.Secret `env:"SIMULATOR_ACCOUNTS" help:"more accounts, as id:token:name separated by commas"`
	// Count adds accounts until there are so many, with ids and tokens made from the first's.
	Count    int           `env:"SIMULATOR_ACCOUNT_COUNT" envDefault:"1" help:"how many accounts there are; those not named count on from the first: id+1 with token-1 (see simulator accounts)"`
	TokenTTL time.Duration `env:"SIMULATOR_TOKEN_TTL" envDefault:"0s" help:"how long tokens live until they must be refreshed, as those of Instagram Login (1440h); 0 for ever"`

	GraphDelay       time.Duration `env:"GRAPH_DELAY" envDefault:"0s" help:"how long every send takes"`
	GraphRate        float64       `env:"GRAPH_RATE" envDefault:"100" help:"sends a second for one account before 613 is answered; 0 for no limit"`
	GraphAllowance   int           `env:"GRAPH_ALLOWANCE" envDefault:"500000" help:"calls an hour for one account, which the usage headers go by and after which 80006 is answered; 0 for no limit, as without GRAPH_RATE"`
	RequireProof     bool          `env:"GRAPH_REQUIRE_PROOF" envDefault:"false" help:"refuse calls without appsecret_proof"`
	StrictRecipients bool          `env:"GRAPH_STRICT_RECIPIENTS" envDefault:"false" help:"refuse to send to customers that never wrote through the simulator"`
	Window           bool          `env:"GRAPH_WINDOW" envDefault:"true" help:"refuse to send 24 hours after a customer's last message"`
	Echo             bool          `env:"SIMULATOR_ECHO" envDefault:"true" help:"send the echo of every reply as a webhook"`
	EchoDelay        time.Duration `env:"SIMULATOR_ECHO_DELAY" envDefault:"5ms" help:"how long after the answer"`

	MediaURL string `env:"SIMULATOR_MEDIA_URL" help:"URL of the simulator as those see it who follow its links to pictures and recordings; http://SIMULATOR_ADDR without it"`

	WebhookTimeout     time.Duration `env:"WEBHOOK_TIMEOUT" envDefault:"5s" help:"how long an answer to a webhook may take"`
	WebhookRetryBase   time.Duration `env:"WEBHOOK_RETRY_BASE" envDefault:"250ms" help:"the pause after the second attempt, which doubles from there (the first retry is immediate)"`
	WebhookRetryMax    time.Duration `env:"WEBHOOK_RETRY_MAX" envDefault:"15s" help:"the longest pause between two attempts (Meta's grows to hours)"`
	WebhookGiveUp      time.Duration `env:"WEBHOOK_GIVE_UP" envDefault:"36h" help:"how long one webhook is tried"`
	UnsubscribeAfter   time.Duration `env:"WEBHOOK_UNSUBSCRIBE_AFTER" envDefault:"1h" help:"how long an account's webhooks may fail before it is unsubscribed, as Meta does; 0 for ever"`
	WebhookConcurrency int           `env:"WEBHOOK_CONCURRENCY" envDefault:"64" help:"webhooks posted at one time"`
	LedgerLimit        int           `env:"LEDGER_LIMIT" envDefault:"1000000" help:"messages kept in memory for the verdict"`
	FaultSeed          uint64        `env:"FAULT_SEED" envDefault:"1" help:"makes the dice of faults fall the same way again"`

	// Telemetry is lent by a process that runs several services; nil in a process of one's own.
	Telemetry *telemetry.Telemetry `env:"-"`
}

// Bounds that are not worth a variable.
const (
	maxWaitingWebhooks = 200_000
	maxConversations   = 500_000
	maxAccounts        = 100_000
)

var errNoSecret = errors.New("FACEBOOK_APP_SECRET: expected at least one secret")

// Validate reports every problem.
func (c Config) Validate() error {
	errs := []error{
		c.Common.Validate(), config.Addr("SIMULATOR_ADDR", c.Addr), config.URL("WEBHOOK_URL", c.WebhookURL, "http", "https"),
	}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.secrets()) == 0 {
		errs = append(errs, errNoSecret)
	}
	if c.MediaURL != "" {
		errs = append(errs, config.URL("SIMULATOR_MEDIA_URL", c.MediaURL, "http", "https"))
	}
	if !numeric(c.AppID) {
		bad("FACEBOOK_APP_ID: got %q, expected digits", c.AppID)
	}
	if _, err := c.accounts(); err != nil {
		errs = append(errs, err)
	}
	for name, d := range map[string]time.Duration{"GRAPH_DELAY": c.GraphDelay, "SIMULATOR_ECHO_DELAY": c.EchoDelay} {
		if d < 0 || d > time.Minute {
			bad("%s: got %s, expected 0s to 1m", name, d)
		}
	}
	for name, d := range map[string]time.Duration{
		"SIMULATOR_TOKEN_TTL": c.TokenTTL, "WEBHOOK_GIVE_UP": c.WebhookGiveUp, "WEBHOOK_UNSUBSCRIBE_AFTER": c.UnsubscribeAfter,
	} {
		if d < 0 {
			bad("%s: got %s, expected 0s or more", name, d)
		}
	}
	if c.GraphAllowance < 0 {
		bad("GRAPH_ALLOWANCE: got %d, expected 0 or more", c.GraphAllowance)
	}
	if c.GraphRate < 0 {
		bad("GRAPH_RATE: got %g, expected 0 or more", c.GraphRate)
	}
	if c.WebhookTimeout <= 0 {
		bad("WEBHOOK_TIMEOUT: got %s, expected more than 0", c.WebhookTimeout)
	}
	if c.WebhookRetryBase <= 0 || c.WebhookRetryMax < c.WebhookRetryBase {
		bad("WEBHOOK_RETRY_MAX: got %s, expected WEBHOOK_RETRY_BASE (%s) or more, which is more than 0", c.WebhookRetryMax, c.WebhookRetryBase)
	}
	if c.WebhookConcurrency < 1 || c.WebhookConcurrency > 10_000 {
		bad("WEBHOOK_CONCURRENCY: got %d, expected 1 to 10000", c.WebhookConcurrency)
	}
	if c.LedgerLimit < 1 {
		bad("LEDGER_LIMIT: got %d, expected 1 or more", c.LedgerLimit)
	}
	return errors.Join(errs...)
}

// AccountList is the accounts that these settings make, with their tokens.
func (c Config) AccountList() ([]Account, error) { return c.accounts() }

func (c Config) secrets() []string {
	var out []string
	for s := range strings.SplitSeq(c.AppSecret.Reveal(), ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (c Config) accounts() ([]world.Account, error) {
	var errs []error
	first := world.Account{ID: c.PageID, Name: c.Shop, Username: handle(c.Shop), Token: c.Token.Reveal()}
	if !numeric(first.ID) {
		errs = append(errs, fmt.Errorf("INSTAGRAM_PAGE_ID: got %q, expected digits", first.ID))
	}
	if first.Token == "" {
		errs = append(errs, errors.New("INSTAGRAM_PAGE_ACCESS_TOKEN: expected a token"))
	}
	out := []world.Account{first}
	ids, tokens := map[string]bool{first.ID: true}, map[string]bool{first.Token: true}
	for part := range strings.SplitSeq(c.Accounts.Reveal(), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		id, rest, _ := strings.Cut(part, ":")
		token, name, _ := strings.Cut(rest, ":")
		if name == "" {
			name = "Shop " + id[max(0, len(id)-3):]
		}
		if !numeric(id) || token == "" || ids[id] || tokens[token] {
			errs = append(errs, fmt.Errorf("SIMULATOR_ACCOUNTS: element %d: expected id:token or id:token:name, with an id of digits, none of them twice", len(out)))
			continue
		}
		ids[id], tokens[token] = true, true
		out = append(out, world.Account{ID: id, Name: name, Username: handle(name), Token: token})
	}
	more, err := c.counted(first, len(out), ids, tokens)
	return append(out, more...), errors.Join(append(errs, err)...)
}

// counted are the accounts that are not named, up to Count.
func (c Config) counted(first world.Account, named int, ids, tokens map[string]bool) ([]world.Account, error) {
	if c.Count < 1 || c.Count > maxAccounts {
		return nil, fmt.Errorf("SIMULATOR_ACCOUNT_COUNT: got %d, expected 1 to %d", c.Count, maxAccounts)
	}
	number, err := strconv.ParseUint(first.ID, 10, 64)
	if err != nil && c.Count > 1 {
		return nil, fmt.Errorf("SIMULATOR_ACCOUNT_COUNT: INSTAGRAM_PAGE_ID %q is no number to count on from", first.ID)
	}
	var out []world.Account
	for i := 1; named+len(out) < c.Count; i++ {
		a := world.Account{ID: strconv.FormatUint(number+uint64(i), 10), Token: first.Token + "-" + strconv.Itoa(i), Name: "Shop " + strconv.Itoa(i+1)}
		if ids[a.ID] || tokens[a.Token] {
			continue
		}
		a.Username = handle(a.Name)
		out = append(out, a)
	}
	return out, nil
}

func numeric(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == ""
}

// handle makes a user name of a shop's name.
func handle(name string) string {
	plain := strings.NewReplacer("é", "e", "è", "e", "ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", " ", ".").Replace(strings.ToLower(name))
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, plain)
}

// URL is where a simulator with these settings is reached from this machine.
func (c Config) URL() string {
	host := c.Addr
	if strings.HasPrefix(host, ":") {
		host = "127.0.0.1" + host
	}
	return (&url.URL{Scheme: "http", Host: host}).String()
}
