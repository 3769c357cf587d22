package page

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/rulefile"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

const historyPage = 50

// historyLine is one version of a rule.
type historyLine struct {
	repository.RuleVersion
	// Changed are the fields that differ from the version before; empty where that is not on the page.
	Changed []string
	YAML    string
	// Now: the rule is so now.
	Now bool
}

type historyData struct {
	ID, Name  string // of one rule, or empty
	Deleted   bool
	Lines     []historyLine
	More      string
	MayChange bool
}

// rulesHistory lists the versions of one rule, or of all, newest first.
func (p *Pages) rulesHistory(w http.ResponseWriter, r *http.Request) error {
	query := repository.HistoryQuery{RuleID: chi.URLParam(r, "id"), Before: historyBefore(r.URL.Query()), Limit: historyPage + 1}
	versions, err := p.Store.Rules().History(r.Context(), query)
	if errors.Is(err, repository.ErrNotFound) || err == nil && query.RuleID != "" && len(versions) == 0 {
		return web.ErrNotFound
	}
	if err != nil {
		return err
	}
	d := historyData{ID: query.RuleID, MayChange: web.UserOf(r).Role.May(store.Agent)}
	for i := range versions[:min(len(versions), historyPage)] {
		v := versions[i]
		line := historyLine{RuleVersion: v}
		if d.ID != "" && i+1 < len(versions) {
			line.Changed = changedFields(&versions[i+1].Rule.Rule, &v.Rule.Rule)
		}
		line.Now = d.ID != "" && i == 0 && query.Before == nil && v.Change != repository.Deleted
		plain := v.Rule.Rule
		plain.ID = ""
		text, err := rulefile.Format([]rules.Rule{plain})
		if err != nil {
			return err
		}
		line.YAML = string(text)
		d.Lines = append(d.Lines, line)
	}
	if d.ID != "" {
		d.Name, d.Deleted = versions[0].Rule.Name, query.Before == nil && versions[0].Change == repository.Deleted
	}
	if len(versions) > historyPage {
		d.More = r.URL.Path + "?" + afterVersion(&versions[historyPage-1]).Encode()
	}
	return p.show(w, r, "rules/history", "History of rules", d)
}

// historyBefore is where a page begins: behind a version. One that cannot be read begins with the newest.
func historyBefore(q url.Values) *repository.RuleVersion {
	version, err := strconv.Atoi(q.Get("version"))
	at, errAt := time.Parse(time.RFC3339Nano, q.Get("at"))
	if err != nil || errAt != nil {
		return nil
	}
	return &repository.RuleVersion{RuleID: q.Get("rule"), Version: version, At: at}
}

func afterVersion(v *repository.RuleVersion) url.Values {
	return url.Values{"version": {strconv.Itoa(v.Version)}, "at": {v.At.Format(time.RFC3339Nano)}, "rule": {v.RuleID}}
}

// changedFields names what differs between two versions.
func changedFields(a, b *rules.Rule) []string {
	var out []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"name", a.Name == b.Name},
		{"on or off", a.Active == b.Active},
		{"priority", a.Priority == b.Priority},
		{"keywords", slices.Equal(a.Keywords, b.Keywords)},
		{"match type", a.MatchType == b.MatchType},
		{"text", a.Response == b.Response},
		{"conditions", reflect.DeepEqual(a.When, b.When)},
		{"actions", reflect.DeepEqual(a.Then, b.Then)},
		{"limits", a.Limits.OncePerCustomer == b.Limits.OncePerCustomer && a.Limits.Cooldown == b.Limits.Cooldown &&
			a.Limits.From.Equal(b.Limits.From) && a.Limits.Until.Equal(b.Limits.Until)},
	} {
		if !f.same {
			out = append(out, f.name)
		}
	}
	return out
}
