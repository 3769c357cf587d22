package accounts

import (
	"errors"
	"fmt"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
)

// Settings name the accounts; every service that asks who is answered for embeds them.
type Settings struct {
	PageID       string `env:"INSTAGRAM_PAGE_ID" help:"the account that is answered for, as webhooks carry it in entry[].id; required unless ACCOUNTS_FILE is set"`
	AccountsFile string `env:"ACCOUNTS_FILE" help:"YAML file with many accounts, read again when it changes"`
}

// Validate reports every problem, those inside ACCOUNTS_FILE too.
func (s Settings) Validate() error {
	var errs []error
	if s.PageID == "" && s.AccountsFile == "" {
		errs = append(errs, errors.New("INSTAGRAM_PAGE_ID: required unless ACCOUNTS_FILE is set, but neither is"))
	}
	if s.PageID != "" && !validID(s.PageID) {
		errs = append(errs, fmt.Errorf("INSTAGRAM_PAGE_ID: got %q, expected an account's id such as 17841400000000001", s.PageID))
	}
	if s.AccountsFile != "" {
		_, problems := readFile(s.AccountsFile, nil)
		errs = append(errs, named(problems)...)
	}
	return errors.Join(errs...)
}

// named puts the variable in front of each problem of the file.
func named(problems []error) []error {
	out := make([]error, len(problems))
	for i, p := range problems {
		out[i] = fmt.Errorf("ACCOUNTS_FILE: %w", p)
	}
	return out
}

// Tokens is what the sender reads on top.
type Tokens struct {
	PageToken config.Secret `env:"INSTAGRAM_PAGE_ACCESS_TOKEN" help:"the access token of INSTAGRAM_PAGE_ID; required unless ACCOUNTS_FILE is set"`
	Login     Login         `env:"INSTAGRAM_LOGIN" envDefault:"facebook" help:"facebook or instagram: how INSTAGRAM_PAGE_ID was connected, which decides the Graph API's host"`
}

// Validate reports every problem of the tokens that the settings ask for.
func (t Tokens) Validate(s Settings) error {
	var errs []error
	if t.PageToken == "" && s.AccountsFile == "" {
		errs = append(errs, errors.New("INSTAGRAM_PAGE_ACCESS_TOKEN: required unless ACCOUNTS_FILE is set, but neither is"))
	}
	if !t.Login.valid() {
		errs = append(errs, fmt.Errorf("INSTAGRAM_LOGIN: got %q, expected facebook or instagram", string(t.Login)))
	}
	if s.AccountsFile != "" {
		// What is wrong with the file itself is told by Settings.Validate; here only the tokens are.
		if _, problems := readFile(s.AccountsFile, nil); len(problems) == 0 {
			_, problems = readFile(s.AccountsFile, &tokenFiles{})
			errs = append(errs, named(problems)...)
		}
	}
	return errors.Join(errs...)
}

func (l Login) valid() bool { return l == LoginFacebook || l == LoginInstagram }

// single is the account that INSTAGRAM_PAGE_ID names.
func (s Settings) single(t *Tokens) Account {
	a := Account{ID: s.PageID, Channel: dm.ChannelInstagram, Login: LoginFacebook, Reply: true}
	if t != nil {
		a.Token, a.Login = t.PageToken, t.Login
	}
	return a
}

// maxIDLength is far beyond Meta's 17 digits and keeps ids usable in subjects, keys and URLs.
const maxIDLength = 64

func validID(id string) bool {
	if id == "" || len(id) > maxIDLength {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
