package webhook_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/meta/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := webhook.Parse(raw, options())
		if err != nil {
			require.Empty(t, events)
			return
		}
		require.True(t, json.Valid(raw), "what is accepted is JSON to others too")
		for _, e := range events {
			require.NotEmpty(t, e.ID)
			require.NotEmpty(t, e.Kind)
			require.NotEmpty(t, e.Channel)
			require.True(t, json.Valid(e.Raw))
			require.True(t, utf8.ValidString(e.Text))
			if e.FromCustomer() {
				require.NotEmpty(t, e.Customer, "what may be answered has somebody to answer")
				require.NotEqual(t, e.Account, e.Customer, "the account never answers itself")
			}
			b, err := envelope.Event(e, "").Encode()
			require.NoError(t, err)
			back, err := envelope.Decode[dm.Event](b)
			require.NoError(t, err)
			require.Equal(t, e.ID, back.Data.ID)
			require.Equal(t, e.Text, back.Data.Text)
			require.Equal(t, e.Conversation, back.Data.Conversation)
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("", []byte(""))
	f.Add("sha256=", []byte("{}"))
	f.Add("sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709", []byte("{}"))
	f.Add(webhook.Sign([]byte("{}"), "secret"), []byte("{}"))
	f.Fuzz(func(t *testing.T, signature string, raw []byte) {
		secrets := []config.Secret{"one", "two"}
		require.NoError(t, webhook.Verify(webhook.Sign(raw, "two"), raw, secrets))
		if webhook.Verify(signature, raw, secrets) == nil {
			require.Contains(t, []string{webhook.Sign(raw, "one"), webhook.Sign(raw, "two")}, strings.ToLower(signature))
		}
	})
}
