package accounts_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/telemetry/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpenSingleAccount(t *testing.T) {
	t.Parallel()
	book, err := accounts.Open(accounts.Options{
		Settings: accounts.Settings{PageID: "17841400000000001"},
		Tokens:   &accounts.Tokens{PageToken: "EAAtoken", Login: accounts.LoginInstagram},
	})
	require.NoError(t, err)
	a, ok := book.Get(dm.ChannelInstagram, "17841400000000001")
	require.True(t, ok)
	require.Equal(t, accounts.Account{
		ID: "17841400000000001", Channel: dm.ChannelInstagram, Login: accounts.LoginInstagram, Token: "EAAtoken", Reply: true,
	}, a)
	require.True(t, book.Answers(dm.ChannelInstagram, "17841400000000001"))
	require.False(t, book.Answers(dm.ChannelInstagram, "0"))
	require.False(t, book.Answers(dm.ChannelMessenger, "17841400000000001"))
	require.Len(t, book.All(), 1)
}

func TestOpenFile(t *testing.T) {
	t.Parallel()
	settings := accounts.Settings{AccountsFile: "testdata/good.yaml"}
	require.NoError(t, settings.Validate())
	require.NoError(t, accounts.Tokens{Login: accounts.LoginFacebook}.Validate(settings))

	book, err := accounts.Open(accounts.Options{Settings: settings, Tokens: &accounts.Tokens{}})
	require.NoError(t, err)
	require.Equal(t, []accounts.Account{
		{ID: "17841400000000001", Name: "Shop", Channel: "instagram", Login: "facebook", Token: "EAAtoken", AppSecret: "its own", Reply: true},
		{ID: "17841400000000003", Name: "Archive", Channel: "instagram", Login: "facebook"},
		{ID: "17841499999999999", Name: "Café 2", Channel: "instagram", Login: "instagram", Token: "IGAAtoken", Reply: true, APIHost: "https://graph.example.test"},
	}, book.All())
	require.False(t, book.Answers(dm.ChannelInstagram, "17841400000000003"), "archive only")

	without, err := accounts.Open(accounts.Options{Settings: settings})
	require.NoError(t, err)
	for _, a := range without.All() {
		require.Empty(t, a.Token, "who does not send holds no tokens")
	}
}

func TestFileAndPageIDTogether(t *testing.T) {
	t.Parallel()
	book, err := accounts.Open(accounts.Options{Settings: accounts.Settings{PageID: "17841400000000003", AccountsFile: "testdata/good.yaml"}})
	require.NoError(t, err)
	require.Len(t, book.All(), 3)
	require.False(t, book.Answers(dm.ChannelInstagram, "17841400000000003"), "what the file says of the account wins")
}

func TestEveryProblemIsNamed(t *testing.T) {
	t.Parallel()
	settings := accounts.Settings{PageID: "a b", AccountsFile: "testdata/bad.yaml"}
	err := settings.Validate()
	require.Error(t, err)
	for _, want := range []string{
		`INSTAGRAM_PAGE_ID: got "a b"`,
		"bad.yaml:1: account: no such field",
		"bad.yaml:3: accounts[0].id: required",
		"bad.yaml:6: accounts[1].channel: got \"telegram\", expected instagram",
		"bad.yaml:7: accounts[1].login: got \"google\"",
		"bad.yaml:10: accounts[1].reply: expected true or false",
		"bad.yaml:11: accounts[1].colour: no such field",
		"bad.yaml:13: accounts[3].id: 17841400000000004 is listed already in line 12",
		"bad.yaml:15: accounts[3].api_host: expected a host or a URL",
		"bad.yaml:16: accounts[4]: expected fields and values",
		"bad.yaml:17: accounts[5].id: expected a text",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "secret-token-value")
	for _, problem := range strings.Split(err.Error(), "\n")[1:] {
		require.True(t, strings.HasPrefix(problem, "ACCOUNTS_FILE: "), "names the variable: %s", problem)
	}

	_, err = accounts.Open(accounts.Options{Settings: accounts.Settings{AccountsFile: "testdata/bad.yaml"}, Tokens: &accounts.Tokens{}})
	for _, want := range []string{
		"bad.yaml:9: accounts[1].token_file: token is given too",
		"bad.yaml:12: accounts[2].token: required (or token_file)",
		"bad.yaml:18: accounts[5].token_file: testdata/missing.token: no such file or directory",
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty": "", "null": "~", "scalar": "hello", "no list": "accounts: 5", "empty list": "accounts: []", "two documents": "accounts:\n- id: '1'\n---\naccounts: []\n",
		"alias": "accounts: &a\n- *a\n", "binary": "\x00\xff\xfe", "tabs": "accounts:\n\t- id: 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, filepath.Join(t.TempDir(), "accounts.yaml"), content)
			require.ErrorContains(t, accounts.Settings{AccountsFile: path}.Validate(), path)
		})
	}
	err := accounts.Settings{AccountsFile: "testdata/syntax.yaml"}.Validate()
	require.ErrorContains(t, err, "not valid YAML")
	require.NotContains(t, err.Error(), "hidden-value")
	require.ErrorContains(t, accounts.Settings{AccountsFile: "testdata/none.yaml"}.Validate(), "testdata/none.yaml: no such file")
}

func TestRequired(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, accounts.Settings{}.Validate(), "INSTAGRAM_PAGE_ID: required unless ACCOUNTS_FILE")
	err := accounts.Tokens{Login: "x"}.Validate(accounts.Settings{PageID: "1"})
	require.ErrorContains(t, err, "INSTAGRAM_PAGE_ACCESS_TOKEN: required unless ACCOUNTS_FILE")
	require.ErrorContains(t, err, "INSTAGRAM_LOGIN")
	_, err = accounts.Open(accounts.Options{})
	require.Error(t, err)
}

func TestGraphURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		account    accounts.Account
		base, want string
	}{
		{accounts.Account{Login: accounts.LoginFacebook}, "", "https://graph.facebook.com"},
		{accounts.Account{Login: accounts.LoginInstagram}, "", "https://graph.instagram.com"},
		{accounts.Account{Login: accounts.LoginInstagram}, "http://127.0.0.1:8082", "http://127.0.0.1:8082"},
		{accounts.Account{APIHost: "https://own.test"}, "http://127.0.0.1:8082", "https://own.test"},
	} {
		require.Equal(t, c.want, c.account.GraphURL(c.base))
	}
}

// follow opens a book on a file and runs it until the test ends.
func follow(t *testing.T, path string) (*accounts.Book, *logtest.Buffer) {
	t.Helper()
	log := &logtest.Buffer{}
	book, err := accounts.Open(accounts.Options{
		Settings: accounts.Settings{AccountsFile: path}, Tokens: &accounts.Tokens{}, Every: 5 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- book.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return book, log
}

func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "accounts.yaml"), "accounts:\n- {id: '1', token: a}\n")
	book, log := follow(t, path)

	changed := book.Changed()
	write(t, path, "accounts:\n- {id: '1', token: a}\n- {id: '2', token: b}\n")
	wait(t, changed)
	require.True(t, book.Answers(dm.ChannelInstagram, "2"))

	changed = book.Changed()
	write(t, path, "accounts:\n- {id: '1', token: hidden-value}\n- {id: 'bad id'}\n")
	require.Eventually(t, func() bool { return strings.Contains(fmt.Sprint(book.Problem()), "accounts.yaml:3: accounts[1].id") }, 5*time.Second, time.Millisecond,
		"at these short ticks the file may be seen half-written, and empty, before")
	require.True(t, book.Answers(dm.ChannelInstagram, "2"), "the old accounts stay")
	require.Contains(t, log.String(), "accounts.file_broken")
	require.NotContains(t, log.String(), "hidden-value")

	require.NoError(t, os.Remove(path))
	require.Eventually(t, func() bool { return strings.Contains(fmt.Sprint(book.Problem()), "no such file") }, 5*time.Second, time.Millisecond)
	require.Len(t, book.All(), 2)

	// As Kubernetes and careful editors do: a new file is renamed over the old name.
	require.NoError(t, os.Rename(write(t, filepath.Join(dir, "next"), "accounts:\n- {id: '3', token: c}\n"), path))
	wait(t, changed)
	require.NoError(t, book.Problem())
	require.Len(t, book.All(), 1)
}

func TestNewTokenInTokenFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tokenFile := write(t, filepath.Join(dir, "1.token"), "old")
	book, _ := follow(t, write(t, filepath.Join(dir, "accounts.yaml"), "accounts:\n- {id: '1', token_file: 1.token}\n"))
	changed := book.Changed()
	write(t, tokenFile, "newer")
	wait(t, changed)
	a, _ := book.Get(dm.ChannelInstagram, "1")
	require.Equal(t, config.Secret("newer"), a.Token)
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func wait(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no change was seen")
	}
}
