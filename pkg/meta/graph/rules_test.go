package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

// row is one line of Meta's table as the fact sheet has it, written down here a second time on purpose.
type row struct {
	code, subcode int
	class         graph.Class
	scope         graph.Scope
}

func rows() []row {
	const (
		transient = graph.ClassTransient
		limited   = graph.ClassRateLimited
		dead      = graph.ClassTokenDead
		blocked   = graph.ClassAccountBlocked
		drop      = graph.ClassPermanent

		message      = graph.ScopeMessage
		conversation = graph.ScopeConversation
		account      = graph.ScopeAccount
		app          = graph.ScopeApp
	)
	return []row{
		{1, 0, transient, message}, {1, 99, transient, message}, {1, 1357046, graph.ClassSentAnyway, message},
		{2, 0, transient, message}, {2, 1545133, transient, message},
		{4, 0, limited, app}, {17, 0, limited, account}, {32, 0, limited, account},
		{613, 0, limited, account}, {613, 2534040, limited, account}, {613, 2018338, drop, conversation}, {613, 1996, limited, account},
		{80001, 0, limited, account}, {80002, 0, limited, account}, {80006, 0, limited, account},
		{10, 0, blocked, account},
		{10, 2534022, drop, message}, {10, 2018278, drop, message}, {10, 2018065, drop, message}, {10, 2018108, drop, message},
		{10, 2018300, drop, conversation}, {10, 1893063, blocked, account}, {10, 2534077, blocked, account},
		{100, 0, drop, message}, {100, 33, drop, message}, {100, 2018001, drop, message}, {100, 2534014, drop, message},
		{100, 2534015, drop, message}, {100, 2018047, drop, message}, {100, 2018109, drop, message}, {100, 2018008, transient, message},
		{100, 2534013, blocked, account}, {100, 2534029, blocked, account},
		{100, 2534025, drop, message}, {-1, 2534023, drop, message},
		{100, 2534037, drop, conversation}, {100, 2018300, drop, conversation},
		{190, 0, dead, account}, {190, 458, dead, account}, {190, 459, dead, account}, {190, 460, dead, account},
		{190, 463, dead, account}, {190, 464, dead, account}, {190, 467, dead, account},
		{200, 0, blocked, account}, {200, 2018028, blocked, account}, {200, 2534041, blocked, account}, {200, 1545041, drop, message},
		{551, 0, drop, message},
		{230, 0, graph.ClassNoProfile, message}, {9010, 0, graph.ClassNoProfile, message},
		{368, 0, blocked, account}, {2022, 0, blocked, account},
		{9000001, 0, graph.ClassNotFound, message},
	}
}

// TestEveryRowOfTheTable sends a message for each row and gets the row's error back, under every HTTP status that Meta has
// been seen to use: the status must not matter.
func TestEveryRowOfTheTable(t *testing.T) {
	t.Parallel()
	require.Len(t, graph.Rules(), len(rows()), "a row of the table without a test, or the other way round")
	for _, r := range rows() {
		t.Run(fmt.Sprintf("%d_%d", r.code, r.subcode), func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{200, 400, 401, 403, 429, 500} {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(status)
					body := map[string]any{"message": "(#1) Words", "type": "OAuthException", "code": r.code, "fbtrace_id": "Trace", "is_transient": r.subcode%2 == 0}
					if r.subcode != 0 {
						body["error_subcode"] = r.subcode
					}
					_ = json.NewEncoder(w).Encode(map[string]any{"error": body})
				}))
				_, err := send(t, server.URL)
				server.Close()

				var e *graph.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, r.class, e.Class, "%v", e)
				require.Equal(t, r.scope, e.Scope)
				require.Equal(t, []any{status, r.code, r.subcode, "(#1) Words", "OAuthException", "Trace"},
					[]any{e.Status, e.Code, e.Subcode, e.Message, e.Type, e.TraceID})
				require.NotEmpty(t, e.Meaning)
				require.Equal(t, r.class != graph.ClassSentAnyway, e.Class.NotSent())
				pauses := r.class == graph.ClassRateLimited || r.class == graph.ClassTokenDead || r.class == graph.ClassAccountBlocked
				require.Equal(t, pauses, e.Wait() > 0, "a pause needs a length")
			}
		})
	}
}

func TestReactionsBeyondTheClass(t *testing.T) {
	t.Parallel()
	require.True(t, graph.Classify(400, 10, 2534022, false).Window)
	for _, r := range graph.Rules() {
		switch c := [2]int{r.Code, r.Subcode}; c {
		case [2]int{613, 2018338}:
			require.Equal(t, dm.StopTooMany, r.Stop)
		case [2]int{10, 2018300}, [2]int{100, 2018300}, [2]int{100, 2534037}:
			require.Equal(t, dm.StopNotOurs, r.Stop)
		case [2]int{100, 2018001}, [2]int{100, 2534014}, [2]int{200, 1545041}, [2]int{551, 0}:
			require.Equal(t, dm.StopUnreachable, r.Stop)
		default:
			require.Empty(t, r.Stop, "%v", c)
		}
		require.Equal(t, r.Scope == graph.ScopeConversation, r.Stop == dm.StopTooMany || r.Stop == dm.StopNotOurs)
	}
	require.Equal(t, 3, graph.Classify(500, 1, 0, false).MaxAttempts)
	require.Equal(t, 2, graph.Classify(400, 100, 2018008, false).MaxAttempts, "a medium may be fetched once more")
	require.True(t, graph.Classify(400, 190, 463, false).Alert)
	require.Equal(t, graph.ClassTokenDead, graph.Classify(400, 190, 99999, false).Class, "a new subcode of a known code")
}

func TestUnknownCodesGoByTransientThenStatus(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name         string
		status, code int
		transient    bool
		want         graph.Class
	}{
		{"transient beats the status", 400, 777, true, graph.ClassTransient},
		{"429", 429, 777, false, graph.ClassRateLimited},
		{"429 without a body", 429, 0, false, graph.ClassRateLimited},
		{"401", 401, 0, false, graph.ClassTokenDead},
		{"400", 400, 777, false, graph.ClassPermanent},
		{"404 without a body", 404, 0, false, graph.ClassPermanent},
		{"408", 408, 0, false, graph.ClassTransient},
		{"500", 500, 777, false, graph.ClassTransient},
		{"500 without a body", 500, 0, false, graph.ClassTransient},
		{"503 without a body", 503, 0, false, graph.ClassTransient},
		{"502 of the API", 502, 777, false, graph.ClassTransient},
		{"502 of a gateway", 502, 0, false, graph.ClassUnknown},
		{"504 of a gateway", 504, 0, false, graph.ClassUnknown},
		{"redirect", 302, 0, false, graph.ClassAccountBlocked},
		{"200 that says nothing", 200, 0, false, graph.ClassUnknown},
		{"200 with an error of a new code", 200, 777, false, graph.ClassPermanent},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, graph.Classify(c.status, c.code, 0, c.transient).Class)
		})
	}
}
