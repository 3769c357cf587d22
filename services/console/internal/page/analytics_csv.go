package page

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"time"
)

// analyticsCSV gives the figures behind the page, hour by hour.
func (p *Pages) analyticsCSV(w http.ResponseWriter, r *http.Request) error {
	q := p.statsQuery(r)
	q.Daily = false
	hours, err := p.Store.Stats(r.Context(), q.StatsFilter)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="parley-`+q.From.Format(time.DateOnly)+`.csv"`)
	out := csv.NewWriter(w)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	_ = out.Write([]string{"hour", "inbound", "sent_by_rule", "sent_as_fallback", "sent_by_person", "not_sent", "reply_p50_ms", "reply_p95_ms"})
	for _, h := range hours {
		_ = out.Write([]string{
			h.At.Format(time.RFC3339), number(h.Inbound), number(h.ByRule), number(h.Fallback), number(h.ByPerson), number(h.Failed),
			number(h.Delays.Quantile(.5).Milliseconds()), number(h.Delays.Quantile(.95).Milliseconds()),
		})
	}
	out.Flush() // a csv.Writer keeps its first error
	return out.Error()
}
