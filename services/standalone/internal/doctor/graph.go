package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

// What the webhooks of an account have to carry, and what its token has to allow, by login. A token's own word on its scopes
// is had of Facebook's only.
var (
	neededFields = []string{"messages"}
	wantedFields = []string{"messaging_postbacks", "message_reactions", "messaging_seen"}
	neededScope  = "instagram_manage_messages"
)

// expiresSoon is when an operator should know of a token's end.
const expiresSoon = 7 * 24 * time.Hour

// graph asks Meta about each account: whether the token works, and whether webhooks will come.
func (p Patient) graph(ctx context.Context, r *report) {
	if p.Graph == nil {
		return
	}
	g := *p.Graph
	book, err := accounts.Open(accounts.Options{Settings: g.Settings, Tokens: &g.Tokens})
	if err != nil {
		return // told as a problem of the settings
	}
	client := graph.New(graph.Options{Version: g.Version, Timeout: within / 3})
	defer client.Close()
	clocks := map[string]bool{}
	for _, a := range book.All() {
		x := &examination{r: r, client: client, g: g, account: a, cred: g.credentials(a)}
		x.examine(ctx, clocks)
	}
}

func (g Graph) credentials(a accounts.Account) graph.Credentials {
	cred := graph.Credentials{BaseURL: a.GraphURL(strings.TrimRight(g.URL, "/")), Token: a.Token, AppSecret: a.AppSecret}
	if cred.AppSecret == "" && a.Login != accounts.LoginInstagram {
		cred.AppSecret = g.AppSecret
	}
	return cred
}

// examination is that of one account.
type examination struct {
	r       *report
	client  *graph.Client
	g       Graph
	account accounts.Account
	cred    graph.Credentials
}

func (x *examination) examine(ctx context.Context, clocks map[string]bool) {
	check := "account " + x.account.ID
	if x.account.Token == "" {
		x.r.ok(check, "it is archived and never answered: it has no token")
		return
	}
	before := time.Now()
	profile, err := x.profile(ctx)
	after := time.Now()
	if host := x.cred.BaseURL; !clocks[host] {
		clocks[host] = true
		switch {
		case err != nil && !graph.Refused(err):
			x.r.problem("graph api", "see that this machine may connect there; replies wait until it can", "%s: %v", host, err)
			return
		default:
			x.r.ok("graph api", "%s answers in %s", host, after.Sub(before).Round(time.Millisecond))
			x.r.clock("graph api clock", profile.ServerTime, before, after, time.Second)
		}
	}
	switch {
	case err != nil:
		x.r.problem(check, "put a token in its place that works; its replies wait, and go out by themselves then", "its token does not work: %v", err)
		return
	case profile.ID != x.account.ID:
		x.r.problem(check, "give the account the token that belongs to it, or set its id right", "its token belongs to %s", profile.ID)
		return
	}
	x.r.ok(check, "its token works for @%s", profile.Username)
	x.token(ctx, check)
	x.subscription(ctx, check)
}

// profile looks up whom the token is for.
func (x *examination) profile(ctx context.Context) (graph.Profile, error) {
	if x.account.Login == accounts.LoginInstagram {
		return x.client.Me(ctx, x.cred)
	}
	return x.client.Account(ctx, x.cred, x.account.ID)
}

// token asks what a Facebook login's token may do, and until when.
func (x *examination) token(ctx context.Context, check string) {
	if x.account.Login == accounts.LoginInstagram {
		return // Meta tells nothing of these
	}
	if x.g.AppID == "" {
		x.r.warn(check+" token", "set FACEBOOK_APP_ID", "when it expires and what it may do cannot be asked without the app's id")
		return
	}
	t, err := x.client.DebugToken(ctx, x.cred.AsApp(x.g.AppID), x.cred.Token)
	left := time.Until(t.Expires)
	switch {
	case err != nil:
		x.r.warn(check+" token", "see that FACEBOOK_APP_ID and FACEBOOK_APP_SECRET are those of the app that made it", "%v", err)
	case !t.Valid:
		x.r.problem(check+" token", "make a new one", "Meta says that it is not valid: %s", t.Problem)
	case len(t.Scopes) > 0 && !slices.Contains(t.Scopes, neededScope):
		x.r.problem(check+" token", "make a new one, with that permission", "it lacks %s", neededScope)
	case !t.Expires.IsZero() && left < expiresSoon:
		x.r.warn(check+" token", "make a new one before", "it expires on %s", t.Expires.Format(time.RFC3339))
	case t.Expires.IsZero():
		x.r.ok(check+" token", "it does not expire, and may send")
	default:
		x.r.ok(check+" token", "it expires on %s, and may send", t.Expires.Format(time.RFC3339))
	}
}

// subscription asks whether Meta sends webhooks.
func (x *examination) subscription(ctx context.Context, check string) {
	check += " webhooks"
	all, err := x.client.Subscriptions(ctx, x.cred)
	if err != nil {
		x.r.warn(check, "look at it in the App Dashboard", "%v", err)
		return
	}
	do := fmt.Sprintf("POST %s/me/subscribed_apps?subscribed_fields=%s with its token", x.cred.BaseURL, strings.Join(slices.Concat(neededFields, wantedFields), ","))
	ours := slices.IndexFunc(all, func(s graph.Subscription) bool { return x.g.AppID == "" || s.AppID == x.g.AppID })
	if ours < 0 {
		x.r.problem(check, do, "the app is not subscribed: Meta sends nothing. It ends a subscription when webhooks failed for an hour")
		return
	}
	missing := func(fields []string) []string {
		return slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return slices.Contains(all[ours].Fields, f) })
	}
	switch needed, wanted := missing(neededFields), missing(wantedFields); {
	case len(needed) > 0:
		x.r.problem(check, do, "Meta does not send %s", strings.Join(needed, ", "))
	case len(wanted) > 0:
		x.r.warn(check, do, "Meta does not send %s", strings.Join(wanted, ", "))
	default:
		x.r.ok(check, "Meta sends %s", strings.Join(all[ours].Fields, ", "))
	}
}
