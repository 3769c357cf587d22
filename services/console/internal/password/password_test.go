package password_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console/internal/password"
)

func TestAPasswordHasItsHashAndNoOther(t *testing.T) {
	t.Parallel()
	hash, err := password.Hash(t.Context(), "correct horse battery")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(hash, "$argon2id$v=19$m=65536,t=3,p=4$"), hash)
	again, err := password.Hash(t.Context(), "correct horse battery")
	require.NoError(t, err)
	require.NotEqual(t, hash, again, "each has its own salt")
	for attempt, want := range map[string]bool{"correct horse battery": true, "Correct horse battery": false, "": false, strings.Repeat("x", 300): false} {
		right, err := password.Check(t.Context(), hash, attempt)
		require.NoError(t, err)
		require.Equal(t, want, right, attempt)
	}
	right, err := password.Check(t.Context(), "", "")
	require.NoError(t, err)
	require.False(t, right, "who has no password cannot sign in with none")
}

// A hash that somebody else made with other parameters is checked with those.
func TestAHashSaysItsOwnParameters(t *testing.T) {
	t.Parallel()
	// echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32 -e
	const hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	right, err := password.Check(t.Context(), hash, "password")
	require.NoError(t, err)
	require.True(t, right)
}

func TestAHashThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	for _, hash := range []string{"x", "$2a$10$abc", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$short", "$argon2id$v=19$m=x$c29tZXNhbHQ$AAAA", "$argon2id$v=19$m=64,t=1,p=1$!$AAAA"} {
		_, err := password.Check(t.Context(), hash, "password")
		require.Error(t, err, hash)
	}
}

func TestWhatAPasswordMustBe(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]string{
		"short": "got 5 characters", strings.Repeat("x", 257): "got 257 characters", "not utf-8 \xff\xff\xff": "UTF-8", "пароль длинный": "", "ten chars!": "",
	} {
		err := password.Acceptable(p)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}
