package page

import (
	"context"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parley-dm/parley/services/console/internal/cluster"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// The bounds of the page's lists, and of how many unanswered messages are put together.
const (
	topNames     = 10
	topClusters  = 12
	maxUnmatched = 2000
)

// statsRanges are the ranges that can be looked at, in days.
var statsRanges = []int{1, 7, 30, 90, 365}

// statsQuery is what the address asks for.
type statsQuery struct {
	store.StatsFilter
	Days int
}

// Query is the address's part behind the question mark. As a text it would be escaped once more where a template puts it there.
func (q statsQuery) Query() template.URL {
	return template.URL(url.Values{"account": {q.Account}, "days": {strconv.Itoa(q.Days)}}.Encode()) //nolint:gosec // it is encoded
}

// Hourly says whether figures are shown by the hour; otherwise by the day.
func (q statsQuery) Hourly() bool { return q.Days <= 2 }

func (p *Pages) statsQuery(r *http.Request) statsQuery {
	q := statsQuery{Days: 7}
	if days, err := strconv.Atoi(r.URL.Query().Get("days")); err == nil && slices.Contains(statsRanges, days) {
		q.Days = days
	}
	q.Scope, q.Account = web.ScopeOf(r), r.URL.Query().Get("account")
	q.To = p.Now().UTC().Truncate(time.Hour).Add(time.Hour)
	q.From = q.To.Add(-time.Duration(q.Days) * 24 * time.Hour)
	if q.Daily = !q.Hourly(); q.Daily { // whole days
		q.From = q.To.Add(-time.Hour).Truncate(24*time.Hour).AddDate(0, 0, 1-q.Days)
	}
	return q
}

// analyticsData is what the page shows.
type analyticsData struct {
	Query    statsQuery
	Ranges   []int
	Accounts []string
	Total    store.Stats
	P50, P95 time.Duration
	HandOffs int64
	Rows     []store.Stats // by hour or day, the newest first
	// Busy is how many customers' messages there were by day of the week and hour, and how strongly each is marked, 0 to 5.
	Busy      [7]busyDay
	Rules     []store.Named
	Languages []store.Named
	Unmatched []cluster.Cluster
}

// BotPercent is the share of what was sent that the bot sent.
func (d analyticsData) BotPercent() int { return int(math.Round(100 * d.Total.ByBot())) }

// Half and Most are how long half, and 95 of a hundred, replies took at most.
func (d analyticsData) Half() string { return shortly(d.P50) }

// Most is the other one.
func (d analyticsData) Most() string { return shortly(d.P95) }

// hourMark is an hour of the day above the table of busy hours; not each has room to be shown.
type hourMark struct {
	Hour  int
	Shown bool
}

// HourMarks are all of them.
func (analyticsData) HourMarks() (marks [24]hourMark) {
	for n := range marks {
		marks[n] = hourMark{Hour: n, Shown: n%6 == 0}
	}
	return marks
}

// shortly writes a time span with as much as a person wants to know of it.
func shortly(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	default:
		return d.Round(time.Minute).String()
	}
}

type busyDay struct {
	Name  string
	Hours [24]busyHour
}

type busyHour struct {
	Count int64
	Level int
}

// analytics shows how much was said, how quickly, by whom, and what nobody had an answer to.
func (p *Pages) analytics(w http.ResponseWriter, r *http.Request) error {
	d := &analyticsData{Query: p.statsQuery(r), Ranges: statsRanges}
	if err := p.readAnalytics(r.Context(), d); err != nil {
		return err
	}
	return p.show(w, r, "analytics/analytics", "Analytics", d)
}

// readAnalytics reads the figures, all at once: none depends on another.
func (p *Pages) readAnalytics(ctx context.Context, d *analyticsData) error {
	q := d.Query
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		stats, err := p.Store.Stats(ctx, q.StatsFilter)
		for i := range stats {
			d.Total.Add(&stats[i])
		}
		d.P50, d.P95 = d.Total.Delays.Quantile(.5), d.Total.Delays.Quantile(.95)
		d.Rows = steps(q, stats)
		slices.Reverse(d.Rows)
		return err
	})
	group.Go(func() error {
		hours, err := p.Store.BusyHours(ctx, q.StatsFilter)
		d.Busy = busy(&hours)
		return err
	})
	group.Go(func() (err error) {
		if d.Accounts, err = p.Store.StatsAccounts(ctx, q.Scope); err != nil {
			return err
		}
		d.HandOffs, err = p.Store.HandOffs(ctx, q.StatsFilter)
		return err
	})
	group.Go(func() (err error) {
		d.Rules, err = p.Store.TopNamed(ctx, q.StatsFilter, store.NamedRules, topNames)
		return err
	})
	group.Go(func() (err error) {
		d.Languages, err = p.Store.TopNamed(ctx, q.StatsFilter, store.NamedLanguages, topNames)
		return err
	})
	group.Go(func() error {
		unmatched, err := p.Store.Unmatched(ctx, q.StatsFilter, maxUnmatched)
		d.Unmatched = cluster.Of(unmatched, topClusters)
		return err
	})
	return group.Wait()
}

// steps lists the hours or days of the range, with those in which nothing was said, oldest first.
func steps(q statsQuery, stats []store.Stats) []store.Stats {
	step := 24 * time.Hour
	if q.Hourly() {
		step = time.Hour
	}
	var out []store.Stats
	for at := q.From; at.Before(q.To); at = at.Add(step) {
		s := store.Stats{At: at}
		for len(stats) > 0 && stats[0].At.Before(at.Add(step)) {
			s.Add(&stats[0])
			stats = stats[1:]
		}
		out = append(out, s)
	}
	return out
}

// busy names the days of the week and marks each hour.
func busy(counts *store.Busy) (days [7]busyDay) {
	most := int64(1)
	for _, hours := range counts {
		most = max(most, slices.Max(hours[:]))
	}
	for i, hours := range counts {
		days[i].Name = time.Weekday((i + 1) % 7).String()[:3]
		for n, count := range hours {
			days[i].Hours[n] = busyHour{Count: count, Level: int((count*5 + most - 1) / most)}
		}
	}
	return days
}
