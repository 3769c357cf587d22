package view

import (
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// functions are what templates may call.
func functions(now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"asset":    Asset,
		"icon":     icon,
		"ago":      func(at any) template.HTML { return timeTag(at, now(), Ago) },
		"clock":    func(at any) template.HTML { return timeTag(at, now(), Clock) },
		"link":     Link,
		"number":   Number,
		"plural":   plural,
		"initials": Initials,
		"dict":     dict,
		"join":     strings.Join,
	}
}

// timeTag writes a time element: short as it says, exact on hover. A zero or absent time is a dash.
func timeTag(value any, now time.Time, short func(at, now time.Time) string) template.HTML {
	var at time.Time
	switch v := value.(type) {
	case time.Time:
		at = v
	case *time.Time:
		if v != nil {
			at = *v
		}
	}
	if at.IsZero() {
		return "–"
	}
	at = at.UTC()
	//nolint:gosec // made of digits and constants
	return template.HTML(`<time datetime="` + at.Format(time.RFC3339Nano) + `" title="` + at.Format("Monday, 2 January 2006, 15:04:05 UTC") + `">` + short(at, now) + `</time>`)
}

// Ago is a time as people say it: "just now", "5 min ago", "in 3 h", "2 Mar".
func Ago(at, now time.Time) string {
	d := now.Sub(at)
	before, after := "", " ago"
	if d < 0 {
		d, before, after = -d, "in ", ""
	}
	switch {
	case d < 45*time.Second:
		if before != "" {
			return "in a moment"
		}
		return "just now"
	case d < time.Hour:
		return before + strconv.Itoa(max(int(d.Round(time.Minute).Minutes()), 1)) + " min" + after
	case d < 24*time.Hour:
		return before + strconv.Itoa(int(d.Hours())) + " h" + after
	case d < 7*24*time.Hour:
		return before + plural(int(d.Hours()/24), "day", "days") + after
	case at.Year() == now.Year():
		return at.Format("2 Jan")
	default:
		return at.Format("2 Jan 2006")
	}
}

// Clock is a time of day, with the day when it is not today's.
func Clock(at, now time.Time) string {
	now = now.UTC()
	switch {
	case at.Year() == now.Year() && at.YearDay() == now.YearDay():
		return at.Format("15:04")
	case at.Year() == now.Year():
		return at.Format("2 Jan, 15:04")
	default:
		return at.Format("2 Jan 2006, 15:04")
	}
}

// Link is a URL that may be put on a page: http or https with a host; anything else, such as javascript:, is empty.
func Link(raw string) string {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}

// Number writes a whole number with its thousands apart.
func Number(value any) string {
	digits := fmt.Sprint(value)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}

// Initials are up to two letters for a name.
func Initials(name string) string {
	var out strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		first, _ := utf8.DecodeRuneInString(word)
		out.WriteRune(unicode.ToUpper(first))
		if utf8.RuneCountInString(out.String()) == 2 {
			break
		}
	}
	if out.Len() == 0 {
		return "?"
	}
	return out.String()
}

// dict makes a map of names and values, to pass several to a part.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: got %d values, expected pairs", len(pairs))
	}
	out := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: got %T for a name, expected a string", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}
