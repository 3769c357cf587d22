package standalone_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/simulator"
)

// neighbour is an account whose replies travel with those of page, in the same partition.
var neighbour = func() string {
	for n := 20_000; ; n++ {
		id := "178414000000" + strconv.Itoa(n)
		if dm.AccountPartition(dm.ChannelInstagram, id, topology.DefaultPartitions) == dm.AccountPartition(dm.ChannelInstagram, page, topology.DefaultPartitions) {
			return id
		}
	}
}()

// waits are how long an account's customers waited for those of their answers that came to messages of a time.
func (w *world) waits(account string, customers []string, from, to time.Time) []time.Duration {
	var out []time.Duration
	for _, c := range customers {
		var asked []time.Time
		for _, m := range w.meta.Messages(simulator.Key{Account: account, Customer: c}) {
			switch {
			case m.FromCustomer:
				asked = append(asked, m.At)
			case len(asked) > 0:
				if !asked[0].Before(from) && asked[0].Before(to) {
					out = append(out, m.At.Sub(asked[0]))
				}
				asked = asked[1:]
			}
		}
	}
	return out
}

// A token dies under load. Its account's queue waits, far beyond what a partition holds; the customers of the account next to it are
// answered all the same; the new token empties the queue, in order, with nothing missing and nothing twice.
func TestATokenDiesUnderLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "accounts.yaml")
	tokens := func(first string) {
		content := fmt.Sprintf("accounts:\n  - {id: %q, token: %s}\n  - {id: %q, token: second-token}\n", page, first, neighbour)
		require.NoError(t, os.WriteFile(file+".new", []byte(content), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	tokens("demo-token")
	w := newWorld(t, "ACCOUNTS_FILE="+file, "INSTAGRAM_PAGE_ID=", "INSTAGRAM_PAGE_ACCESS_TOKEN=", "MAX_IN_FLIGHT=16", "SEND_RATE_PER_ACCOUNT=100",
		"MAX_REPLIES_PER_MINUTE=0", "SIMULATOR_ACCOUNTS="+neighbour+":second-token:Neighbour")
	const rounds = 12
	for n := range 2 * rounds {
		w.rule(fmt.Sprintf("load %d", n), fmt.Sprintf("answer %d", n))
	}
	w.serve()
	ask := func(account string, customers []string, n int) {
		for _, c := range customers {
			_, err := w.meta.Say(simulator.Action{Key: simulator.Key{Account: account, Customer: c}, Text: fmt.Sprintf("load %d", n), Expect: fmt.Sprintf("answer %d", n)})
			require.NoError(t, err)
		}
	}
	theirs, ours := make([]string, 20), make([]string, 10)
	for i := range theirs {
		theirs[i] = strconv.Itoa(70_000 + i)
	}
	for i := range ours {
		ours[i] = strconv.Itoa(80_000 + i)
	}
	// A hundred and fifty messages a second, while the token lives and then while it is dead.
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	load := func(from int) (begun time.Time) {
		begun = time.Now()
		for n := from; n < from+rounds; n++ {
			ask(page, theirs, n)
			ask(neighbour, ours, n)
			<-tick.C
		}
		return begun
	}
	alive := load(0)
	died := func(rw http.ResponseWriter, r *http.Request) bool {
		switch r.Header.Get("Authorization") {
		case "Bearer demo-token":
			rw.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(rw, `{"error":{"message":"Session has expired","type":"OAuthException","code":190,"error_subcode":463}}`)
			return true
		case "Bearer fresh-token": // what the simulator knows it by
			r.Header.Set("Authorization", "Bearer demo-token")
			q := r.URL.Query()
			q.Del("appsecret_proof")
			r.URL.RawQuery = q.Encode()
		}
		return false
	}
	w.between.Store(&died)
	load(rounds)
	ended := time.Now()
	w.eventually(func() bool { return len(w.waits(neighbour, ours, alive, ended)) == 2*rounds*len(ours) }, "the neighbour's customers are all answered while the token is dead")
	require.Less(t, len(w.waits(page, theirs, alive, ended)), 2*rounds*len(theirs)-100, "the others wait")

	tokens("fresh-token")
	w.eventually(func() bool { return len(w.waits(page, theirs, alive, ended)) == 2*rounds*len(theirs) }, "the new token empties the queue")
	verdict := w.meta.Verdict()
	require.Zero(t, verdict.Missing+verdict.Doubled+verdict.Swapped, "%+v", verdict)
}
