package page

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/parley-dm/parley/services/console/internal/store"
)

// auditPage is how many entries a page has.
const auditPage = 100

// audit lists who changed what.
func (p *Pages) audit(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	before, _ := strconv.ParseInt(query.Get("before"), 10, 64) // from the start, where it is none
	filter := store.AuditFilter{Before: max(before, 0), UserID: query.Get("user"), Target: query.Get("target"), Limit: auditPage + 1}
	entries, err := p.Store.AuditLog(r.Context(), filter)
	if err != nil {
		return err
	}
	more := ""
	if len(entries) > auditPage {
		entries = entries[:auditPage]
		next := url.Values{"before": {strconv.FormatInt(entries[auditPage-1].ID, 10)}}
		for name, value := range map[string]string{"user": filter.UserID, "target": filter.Target} {
			if value != "" {
				next.Set(name, value)
			}
		}
		more = "/audit?" + next.Encode()
	}
	return p.show(w, r, "people/audit", "Audit log", map[string]any{"Entries": entries, "More": more, "Filtered": filter.UserID != "" || filter.Target != ""})
}
