package page

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/rulefile"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// maxRuleFile bounds a file of rules that is uploaded; `parley rules import` takes larger ones. The form that applies it
// carries it again, and grows by what its encoding escapes, within the bound of every request.
const maxRuleFile = 256 << 10

// importData is a file of rules before it is applied.
type importData struct {
	YAML, Problem string
	Replace       bool
	Plan          *repository.Plan
	// Sum names the plan that is shown: another is shown before it is applied.
	Sum     string
	Changed bool
}

// rulesExport writes all rules as a file.
func (p *Pages) rulesExport(w http.ResponseWriter, r *http.Request) error {
	all, err := p.Store.Rules().List(r.Context())
	if err != nil {
		return err
	}
	plain := make([]rules.Rule, 0, len(all))
	for i := range all {
		if all[i].Broken != nil {
			return web.BadRequest("The rule “" + all[i].Name + "” cannot be read whole, so a file would not have all of it. Mend or delete it first.")
		}
		plain = append(plain, all[i].Rule)
	}
	text, err := rulefile.Format(plain)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="rules.yaml"`)
	_, err = w.Write(text)
	return err
}

// rulesImport asks for a file.
func (p *Pages) rulesImport(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, "rules/import", "Import rules", importData{})
}

// rulesImportSend shows what a file would change, and changes it once that was seen.
func (p *Pages) rulesImportSend(w http.ResponseWriter, r *http.Request) error {
	d := importData{}
	var err error
	if d.YAML, err = importText(r); err != nil {
		return err
	}
	d.Replace = r.PostFormValue("replace") == "1"
	refuse := func(text string) error {
		d.Problem = text
		return p.showWith(w, r, http.StatusUnprocessableEntity, "rules/import", "Import rules", d)
	}
	all, err := rulefile.Parse("rules", []byte(d.YAML))
	if err != nil {
		return refuse(err.Error())
	}
	set := repository.Import{Replace: d.Replace, DryRun: true, By: web.ActorOf(r).Name, Rules: make([]repository.Rule, len(all))}
	for i := range all {
		all[i].CreatedAt = time.Time{} // the order of the file counts
		set.Rules[i] = repository.Rule{Rule: all[i]}
	}
	plan, err := p.Store.Rules().Import(r.Context(), set)
	if errors.Is(err, repository.ErrInvalid) {
		return refuse(err.Error())
	}
	if err != nil {
		return err
	}
	d.Plan, d.Sum = &plan, planSum(&plan)
	seen := r.PostFormValue("sum")
	if r.PostFormValue("do") != "apply" || seen != d.Sum {
		d.Changed = seen != ""
		return p.show(w, r, "rules/import", "Import rules", d)
	}
	set.DryRun = false
	if plan, err = p.Store.Rules().Import(r.Context(), set); err != nil {
		return err
	}
	err = p.Store.Audit(r.Context(), web.ActorOf(r), store.Change{Action: "rules.imported", Detail: map[string]any{
		"created": len(plan.Created), "changed": len(plan.Changed), "removed": len(plan.Removed),
	}})
	if err != nil {
		return err
	}
	return p.done(w, r, "/rules", "rules_imported")
}

// importText is the uploaded file, or the text of the form that applies it.
func importText(r *http.Request) (string, error) {
	tooLarge := web.BadRequest(fmt.Sprintf("The file cannot be read, or is larger than %d KiB; `parley rules import` takes larger ones.", maxRuleFile>>10))
	if err := r.ParseMultipartForm(maxRuleFile); err != nil && !errors.Is(err, http.ErrNotMultipart) { //nolint:gosec // the router bounds every body
		return "", tooLarge
	}
	text := unixLines(r.PostFormValue("yaml"))
	if r.MultipartForm != nil {
		defer func() { _ = r.MultipartForm.RemoveAll() }()
	}
	if file, _, err := r.FormFile("file"); err == nil {
		defer func() { _ = file.Close() }()
		content, err := io.ReadAll(io.LimitReader(file, maxRuleFile+1))
		if err != nil {
			return "", tooLarge
		}
		if len(content) > 0 {
			text = string(content)
		}
	}
	if len(text) > maxRuleFile {
		return "", tooLarge
	}
	return text, nil
}

// planSum names a plan: what it makes, over which version, and what it removes.
func planSum(p *repository.Plan) string {
	h := sha256.New()
	for _, group := range [][]repository.Rule{p.Created, p.Changed, p.Removed} {
		for i := range group {
			_, _ = fmt.Fprintf(h, "%q %s %d\n", group[i].Name, group[i].ID, group[i].Version)
		}
		_, _ = io.WriteString(h, strings.Repeat("-", 3)+"\n")
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
