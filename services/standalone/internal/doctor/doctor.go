// Package doctor examines an installation from outside: its settings, what it depends on, and what it keeps there. It says
// of each what it found and what to do about it.
//
// It changes nothing, but for a file that it writes and removes to see whether a folder can be written to.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/config"
)

// Level is how bad a finding is.
type Level string

// The levels. A problem is something that does not work now; a warning is what will not, or may not.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Problem Level = "problem"
)

// Finding is what one check found.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Found string `json:"found"`
	// Do is what to do about it; empty when all is well.
	Do string `json:"do,omitempty"`
}

// Patient is what is examined. A nil part is one whose settings are wrong or that is not used; it is left out.
type Patient struct {
	Config *config.Error
	Disk   *Disk
	Bus    *Bus
	// BusUnreachable says why the bus cannot be asked, when there is no way to.
	BusUnreachable string
	Database       *config.Database
	// KeepsMedia: attachments are fetched and kept.
	KeepsMedia bool
	Graph      *Graph
	AdminAddr  string
}

// Disk are the folders that are written to.
type Disk struct {
	// Folders are the variables that name them, and their values.
	Folders []Folder
}

// Folder is one of them. Needs is what may come to be in it.
type Folder struct {
	Variable, Path string
	Needs          int64
}

// Bus is how to reach NATS.
type Bus struct {
	NATS config.NATS
	// Embedded: the server is the one in the process that runs here.
	Embedded bool
}

// Graph is how to call the Graph API, and for whom.
type Graph struct {
	Settings  accounts.Settings
	Tokens    accounts.Tokens
	URL       string
	Version   string
	AppID     string
	AppSecret config.Secret
}

// within bounds each check.
const within = 15 * time.Second

// report collects findings.
type report struct{ findings []Finding }

func (r *report) add(check string, level Level, do, format string, args ...any) {
	r.findings = append(r.findings, Finding{Check: check, Level: level, Found: fmt.Sprintf(format, args...), Do: do})
}

func (r *report) ok(check, format string, args ...any) { r.add(check, OK, "", format, args...) }

func (r *report) warn(check, do, format string, args ...any) {
	r.add(check, Warning, do, format, args...)
}

func (r *report) problem(check, do, format string, args ...any) {
	r.add(check, Problem, do, format, args...)
}

// Examine makes every check, one after another.
func Examine(ctx context.Context, p Patient) []Finding {
	r := &report{}
	r.configuration(p.Config)
	for _, check := range []func(context.Context, *report){
		func(ctx context.Context, r *report) { disk(r, p.Disk) }, //nolint:revive // one shape for all
		p.process, p.database, p.bus, p.graph,
	} {
		ctx, cancel := context.WithTimeout(ctx, within)
		check(ctx, r)
		cancel()
	}
	return r.findings
}

func (r *report) configuration(bad *config.Error) {
	if bad == nil {
		r.ok("configuration", "the settings are valid")
		return
	}
	for _, p := range bad.Problems {
		r.problem("configuration", "set it right; parley serve --help tells what each variable is", "%v", p)
	}
}

// Worst is the worst level of all.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level == Problem || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

// Write prints a line for each finding, and one more where there is something to do.
func Write(w io.Writer, findings []Finding) error {
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-7s  %-*s  %s\n", f.Level, width, f.Check, strings.ReplaceAll(f.Found, "\n", " "))
		if f.Do != "" {
			fmt.Fprintf(&b, "%-7s  %-*s  → %s\n", "", width, "", f.Do)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON prints all findings as one object.
func WriteJSON(w io.Writer, findings []Finding) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Level    Level     `json:"level"`
		Findings []Finding `json:"findings"`
	}{Worst(findings), findings})
}

// The bounds of clocks that are apart. What was sent is told from what was not by Meta's clock and ours, which have to be
// less than a minute apart; half of it is a problem.
const (
	skewWarning = 5 * time.Second
	skewProblem = 30 * time.Second
)

// clock compares a clock that was read between two times of ours. Its resolution adds to what they may be apart.
func (r *report) clock(check string, theirs, before, after time.Time, resolution time.Duration) {
	if theirs.IsZero() {
		return
	}
	var skew time.Duration
	switch {
	case theirs.Add(resolution).Before(before):
		skew = theirs.Add(resolution).Sub(before)
	case theirs.After(after):
		skew = theirs.Sub(after)
	}
	const do = "have all machines keep their clocks with NTP: messages in doubt are told apart by time"
	said := fmt.Sprintf("its clock and this machine's are %s apart", skew.Abs().Round(time.Millisecond))
	switch {
	case skew.Abs() >= skewProblem:
		r.problem(check, do, "%s", said)
	case skew.Abs() >= skewWarning:
		r.warn(check, do, "%s", said)
	default:
		r.ok(check, "its clock agrees with this machine's to within %s", (after.Sub(before) + resolution).Round(time.Millisecond))
	}
}
