package deliver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/dm"
)

func TestADeadTokenHoldsItsAccountOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.book.set(accounts.Account{ID: "99", Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: "other"})
	b.meta.answer = func(n int, text string, w http.ResponseWriter) {
		if text == "dead" {
			refuse(w, 400, 190, 463)
			return
		}
		ok(w, n)
	}
	i := intent("a", "dead")
	i.Expires = b.now().Add(24 * time.Hour)
	b.deferred(i)
	b.deferred(intent("b", "behind it"))
	require.Len(t, b.meta.sent(), 1, "a paused account is not called")
	require.Contains(t, b.log.String(), `"level":"ERROR","msg":"account.paused"`)
	require.Contains(t, b.log.String(), account)
	require.NotContains(t, b.log.String(), token)

	other := intent("c", "fine")
	other.Account = "99"
	require.Equal(t, dm.OutcomeSent, b.deliver(other)[0].Outcome)

	b.meta.answer = nil
	b.book.set(accounts.Account{ID: account, Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: "fresh", Reply: true})
	require.Equal(t, dm.OutcomeSent, b.deliver(i)[0].Outcome, "a new token is used at once")
	require.Equal(t, dm.OutcomeSent, b.deliver(intent("b", "behind it"))[0].Outcome)
}

func TestADeadTokenUntilTheWindowCloses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, _ string, w http.ResponseWriter) { refuse(w, 400, 190, 463) }
	i := intent("a", "hello")
	i.Expires = b.now().Add(time.Hour)
	for b.now().Before(i.Expires) {
		until := b.deferred(i)
		require.False(t, until.After(i.Expires))
		b.advance(max(until.Sub(b.now()), 0) + time.Millisecond)
	}
	out := b.deliver(i)
	require.Equal(t, dm.OutcomeExpired, out[0].Outcome)
	require.Less(t, len(b.meta.sent()), 20, "the pause grows")
	require.Contains(t, out[0].Attempts[0].Error, "Meta's words")
}

func TestRateLimitedAccountWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n == 1 {
			w.Header().Set("X-Business-Use-Case-Usage", `{"17":[{"type":"messenger","call_count":100,"estimated_time_to_regain_access":3}]}`)
			refuse(w, 429, 80006, 0)
			return
		}
		ok(w, n)
	}
	i, behind := intent("a", "hello"), intent("b", "behind")
	b.deferred(i)
	b.advance(2 * time.Minute)
	b.deferred(i)
	b.deferred(behind)
	require.Len(t, b.meta.sent(), 1, "calling on lengthens it")
	b.advance(time.Minute + time.Second)
	require.Equal(t, dm.OutcomeSent, b.deliver(i)[0].Outcome)
	require.Equal(t, dm.OutcomeSent, b.deliver(behind)[0].Outcome)
}

func TestAllowanceUsedUpPausesBeforeMetaRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		w.Header().Set("X-Business-Use-Case-Usage", `{"17":[{"type":"messenger","call_count":100,"estimated_time_to_regain_access":1}]}`)
		ok(w, n)
	}
	require.Equal(t, dm.OutcomeSent, b.deliver(intent("a", "hello"))[0].Outcome)
	b.deferred(intent("b", "next"))
	require.Len(t, b.meta.sent(), 1)
}

func TestAppLimitPausesEveryAccountOfTheApp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.book.set(accounts.Account{ID: "99", Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: "other"})
	b.book.set(accounts.Account{ID: "98", Channel: dm.ChannelInstagram, Login: accounts.LoginInstagram, Token: "another app's"})
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n == 1 {
			refuse(w, 400, 4, 0)
			return
		}
		ok(w, n)
	}
	b.deferred(intent("a", "hello"))
	sibling, stranger := intent("b", "sibling"), intent("c", "stranger")
	sibling.Account, stranger.Account = "99", "98"
	b.deferred(sibling)
	require.Equal(t, dm.OutcomeSent, b.deliver(stranger)[0].Outcome)
}
