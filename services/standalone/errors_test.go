package standalone_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/simulator"
)

// refusal is a row of the error table, and the account that meets it.
type refusal struct {
	graph.Rule
	account string
}

// pauses: the account waits, and its message with it.
func (r refusal) pauses() bool {
	return r.Class == graph.ClassRateLimited || r.Class == graph.ClassTokenDead || r.Class == graph.ClassAccountBlocked
}

// standing is where it is told that it waits.
func (r refusal) standing() string {
	if r.Scope == graph.ScopeApp {
		return "app.instagram"
	}
	return accounts.StateKey(dm.ChannelInstagram, r.account)
}

// fault has the simulator answer so: once where trying again is what it asks for.
func (r refusal) fault() simulator.Fault {
	f := simulator.Fault{Kind: "error", Account: r.account, Code: r.Code, Subcode: r.Subcode}
	switch r.Class {
	case graph.ClassTransient:
		f.Count = 1
	case graph.ClassSentAnyway:
		f.Kind, f.Code, f.Subcode = "sent_but_error", 0, 0
	default: // for ever
	}
	return f
}

// outcome is what the row of its message says in the end; sent also once Meta does not refuse it any more.
func (r refusal) outcome() string {
	switch {
	case r.Class == graph.ClassTransient || r.Class == graph.ClassSentAnyway:
		return "sent"
	case r.Window:
		return "expired"
	default:
		return "failed"
	}
}

// Every row of the error table, each met by an account of its own, from the customer's message to the row of its answer.
func TestEveryRowOfTheErrorTable(t *testing.T) {
	t.Parallel()
	file, listen := filepath.Join(t.TempDir(), "accounts.yaml"), "127.0.0.1:"+freePort(t)
	refusals := make([]refusal, 0, len(graph.Rules()))
	listed, played := "accounts:\n", make([]string, 0, len(graph.Rules()))
	for n, rule := range graph.Rules() {
		id, login := fmt.Sprintf("178414099%08d", n), "facebook"
		if rule.Scope == graph.ScopeApp {
			login = "instagram" // which is another app than the others'
		}
		refusals = append(refusals, refusal{rule, id})
		listed += fmt.Sprintf("  - {id: %q, token: token-%d, login: %s}\n", id, n, login)
		played = append(played, fmt.Sprintf("%s:token-%d:Shop %d", id, n, n))
	}
	require.NoError(t, os.WriteFile(file, []byte(listed), 0o600))
	w := newWorld(t, "ACCOUNTS_FILE="+file, "INSTAGRAM_PAGE_ID=", "INSTAGRAM_PAGE_ACCESS_TOKEN=", "NATS_LISTEN="+listen, "SIMULATOR_ACCOUNTS="+strings.Join(played, ","))
	w.serve()
	for _, r := range refusals {
		_, err := w.meta.AddFault(r.fault())
		require.NoError(t, err)
		_, err = w.meta.Say(simulator.Action{Key: simulator.Key{Account: r.account, Customer: "7001"}, Text: "hello"})
		require.NoError(t, err)
	}
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: "nats://" + listen, Name: t.Name()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	states, err := bus.OpenBucket(t.Context(), conn, topology.Accounts.Name)
	require.NoError(t, err)
	for _, r := range refusals {
		name := fmt.Sprintf("%d/%d: %s", r.Code, r.Subcode, r.Meaning)
		if r.pauses() {
			w.eventually(func() bool {
				e, err := states.Get(t.Context(), r.standing())
				if err != nil {
					return false
				}
				state, err := accounts.ParseState(e.Value)
				return err == nil && state.Pause != nil && strings.Contains(state.Pause.Reason, r.Meaning)
			}, name+": it is paused")
			require.Zero(t, w.count(`SELECT count(*) FROM messages WHERE direction = 'outbound' AND status <> 'queued' AND account = $1`, r.account), name)
			continue
		}
		w.eventually(func() bool {
			return w.count(`SELECT count(*) FROM messages WHERE direction = 'outbound' AND status = $2 AND account = $1`, r.account, r.outcome()) == 1
		}, name+": "+r.outcome())
		received := w.meta.Messages(simulator.Key{Account: r.account, Customer: "7001"})
		if r.outcome() == "sent" {
			require.Len(t, received, 2, name)
			continue
		}
		require.Len(t, received, 1, name)
		var reason string
		require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT metadata->'delivery'->>'reason' FROM messages WHERE direction = 'outbound' AND account = $1`, r.account).Scan(&reason))
		require.Contains(t, reason, r.Meaning, name)
	}
}
