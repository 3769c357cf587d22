package record

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRawThatJSONBRefusesIsKeptAsBytes(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	for raw, changed := range map[string]bool{
		`{"text":"plain"}`: false, `{"text":"\ud83d\ude00 \u00e4 true e12345 \\u0000"}`: false, `[true,false,1e10,-1.5E+10]`: false, "": false,
		`{"text":"\u0000"}`: true, `{"text":"\ud83d"}`: true, `{"text":"\ude00"}`: true, `{"text":"\ud83d\ud83d"}`: true, `{"\u0000":1}`: true,
		"{\"text\":\"\xff\"}": true, `{"n":1e200000}`: true, deep: true,
	} {
		safe, original := safeRaw(json.RawMessage(raw))
		require.Equal(t, changed, original != nil, "%.40q", raw)
		if changed {
			require.Equal(t, raw, string(original))
		}
		if len(safe) > 0 {
			require.True(t, jsonbTakes(safe), "%q", safe)
		}
	}
}

// Whatever comes in, what goes out is JSON that jsonb takes, and nothing panics.
func FuzzSafeRaw(f *testing.F) {
	for _, seed := range []string{`{"a":"\u0000\ud83d"}`, `[1e999999]`, "\"\xff\"", `{"a":[{"b":null}]}`, `"\u12`, `\`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		safe, original := safeRaw(raw)
		if !json.Valid(raw) {
			return // an envelope is JSON as a whole
		}
		require.True(t, json.Valid(safe))
		require.True(t, jsonbTakes(safe))
		if original == nil {
			require.Equal(t, string(raw), string(safe))
		}
	})
}
