package accounts_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
)

func TestAVaultOpensWhatItSealedForTheSameKeyOnly(t *testing.T) {
	t.Parallel()
	first, second := strings.Repeat("0f", 32), base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	vault := func(keys string) *accounts.Vault {
		v, err := accounts.NewVault(config.Secret(keys))
		require.NoError(t, err)
		return v
	}
	sealed := vault(first).Seal("instagram.1", "IGA-token")
	require.NotContains(t, string(sealed), "IGA-token")
	for _, keys := range []string{first, second + ", " + first} {
		token, err := vault(keys).Open("instagram.1", sealed)
		require.NoError(t, err)
		require.Equal(t, "IGA-token", token.Reveal())
	}
	_, err := vault(second).Open("instagram.1", sealed)
	require.ErrorContains(t, err, "another TOKEN_KEY")
	_, err = vault(first).Open("instagram.2", sealed)
	require.Error(t, err, "a token is not taken for another account's")
	sealed[len(sealed)-1] ^= 1
	_, err = vault(first).Open("instagram.1", sealed)
	require.Error(t, err)
	for _, bad := range []string{"", "short", strings.Repeat("0f", 31), first + ",", "a password of thirty-two characters"} {
		_, err := accounts.NewVault(config.Secret(bad))
		require.ErrorContains(t, err, "expected 32 random bytes", bad)
	}
}

func TestARenewedTokenHoldsUntilAnotherIsConfigured(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "accounts.yaml")
	require.NoError(t, os.WriteFile(file, []byte("accounts:\n  - {id: \"1\", token: old}\n  - {id: \"2\", token: other}\n"), 0o600))
	b, err := accounts.Open(accounts.Options{Settings: accounts.Settings{AccountsFile: file}, Tokens: &accounts.Tokens{}})
	require.NoError(t, err)
	token := func(id string) string {
		a, ok := b.Get(dm.ChannelInstagram, id)
		require.True(t, ok)
		return a.Token.Reveal()
	}
	changed := b.Changed()
	b.Renew(
		accounts.Renewal{Channel: dm.ChannelInstagram, ID: "1", Instead: accounts.Fingerprint("old"), Token: "new"},
		accounts.Renewal{Channel: dm.ChannelInstagram, ID: "2", Instead: accounts.Fingerprint("not this one"), Token: "new"},
		accounts.Renewal{Channel: dm.ChannelInstagram, ID: "3", Instead: accounts.Fingerprint("old"), Token: "new"},
	)
	<-changed
	require.Equal(t, []string{"new", "other"}, []string{token("1"), token("2")})
	configured, _ := b.Configured(dm.ChannelInstagram, "1")
	require.Equal(t, "old", configured.Token.Reveal())
	require.Len(t, b.All(), 2)
}
