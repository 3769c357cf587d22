package sender_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/accountdesk"
	"github.com/parley-dm/parley/pkg/topology"
)

const patience = time.Minute

// neighbour is an account in the same partition as the other one, so that nothing but parking keeps them apart.
var neighbour = func() string {
	for n := 2; ; n++ {
		id := "178414000000" + strconv.Itoa(10000+n)
		if dm.AccountPartition(dm.ChannelInstagram, id, topology.DefaultPartitions) == dm.AccountPartition(dm.ChannelInstagram, account, topology.DefaultPartitions) {
			return id
		}
	}
}()

// shops is a bench with two accounts of a file; the token named dead is refused.
type shops struct {
	*bench
	file string
	next int
}

func newShops(t *testing.T) *shops {
	t.Helper()
	s := &shops{bench: start(t), file: filepath.Join(t.TempDir(), "accounts.yaml")}
	s.tokens("dead", "fine")
	s.refuse = func(w http.ResponseWriter, token string) bool {
		if token != "dead" {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"error":{"message":"Session has expired","type":"OAuthException","code":190,"error_subcode":463}}`)
		return true
	}
	return s
}

func (s *shops) tokens(first, second string) {
	s.t.Helper()
	content := fmt.Sprintf("accounts:\n  - {id: %q, token: %s}\n  - {id: %q, token: %s}\n", account, first, neighbour, second)
	require.NoError(s.t, os.WriteFile(s.file+".new", []byte(content), 0o600))
	require.NoError(s.t, os.Rename(s.file+".new", s.file))
}

func (s *shops) run(more ...string) (stop func() error) {
	s.t.Helper()
	return s.sender(append([]string{"ACCOUNTS_FILE=" + s.file, "INSTAGRAM_PAGE_ID=", "INSTAGRAM_PAGE_ACCESS_TOKEN=", "LEASE_TTL=1s"}, more...)...)
}

// ask publishes each more intents for every customer of an account; their texts count up.
func (s *shops) ask(account string, expires time.Time, customers []string, each int) {
	s.t.Helper()
	var out []pipeline.Outgoing
	for range each {
		s.next++
		for _, c := range customers {
			i := dm.ReplyIntent{
				ID: fmt.Sprintf("in_%s_%d", c, s.next), Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: c}, Expires: expires,
				Origin: dm.OriginRule, CreatedAt: time.Now(), ReceivedAt: time.Now(), Parts: []dm.Part{{Kind: dm.PartText, Text: strconv.Itoa(s.next)}},
			}
			out = append(out, s.p.Intent(i, "ev", "ev"))
		}
	}
	require.NoError(s.t, s.p.Publish(s.t.Context(), out...))
}

func (s *shops) stream(name string) *jetstream.StreamInfo {
	s.t.Helper()
	stream, err := s.server.Connect().JetStream().Stream(s.t.Context(), name)
	require.NoError(s.t, err)
	return stream.CachedInfo()
}

func (s *shops) parked() uint64 { return s.stream(topology.Parked.Name).State.Msgs }

func (s *shops) eventually(what string, f func() bool) {
	s.t.Helper()
	require.Eventually(s.t, f, patience, 10*time.Millisecond, what)
}

// received is how many messages a customer has, which must be in order.
func (s *shops) received(customer string) int {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	numbers := make([]int, 0, len(s.sent[customer]))
	for _, text := range s.sent[customer] {
		n, err := strconv.Atoi(text)
		require.NoError(s.t, err)
		numbers = append(numbers, n)
	}
	require.True(s.t, slices.IsSorted(numbers) && len(slices.Compact(slices.Clone(numbers))) == len(numbers), "customer %s got %v", customer, numbers)
	return len(numbers)
}

func (s *shops) outcomes(account string) map[dm.Outcome]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[dm.Outcome]int{}
	for _, e := range s.deliveries {
		if e.Account == account {
			out[e.Data.Outcome]++
		}
	}
	return out
}

func customers(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return out
}

// An account whose token is dead has far more waiting than its partition may hold; its neighbour does not notice. What
// waits survives a hand-over to another sender, stays in front of what comes later, and leaves in order with the new token.
func TestWhatWaitsForATokenIsParked(t *testing.T) {
	t.Parallel()
	s := newShops(t)
	stop := s.run("MAX_IN_FLIGHT=8")
	theirs, ours := customers("1", 20), customers("2", 5)
	s.ask(account, time.Time{}, theirs, 10)
	s.ask(neighbour, time.Time{}, ours, 10)
	s.eventually("the neighbour's are all sent", func() bool { return s.outcomes(neighbour)[dm.OutcomeSent] == 50 })
	s.eventually("the others are all parked", func() bool { return s.parked() == 200 })
	require.NoError(t, stop())

	stop = s.run("MAX_IN_FLIGHT=8")
	s.ask(account, time.Time{}, theirs, 5)
	s.ask(neighbour, time.Time{}, ours, 5)
	s.eventually("the neighbour's are all sent", func() bool { return s.outcomes(neighbour)[dm.OutcomeSent] == 75 })
	s.eventually("the others are parked behind those of before", func() bool { return s.parked() == 300 })
	require.Empty(t, s.outcomes(account))

	s.tokens("fresh", "fine")
	s.ask(account, time.Time{}, theirs, 5) // some find the queue, some find it gone
	s.eventually("they leave with the new token", func() bool { return s.outcomes(account)[dm.OutcomeSent] == 400 })
	s.eventually("nothing stays behind", func() bool { return s.parked() == 0 })
	s.ask(account, time.Time{}, theirs, 1)
	s.eventually("what is new goes its usual way again", func() bool { return s.outcomes(account)[dm.OutcomeSent] == 420 })
	for _, c := range theirs {
		require.Equal(t, 21, s.received(c))
	}
	for _, c := range ours {
		require.Equal(t, 15, s.received(c))
	}
	require.NoError(t, stop())
}

func TestParkedIntentsExpireWithTheirWindow(t *testing.T) {
	t.Parallel()
	s := newShops(t)
	stop := s.run()
	// Their time is enough for the slowest machine to start a sender and park them.
	s.ask(account, time.Now().Add(15*time.Second), customers("1", 4), 3)
	// Conversations are parked side by side: what may go on waiting would else stand before what may not.
	s.eventually("those whose window closes are parked", func() bool { return s.stream(topology.Parked.Name).State.LastSeq == 12 })
	s.ask(account, time.Now().Add(time.Hour), customers("1", 4), 1)
	s.eventually("all are parked", func() bool { return s.stream(topology.Parked.Name).State.LastSeq == 16 })
	s.eventually("those whose window has closed are told, while the account is still paused", func() bool { return s.outcomes(account)[dm.OutcomeExpired] == 12 })
	s.eventually("the others stay", func() bool { return s.parked() == 4 })
	s.tokens("fresh", "fine")
	s.eventually("and leave", func() bool { return s.outcomes(account)[dm.OutcomeSent] == 4 && s.parked() == 0 })
	require.NoError(t, stop())
}

// When there is no room to park, what cannot be parked waits in its lane, and nothing is lost or out of order.
func TestAFullStreamOfParkedIntentsRefuses(t *testing.T) {
	t.Parallel()
	s := newShops(t)
	js := s.server.Connect().JetStream()
	cfg := s.stream(topology.Parked.Name).Config
	most := cfg.MaxBytes
	cfg.MaxBytes = 16 << 10
	_, err := js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
	stop := s.run("NATS_REPLICAS=1")
	s.eventually("the stage has its bound raised by whoever starts; lower it again", func() bool {
		cfg := s.stream(topology.Parked.Name).Config
		if cfg.MaxBytes == most {
			cfg.MaxBytes = 16 << 10
			_, err := js.UpdateStream(t.Context(), cfg)
			require.NoError(t, err)
			return true
		}
		return false
	})
	theirs := customers("1", 20)
	s.ask(account, time.Time{}, theirs, 5)
	s.eventually("some are parked", func() bool { return s.parked() > 5 })
	s.ask(neighbour, time.Time{}, customers("2", 5), 5)
	s.eventually("the neighbour's are all sent", func() bool { return s.outcomes(neighbour)[dm.OutcomeSent] == 25 })
	require.Less(t, s.parked(), uint64(100))
	s.tokens("fresh", "fine")
	s.eventually("all of them leave", func() bool { return s.outcomes(account)[dm.OutcomeSent] == 100 && s.parked() == 0 })
	for _, c := range theirs {
		require.Equal(t, 5, s.received(c))
	}
	require.NoError(t, stop())
}

// A person lets an account go on, or gives it a new token, without touching its settings: what is parked leaves at once.
func TestAPersonResumesAnAccountAndGivesItANewToken(t *testing.T) {
	t.Parallel()
	s := newShops(t)
	stop := s.run("TOKEN_KEY=" + strings.Repeat("ab", 32))
	theirs := customers("1", 4)
	s.ask(account, time.Time{}, theirs, 5)
	s.eventually("they are all parked", func() bool { return s.parked() == 20 })
	desk, err := accountdesk.Open(t.Context(), s.server.Connect(), nil)
	require.NoError(t, err)
	key := accounts.StateKey(dm.ChannelInstagram, account)
	paused := func() bool {
		states, err := desk.States(t.Context())
		require.NoError(t, err)
		return slices.ContainsFunc(states, func(s accounts.State) bool { return s.Key() == key && s.Pause != nil })
	}
	s.eventually("its state says so", paused)

	s.mu.Lock()
	refuse := s.refuse
	s.refuse = nil // Meta takes the same token again
	s.mu.Unlock()
	require.NoError(t, desk.Resume(t.Context(), key, "ann@example.com"))
	s.eventually("they leave", func() bool { return s.outcomes(account)[dm.OutcomeSent] == 20 && s.parked() == 0 })
	s.eventually("nobody says that it is paused", func() bool { return !paused() })
	require.ErrorIs(t, desk.Resume(t.Context(), key, "ann@example.com"), accountdesk.ErrNotPaused)
	require.ErrorIs(t, desk.Resume(t.Context(), accounts.StateKey(dm.ChannelInstagram, "1"), "ann@example.com"), accountdesk.ErrNotPaused)

	s.mu.Lock()
	s.refuse = refuse
	s.mu.Unlock()
	s.ask(account, time.Time{}, theirs, 5)
	s.eventually("they are parked again", func() bool { return s.parked() == 20 && paused() })
	vault, err := accounts.NewVault(config.Secret(strings.Repeat("ab", 32)))
	require.NoError(t, err)
	require.NoError(t, desk.SetToken(t.Context(), vault, dm.ChannelInstagram, account, "fresh"))
	s.eventually("they leave with the new token", func() bool { return s.outcomes(account)[dm.OutcomeSent] == 40 && s.parked() == 0 })
	for _, c := range theirs {
		require.Equal(t, 10, s.received(c))
	}
	require.ErrorIs(t, desk.SetToken(t.Context(), vault, dm.ChannelInstagram, "1", "fresh"), accountdesk.ErrUnknownToken)
	require.NoError(t, stop())
}
