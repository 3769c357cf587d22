package load

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// maxWritten bounds the faults that are printed.
const maxWritten = 10

// Write prints the result for people.
func (r Result) Write(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	switch {
	case r.Good && r.Ordered == r.Sent:
		line("verdict: GOOD. %d messages of %d customers, each answered exactly once, in order.", r.Sent, r.Customers)
	case r.Good:
		line("verdict: GOOD. %d messages of %d customers, each answered exactly once. Order judged on %d of them.", r.Sent, r.Customers, r.Ordered)
	default:
		line("verdict: NOT GOOD. %d messages of %d customers, %d of them answered as they should be.", r.Sent, r.Customers, r.Answered)
	}
	line("")
	line("  sent      %7d  in %s (%s), %d answers other than 200", r.Sent, short(r.Sending), perSecond(r.Sent, r.Sending), r.Refused)
	line("  replies   %7d  in %s (%s)", r.Replies, short(r.Took), perSecond(r.Replies, r.Took))
	line("  missing   %7d  (%d of them: webhook never accepted; %d withheld on purpose)", r.Missing, r.NotAccepted, r.Withheld)
	line("  doubled   %7d", r.Doubled)
	line("  swapped   %7d", r.Swapped)
	line("  wrong     %7d", r.Wrong)
	line("  time from webhook to reply: p50 %s, p90 %s, p99 %s, max %s", short(r.P50), short(r.P90), short(r.P99), short(r.Max))
	r.writeAccounts(line)
	for i, f := range r.Faults {
		if i == 0 {
			line("")
		}
		if i == maxWritten {
			line("  … and more; --json lists up to 100")
			break
		}
		line("  %s: account %s, customer %s, number %d, %s%s", f.Kind, f.Account, f.Customer, f.Number, f.At.Format("15:04:05.000"), told(f.Expect, f.Got))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// maxAccounts bounds the accounts that are printed.
const maxAccounts = 40

func (r Result) writeAccounts(line func(format string, args ...any)) {
	row := func(name string, s Summary) {
		line("  %-24s %7d %7d %7d %7d %7d %7d %9s %9s", clipTo(name, 24), s.Sent, s.Answered, s.Missing, s.Doubled, s.Swapped, s.Wrong, short(s.P50), short(s.P99))
	}
	if len(r.Accounts) == 0 {
		return
	}
	line("")
	line("  %-24s %7s %7s %7s %7s %7s %7s %9s %9s", "account", "sent", "right", "missing", "doubled", "swapped", "wrong", "p50", "p99")
	for i, a := range r.Accounts {
		if i == maxAccounts {
			line("  … and %d more; --json lists all", len(r.Accounts)-i)
			break
		}
		row(a.Account, a.Summary)
	}
	if r.Apart != nil {
		row("those apart", *r.Apart)
	}
	if r.Others != nil {
		row("all others", *r.Others)
	}
}

func told(expect, got string) string {
	switch {
	case expect != "":
		return fmt.Sprintf(", expected %q", clip(expect))
	case got != "":
		return fmt.Sprintf(", got %q", clip(got))
	default:
		return ""
	}
}

// clip keeps a text to a length that fits a line.
func clip(s string) string { return clipTo(s, 60) }

func clipTo(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func short(d Duration) string {
	t := time.Duration(d)
	switch {
	case t >= 10*time.Second:
		return t.Round(time.Second / 10).String()
	case t >= 10*time.Millisecond:
		return t.Round(time.Millisecond).String()
	default:
		return t.Round(10 * time.Microsecond).String()
	}
}

func perSecond(n int, d Duration) string {
	if d <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f/s", float64(n)/time.Duration(d).Seconds())
}
