package standalone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/rulefile"
	"github.com/parley-dm/parley/services/standalone/internal/trial"
)

type rulesCommand struct {
	Import    rulesImportCommand    `cmd:"" help:"Put the rules of a file into the database: over those with their ids or names, and beside others."`
	Export    rulesExportCommand    `cmd:"" help:"Write the rules of the database as a file."`
	Validate  rulesValidateCommand  `cmd:"" help:"Check a file: every problem at once, with line and field, and the rules in it that can never win; exit 2 on a problem."`
	Conflicts rulesConflictsCommand `cmd:"" help:"Point out the active rules of the database that can never win."`
	Test      rulesTestCommand      `cmd:"" help:"Ask the rules of a file about messages, and compare with what is expected; exit 1 when something differs."`
	Try       rulesTryCommand       `cmd:"" help:"Ask the rules of a file about archived messages, and say what would be answered otherwise."`
}

// readRules reads a file of rules. What is wrong with it is a mistake of usage.
func readRules(file string) ([]rules.Rule, error) {
	b, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return nil, usage(err)
	}
	all, err := rulefile.Parse(file, b)
	if err != nil {
		var problems rulefile.Problems
		if errors.As(err, &problems) {
			return nil, usage(fmt.Errorf("%d problem(s)\n%w", len(problems), err))
		}
		return nil, usage(err)
	}
	return all, nil
}

// readSet compiles the active rules of a file.
func readSet(file string) (*rules.Set, error) {
	all, err := readRules(file)
	if err != nil {
		return nil, err
	}
	active := all[:0]
	for _, r := range all {
		if r.Active {
			if r.ID == "" {
				r.ID = r.Name // what a rule did is remembered by its id
			}
			active = append(active, r)
		}
	}
	set, problems := rules.Compile(active)
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = fmt.Errorf("%s: rule %q: %w", file, p.Rule.Name, p.Err)
	}
	if len(errs) > 0 {
		return nil, usage(errors.Join(errs...))
	}
	return set, nil
}

// warn points out what can never win.
func warn(w io.Writer, where string, conflicts []rules.Conflict) {
	for _, c := range conflicts {
		what := fmt.Sprintf("rule %q can never win", c.Rule.Name)
		if c.Keyword != "" {
			what = fmt.Sprintf("rule %q can never win on keyword %q", c.Rule.Name, c.Keyword)
		}
		by := fmt.Sprintf("rule %q always comes first", c.By.Name)
		if c.ByKeyword != "" {
			by += fmt.Sprintf(", on keyword %q", c.ByKeyword)
		}
		say(w, "%s: %s: %s", where, what, by)
	}
}

type rulesImportCommand struct {
	File    string `arg:"" help:"The file, in YAML."`
	Replace bool   `help:"Remove the rules that the file does not have."`
	DryRun  bool   `help:"Only say what would be done."`
	Yes     bool   `help:"Do it also where rules are removed."`
	By      string `help:"Who imports; the system's user by default."`
}

// Run imports rules.
func (c *rulesImportCommand) Run(ctx context.Context, inv Invocation) error {
	all, err := readRules(c.File)
	if err != nil {
		return err
	}
	set := repository.Import{Replace: c.Replace, DryRun: true, By: whoAsks(c.By), Rules: make([]repository.Rule, len(all))}
	for i, r := range all {
		r.CreatedAt = time.Time{} // the order of the file counts
		set.Rules[i] = repository.Rule{Rule: r}
	}
	return withDatabase(ctx, inv, func(pool *pgxpool.Pool) error {
		repo := repository.NewRules(pool)
		plan, err := repo.Import(ctx, set)
		if err != nil {
			return err
		}
		switch {
		case c.DryRun:
			return c.print(inv, plan, "nothing was changed: it was a dry run")
		case len(plan.Removed) > 0 && !c.Yes:
			return c.print(inv, plan, fmt.Sprintf("nothing was changed: %d rule(s) would be removed; add --yes to do it", len(plan.Removed)))
		}
		set.DryRun, set.Replace = false, c.Replace && c.Yes // what came meanwhile is not removed unasked
		if plan, err = repo.Import(ctx, set); err != nil {
			return err
		}
		return c.print(inv, plan, "done")
	})
}

func (c *rulesImportCommand) print(inv Invocation, p repository.Plan, end string) error {
	for _, group := range []struct {
		sign string
		all  []repository.Rule
	}{{"+ create", p.Created}, {"~ change", p.Changed}, {"- remove", p.Removed}} {
		for _, r := range group.all {
			off := ""
			if !r.Active {
				off = " (not active)"
			}
			say(inv.Stdout, "%s %q%s", group.sign, r.Name, off)
		}
	}
	say(inv.Stdout, "%d created, %d changed, %d removed, %d as they were, %d not in the file and kept: %s",
		len(p.Created), len(p.Changed), len(p.Removed), len(p.Unchanged), len(p.Kept), end)
	return nil
}

type rulesExportCommand struct {
	File string `arg:"" optional:"" help:"The file; standard output without."`
}

// Run exports rules.
func (c *rulesExportCommand) Run(ctx context.Context, inv Invocation) error {
	return withDatabase(ctx, inv, func(pool *pgxpool.Pool) error {
		stored, err := repository.NewRules(pool).List(ctx)
		if err != nil {
			return err
		}
		all := make([]rules.Rule, len(stored))
		var errs []error
		for i, r := range stored {
			if r.Broken != nil {
				errs = append(errs, fmt.Errorf("rule %q (%s) cannot be read: %w", r.Name, r.ID, r.Broken))
			}
			all[i] = r.Rule
		}
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
		text, err := rulefile.Format(all)
		if err != nil {
			return err
		}
		if c.File == "" {
			_, err = inv.Stdout.Write(text)
			return err
		}
		if err := replaceFile(c.File, text); err != nil {
			return err
		}
		say(inv.Stdout, "%d rule(s) written to %s", len(all), c.File)
		return nil
	})
}

// replaceFile writes a file as a whole: one that was there is not left half written.
func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

type rulesValidateCommand struct {
	File   string `arg:"" help:"The file, in YAML."`
	Strict bool   `help:"Exit 1 when rules can never win."`
}

// Run validates a file.
func (c *rulesValidateCommand) Run(inv Invocation) error {
	set, err := readSet(c.File)
	if err != nil {
		return err
	}
	conflicts := set.Conflicts()
	warn(inv.Stdout, c.File, conflicts)
	say(inv.Stdout, "%s: %d active rule(s), no problem, %d that can never win", c.File, set.Len(), len(conflicts))
	if c.Strict && len(conflicts) > 0 {
		return exitError(1)
	}
	return nil
}

type rulesConflictsCommand struct {
	Strict bool `help:"Exit 1 when there are any."`
}

// Run points out conflicts.
func (c *rulesConflictsCommand) Run(ctx context.Context, inv Invocation) error {
	return withDatabase(ctx, inv, func(pool *pgxpool.Pool) error {
		active, problems, err := repository.NewRules(pool).Active(ctx)
		if err != nil {
			return err
		}
		set, more := rules.Compile(active)
		for _, p := range append(problems, more...) {
			say(inv.Stdout, "database: rule %q cannot be used: %v", p.Rule.Name, p.Err)
		}
		conflicts := set.Conflicts()
		warn(inv.Stdout, "database", conflicts)
		say(inv.Stdout, "%d active rule(s), %d that cannot be used, %d that can never win", set.Len(), len(problems)+len(more), len(conflicts))
		if c.Strict && len(problems)+len(more)+len(conflicts) > 0 {
			return exitError(1)
		}
		return nil
	})
}

type rulesTestCommand struct {
	File  string `arg:"" help:"The rules, in YAML."`
	Cases string `arg:"" help:"The cases, in YAML: a list cases, each with a message and the name of the rule that is to answer it."`
}

// Help shows a case.
func (*rulesTestCommand) Help() string {
	return `A case without a rule expects that none answers. Beside message and rule it may have: payload, on (occasions, as in rules),
account, language, intent, sentiment, labels, returning, at.`
}

// Run tests rules.
func (c *rulesTestCommand) Run(inv Invocation) error {
	set, err := readSet(c.File)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.Cases)
	if err != nil {
		return usage(err)
	}
	cases, err := trial.Cases(c.Cases, text, set)
	if err != nil {
		return usage(err)
	}
	differences := trial.Check(set, cases, time.Now())
	table := tabwriter.NewWriter(inv.Stdout, 0, 0, 2, ' ', 0)
	for i, d := range differences {
		if i == 0 {
			_, _ = fmt.Fprintln(table, "CASE\tMESSAGE\tEXPECTED\tGOT\tKEYWORD\tEXPECTED WAS PASSED OVER FOR")
		}
		_, _ = fmt.Fprintf(table, "%d\t%q\t%s\t%s\t%s\t%s\n", d.Number, shorten(cmp.Or(d.Message, d.Payload)), ruleName(d.Rule), ruleName(d.Got), d.Keyword, d.Why)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	say(inv.Stdout, "%d case(s), %d as expected, %d not", len(cases), len(cases)-len(differences), len(differences))
	if len(differences) > 0 {
		return exitError(1)
	}
	return nil
}

func ruleName(name string) string {
	if name == "" {
		return trial.ByNoRule
	}
	return name
}

type rulesTryCommand struct {
	File     string `arg:"" help:"The rules, in YAML."`
	Since    string `default:"7d" help:"Try the messages since: a time, a date, or an age such as 7d." placeholder:"TIME"`
	Account  string `help:"Only one account's messages."`
	Examples int    `default:"3" help:"How many messages to name for each change."`
	ShowText bool   `help:"Also print what the customers wrote."`
}

// Help says what is compared.
func (*rulesTryCommand) Help() string {
	return `Compares, for each archived message of a customer, which rule answered it with which rule of the file would. Limits, labels and
first contact are followed as the new rules would have had them. What nothing answered, such as while a person had the conversation,
is shown as (nothing). Messages that a person answered are not compared, nor comments, reactions and referrals, nor texts that depend on the customer's name, on a turn or on the language.`
}

// Run tries rules.
func (c *rulesTryCommand) Run(ctx context.Context, inv Invocation) error {
	since, err := parseTime("--since", c.Since)
	if err != nil {
		return usage(err)
	}
	set, err := readSet(c.File)
	if err != nil {
		return err
	}
	return withDatabase(ctx, inv, func(pool *pgxpool.Pool) error {
		report, err := trial.OnArchive(ctx, repository.NewMessages(pool), set, trial.Options{
			Stretch: repository.Stretch{Since: since, Account: c.Account}, Examples: max(c.Examples, 0),
		})
		if err != nil {
			return err
		}
		return c.print(inv, &report)
	})
}

func (c *rulesTryCommand) print(inv Invocation, r *trial.Report) error {
	table := tabwriter.NewWriter(inv.Stdout, 0, 0, 2, ' ', 0)
	for i, change := range r.Changes {
		if i == 0 {
			_, _ = fmt.Fprintln(table, "MESSAGES\tANSWERED BY\tWOULD BE\tSUCH AS")
		}
		after := change.After
		if change.Before == change.After {
			after += " (other words)"
		}
		names := make([]string, len(change.Examples))
		for n, e := range change.Examples {
			if names[n] = e.MID; e.MID == "" {
				names[n] = e.ID
			}
			if c.ShowText {
				names[n] += fmt.Sprintf(" %q", shorten(e.Text))
			}
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", change.Count, change.Before, after, strings.Join(names, ", "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	say(inv.Stdout, "%d message(s) of %d customer(s): %d would be answered otherwise, %d as they were; %d that a person answered are not compared",
		r.Messages, r.Customers, r.Different(), r.Same, r.Person)
	return nil
}
