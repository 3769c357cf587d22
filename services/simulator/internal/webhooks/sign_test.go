package webhooks_test

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The value was made with: printf '{"a":1}' | openssl dgst -sha256 -hmac demo-secret
func TestSign(t *testing.T) {
	t.Parallel()
	require.Equal(t, "sha256=233dc4b90d1914d4ecc4d321792feda0c54e5ac9e9ce48e75431569782a37a63", webhooks.Sign("demo-secret", []byte(`{"a":1}`)))
}

// Whatever a customer types arrives as it was typed, in ASCII.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "price?", "äöü", "🚲 a/b", "<b>&\"\\u003c\\", "\x00\x1f\u2028", "\xff\xfe", `\u0041`, `\\u003c`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		item, err := webhooks.Encode(webhooks.Item{Message: &webhooks.Message{MID: "M", Text: text}})
		require.NoError(t, err)
		body := webhooks.Body(time.UnixMilli(5), webhooks.Part{Account: "1", Place: webhooks.Messaging, Item: item})
		for _, c := range body {
			require.Less(t, c, byte(utf8.RuneSelf))
		}
		var hook struct {
			Entry []struct{ Messaging []webhooks.Item }
		}
		require.NoError(t, json.Unmarshal(body, &hook), "%s", body)
		if utf8.ValidString(text) {
			require.Equal(t, text, hook.Entry[0].Messaging[0].Message.Text)
		}
	})
}
