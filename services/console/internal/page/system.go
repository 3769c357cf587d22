package page

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/pipeline/overview"
	"github.com/parley-dm/parley/pkg/pipeline/roster"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

const (
	maxTroubles = 30
	// fillWarns and fillBad are how full a stream may be, in percent, before it is marked: ingress's spool takes what a full
	// one refuses, and that is bounded too.
	fillWarns, fillBad = 70, 90
)

// systemData is how everything stands.
type systemData struct {
	At       time.Time
	Services []systemService
	Troubles []telemetry.Trouble
	Streams  []systemStream
	Groups   []systemGroup
	NotReady int
}

type systemService struct {
	roster.Report
	// Failing are the checks that are not in order, Notes what the others tell, such as how much is spooled.
	Failing, Notes []telemetry.Result
}

type systemStream struct {
	overview.Stream
	Percent     int
	Tone        string // good, warn or bad
	Held, Bound string // bytes, for people
}

type systemGroup struct {
	overview.Group
	Owners []systemOwner
	// Orphans are the partitions that nobody owns, empty for none.
	Orphans string
}

// systemOwner is a replica of a stage with what it owns.
type systemOwner struct {
	Member, Partitions string
	Waiting, InFlight  uint64
	// Unread are those of its partitions that it does not ask for messages of.
	Unread string
}

// system shows how services and streams stand.
func (p *Pages) system(w http.ResponseWriter, r *http.Request) error {
	data, err := p.systemData(r)
	if err != nil {
		return busAway(err, "How the system stands is told by the bus, and it is not reached now. Messages of customers are kept by ingress until it is back.")
	}
	return p.show(w, r, "system/system", "System", data)
}

// systemNow is what the page puts in place of itself every few seconds.
func (p *Pages) systemNow(w http.ResponseWriter, r *http.Request) error {
	data, err := p.systemData(r)
	if err != nil {
		return busAway(err, "How the system stands is told by the bus, and it is not reached now.")
	}
	return p.fragment(w, "system/system", "now", data)
}

// busAway turns the error of a bus that is away into what a page says then.
func busAway(err error, text string) error {
	if errors.Is(err, ops.ErrAway) {
		return &web.Error{Status: http.StatusServiceUnavailable, Title: "The bus is away", Text: text}
	}
	return err
}

func (p *Pages) systemData(r *http.Request) (*systemData, error) {
	if p.System == nil {
		return nil, ops.ErrAway
	}
	reports, err := p.System.Services(r.Context())
	if err != nil {
		return nil, err
	}
	look, err := p.System.Overview(r.Context())
	if err != nil {
		return nil, err
	}
	data := &systemData{At: look.At}
	for i := range reports {
		data.addService(&reports[i])
	}
	data.Troubles = troubles(reports, web.ScopeOf(r))
	for _, s := range look.Streams {
		data.Streams = append(data.Streams, streamOf(s))
	}
	for _, g := range look.Groups {
		data.Groups = append(data.Groups, groupOf(g, p.System.Partitions()))
	}
	return data, nil
}

func (d *systemData) addService(r *roster.Report) {
	s := systemService{Report: *r}
	for _, c := range r.Checks {
		c.Name = strings.TrimPrefix(c.Name, r.Service+".")
		switch {
		case !c.OK:
			s.Failing = append(s.Failing, c)
		case c.Detail != "":
			s.Notes = append(s.Notes, c)
		}
	}
	if !r.Ready {
		d.NotReady++
	}
	d.Services = append(d.Services, s)
}

// troubles are the latest errors of all services, the newest first. Who sees some accounts only is shown the errors of those:
// any other may be about somebody else's.
func troubles(reports []roster.Report, scope store.Scope) []telemetry.Trouble {
	var all []telemetry.Trouble
	seen := map[telemetry.Trouble]bool{}
	for i := range reports {
		for _, t := range reports[i].Troubles {
			// Services of one process may report the same ones.
			if (len(scope) == 0 || slices.Contains(scope, t.Account)) && !seen[t] {
				seen[t] = true
				all = append(all, t)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b telemetry.Trouble) int { return b.Last.Compare(a.Last) })
	return all[:min(len(all), maxTroubles)]
}

func streamOf(s overview.Stream) systemStream {
	out := systemStream{Stream: s, Percent: min(int(s.Fill*100), 100), Tone: "good", Held: bytesText(s.Bytes), Bound: bytesText(uint64(max(s.Bound, 0)))}
	switch {
	case out.Percent >= fillBad:
		out.Tone = "bad"
	case out.Percent >= fillWarns:
		out.Tone = "warn"
	}
	return out
}

func groupOf(g overview.Group, partitions int) systemGroup {
	out := systemGroup{Group: g}
	if len(g.Partitions) == 0 {
		return out
	}
	owned, unread := map[string][]int{}, map[string][]int{}
	sums := map[string]*systemOwner{}
	free := map[int]bool{}
	for n := range partitions {
		free[n] = true
	}
	for _, part := range g.Partitions {
		o := sums[part.Member]
		if o == nil {
			o = &systemOwner{Member: part.Member}
			sums[part.Member] = o
		}
		o.Waiting, o.InFlight = o.Waiting+part.Waiting, o.InFlight+part.InFlight
		owned[part.Member] = append(owned[part.Member], part.Number)
		if !part.Read {
			unread[part.Member] = append(unread[part.Member], part.Number)
		}
		delete(free, part.Number)
	}
	for member, o := range sums {
		o.Partitions, o.Unread = ranges(owned[member]), ranges(unread[member])
		out.Owners = append(out.Owners, *o)
	}
	slices.SortFunc(out.Owners, func(a, b systemOwner) int { return cmp.Compare(a.Member, b.Member) })
	var orphans []int
	for n := range free {
		orphans = append(orphans, n)
	}
	out.Orphans = ranges(orphans)
	return out
}

// ranges writes numbers as people do: 0–3, 7.
func ranges(numbers []int) string {
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		part := strconv.Itoa(numbers[i])
		if j > i {
			part += "–" + strconv.Itoa(numbers[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// bytesText is a number of bytes for people.
func bytesText(n uint64) string {
	const unit = 1024
	if n < unit {
		return strconv.FormatUint(n, 10) + " B"
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 3 {
		f, i = f/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGT"[i])
}
