package page

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// homeLongest is how many of those that wait longest are listed.
const homeLongest = 6

// homeData is what waits for whoever looks.
type homeData struct {
	store.Work
	// Longest are the conversations that wait longest.
	Longest []inboxRow
	// Paused is how many accounts, or apps, may not send; unknown while the bus is Away.
	Paused int
	Away   bool
}

// Count writes a number, and of one beyond what was counted that there are more.
func (d *homeData) Count(n int) string {
	if n > store.MaxWork {
		return view.Number(store.MaxWork) + "+"
	}
	return strconv.Itoa(n)
}

// home shows what waits.
func (p *Pages) home(w http.ResponseWriter, r *http.Request) error {
	ctx, scope := r.Context(), web.ScopeOf(r)
	work, err := p.Store.Work(ctx, scope, web.UserOf(r).ID)
	if err != nil {
		return err
	}
	data := &homeData{Work: work}
	talks, _, err := p.Store.Inbox(ctx, scope, store.InboxFilter{Waiting: true, Limit: homeLongest})
	if err != nil {
		return err
	}
	for i := range talks {
		data.Longest = append(data.Longest, p.row(r, inboxQuery{Waiting: true}, &talks[i], ""))
	}
	states, err := p.AccountStates.States(ctx)
	if err != nil && !errors.Is(err, ops.ErrAway) {
		return err
	}
	data.Away = err != nil
	for i := range states {
		if s := &states[i]; s.Pause != nil && (s.App != "" || len(scope) == 0 || slices.Contains(scope, s.Account)) {
			data.Paused++
		}
	}
	return p.show(w, r, "home/home", "Home", data)
}
