// Package accounts says which accounts this installation answers for: the one that INSTAGRAM_PAGE_ID names, those of
// ACCOUNTS_FILE, or both. A [Book] holds them and follows the file as it changes.
//
// Beside it are the forms in which others keep what they know of accounts: a [State], and tokens in a [Vault].
//
// It knows nothing of the Graph API but where an account's lives, and it neither refreshes tokens nor checks that they work.
package accounts

import (
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
)

// Login is how an account was connected; it decides the Graph API's host and the style of the token.
type Login string

// The logins.
const (
	LoginFacebook  Login = "facebook"  // a Page token, graph.facebook.com
	LoginInstagram Login = "instagram" // an Instagram user token, graph.instagram.com
)

// Account is one business account.
type Account struct {
	// ID is what webhooks carry as entry[].id.
	ID      string
	Name    string
	Channel dm.Channel
	Login   Login
	// Token is empty where the book was opened without [Options].Tokens.
	Token config.Secret
	// AppSecret is empty where the app's FACEBOOK_APP_SECRET holds for this account too.
	AppSecret config.Secret
	// Reply is false for accounts that are archived and never answered.
	Reply bool
	// APIHost is this account's own base URL of the Graph API, empty for the usual one; see [Account.GraphURL].
	APIHost string
}

// GraphURL is the base URL of the account's Graph API, without a slash at its end: its own api_host, else base
// (GRAPH_API_URL, may be empty), else the host that belongs to its login.
func (a Account) GraphURL(base string) string {
	switch {
	case a.APIHost != "":
		return a.APIHost
	case base != "":
		return base
	case a.Login == LoginInstagram:
		return "https://graph.instagram.com"
	default:
		return "https://graph.facebook.com"
	}
}

// key is what accounts are unique by.
type key struct {
	channel dm.Channel
	id      string
}

func (a Account) key() key { return key{a.Channel, a.ID} }
