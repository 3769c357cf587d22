package standalone_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator"
)

// asks has a customer write what is answered, and gives its mid.
func (w *world) asks(customer, text, answer string) string {
	w.t.Helper()
	m, err := w.meta.Say(simulator.Action{Key: simulator.Key{Account: page, Customer: customer}, Text: text, Expect: answer})
	require.NoError(w.t, err)
	return m.MID
}

// withhold keeps the next webhook from coming.
func (w *world) withhold(text, answer string) (mid string) {
	w.t.Helper()
	_, err := w.meta.AddFault(simulator.Fault{Kind: "withhold", Count: 1})
	require.NoError(w.t, err)
	mid = w.asks("7001", text, answer)
	w.meta.RemoveFaults()
	return mid
}

// A message whose webhook never comes is found and answered, once: also when the webhook comes after all.
func TestAMessageWhoseWebhookIsWithheldIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "BACKFILL_EVERY=1s", "BACKFILL_AFTER=1s")
	w.rule("price?", "18 each.")
	w.rule("hours?", "Nine to five.")
	w.rule("thanks", "You are welcome.")
	w.serve()
	w.asks("7001", "price?", "18 each.")
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "the first is answered")

	mid := w.withhold("hours?", "Nine to five.")
	w.eventually(func() bool { return len(w.replies("7001")) == 2 }, "the missed one is found and answered")
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE mid = $1 AND message_text = 'hours?' AND metadata->>'source' = 'backfill'`, mid) == 1
	}, "and kept")

	require.Equal(t, http.StatusOK, w.post("7001", mid, "hours?"), "the webhook comes after all")
	w.asks("7001", "thanks", "You are welcome.")
	w.eventually(func() bool { return len(w.replies("7001")) == 3 }, "what comes after it is answered")
	require.Equal(t, []string{"18 each.", "Nine to five.", "You are welcome."}, w.replies("7001"))
	verdict := w.meta.Verdict()
	require.Zero(t, verdict.Missing+verdict.Doubled+verdict.Swapped, "%+v", verdict)
}

// What is found too late is kept and not answered.
func TestAMessageThatIsFoundTooLateIsOnlyKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "BACKFILL_EVERY=1s", "BACKFILL_AFTER=2s", "BACKFILL_ANSWER_WITHIN=1s")
	w.rule("price?", "18 each.")
	w.rule("hours?", "Nine to five.")
	w.serve()
	w.asks("7001", "price?", "18 each.")
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "the first is answered")
	mid := w.withhold("hours?", "")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE mid = $1`, mid) == 1 }, "it is kept")
	w.asks("7001", "price?", "18 each.")
	w.eventually(func() bool { return len(w.replies("7001")) == 2 }, "what comes after it is answered")
	require.Equal(t, []string{"18 each.", "18 each."}, w.replies("7001"))
}

// A photo whose webhook is withheld is found with its link. That webhook may come a moment later and is then dropped as the same
// event: what was found must be all of it.
func TestAPhotoWhoseWebhookIsWithheldKeepsItsLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "BACKFILL_EVERY=1s", "BACKFILL_AFTER=1s")
	w.rule("price?", "18 each.")
	w.serve()
	w.asks("7001", "price?", "18 each.")
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "the first is answered")
	_, err := w.meta.AddFault(simulator.Fault{Kind: "withhold", Count: 1})
	require.NoError(t, err)
	mid := w.acts("image", "")
	w.meta.RemoveFaults()
	found := `SELECT count(*) FROM messages WHERE mid = $1 AND message_type = 'image' AND metadata #>> '{attachments,0,type}' = 'image' AND metadata #>> '{attachments,0,url}' LIKE $2 || '/cdn/image/%'`
	w.eventually(func() bool { return w.count(found, mid, w.graph) == 1 }, "it is found, and so is its link")
	require.Equal(t, http.StatusOK, w.post("7001", mid, ""), "the webhook comes after all, and is the same event")
	w.asks("7001", "price?", "18 each.")
	w.eventually(func() bool { return len(w.replies("7001")) == 3 }, "what comes after it is answered")
	require.Equal(t, 1, w.count(found, mid, w.graph))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM messages WHERE mid = $1 AND metadata->>'source' = 'backfill'`, mid))
}
