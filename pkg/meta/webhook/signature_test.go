package webhook_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/meta/webhook"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	body := []byte(`{"object":"instagram","entry":[{"text":"\u00e4"}]}`)
	// printf '%s' "$body" | openssl dgst -sha256 -hmac secret
	const valid = "sha256=becbc16be2d026622164cbe3591d7c21cd0ad28cfe67415bb3738bff22138500"
	require.Equal(t, valid, webhook.Sign(body, "secret"))
	secrets := []config.Secret{"", "other", "secret"}
	for name, c := range map[string]struct {
		signature string
		body      []byte
		secrets   []config.Secret
		want      error
	}{
		"valid":                 {valid, body, secrets, nil},
		"upper case digits":     {"sha256=" + strings.ToUpper(valid[7:]), body, secrets, nil},
		"missing":               {"", body, secrets, webhook.ErrNoSignature},
		"sha1":                  {"sha1=" + valid[7:47], body, secrets, webhook.ErrMalformedSignature},
		"no prefix":             {valid[7:], body, secrets, webhook.ErrMalformedSignature},
		"short":                 {valid[:70], body, secrets, webhook.ErrMalformedSignature},
		"long":                  {valid + "00", body, secrets, webhook.ErrMalformedSignature},
		"no hexadecimal":        {"sha256=" + strings.Repeat("zz", 32), body, secrets, webhook.ErrMalformedSignature},
		"one byte changed":      {valid, append([]byte("["), body[1:]...), secrets, webhook.ErrWrongSignature},
		"written anew":          {valid, []byte(`{"object":"instagram","entry":[{"text":"ä"}]}`), secrets, webhook.ErrWrongSignature},
		"other secret":          {valid, body, secrets[:2], webhook.ErrWrongSignature},
		"no secret":             {valid, body, nil, webhook.ErrWrongSignature},
		"signed with no secret": {webhook.Sign(body, ""), body, secrets, webhook.ErrWrongSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, webhook.Verify(c.signature, c.body, c.secrets), c.want)
		})
	}
}
