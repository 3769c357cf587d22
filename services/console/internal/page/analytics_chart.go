package page

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	graphs "github.com/parley-dm/parley/services/console/internal/chart"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// analyticsChart draws one chart of the page.
func (p *Pages) analyticsChart(w http.ResponseWriter, r *http.Request) error {
	q := p.statsQuery(r)
	stats, err := p.Store.Stats(r.Context(), q.StatsFilter)
	if err != nil {
		return err
	}
	c := graphs.Chart{Dark: r.URL.Query().Get("dark") != ""}
	rows := steps(q, stats)
	series := func(name string, value func(store.Stats) float64) {
		values := make([]float64, len(rows))
		for i, s := range rows {
			values[i] = value(s)
		}
		c.Series = append(c.Series, graphs.Series{Name: name, Values: values})
	}
	switch chi.URLParam(r, "chart") {
	case "messages":
		series("From customers", func(s store.Stats) float64 { return float64(s.Inbound) })
		series("Sent", func(s store.Stats) float64 { return float64(s.Sent()) })
	case "who":
		c.Bars = true
		series("By rule", func(s store.Stats) float64 { return float64(s.ByRule) })
		series("Fallback", func(s store.Stats) float64 { return float64(s.Fallback) })
		series("By a person", func(s store.Stats) float64 { return float64(s.ByPerson) })
	case "wait":
		c.Format = graphs.Duration
		series("Half of the replies within", func(s store.Stats) float64 { return s.Delays.Quantile(.5).Seconds() })
		series("95 % within", func(s store.Stats) float64 { return s.Delays.Quantile(.95).Seconds() })
	default:
		return web.ErrNotFound
	}
	layout := "2 Jan"
	if q.Hourly() {
		layout = "15:04"
	}
	for _, s := range rows {
		c.Labels = append(c.Labels, s.At.Format(layout))
	}
	svg, err := c.SVG()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	_, err = w.Write(svg)
	return err
}
