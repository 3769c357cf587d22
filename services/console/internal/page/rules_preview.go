package page

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/template"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// rulePreview is how a rule's answer looks on the customer's phone.
type rulePreview struct {
	// Asked is a message that the rule is for; empty where its keywords are expressions or there are none.
	Asked   string
	Hearted bool
	Bubbles []previewBubble
	// Notes say what happens beside what is seen.
	Notes []string
}

type previewBubble struct {
	Kind     string
	Text     string
	Quick    []string
	Buttons  []string
	Elements []dm.Element
	// More is how many other variants there are.
	More int
}

// rulesPreview draws the phone alone, for the script that shows it while one types.
func (p *Pages) rulesPreview(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return web.BadRequest("The form cannot be read, or is too large.")
	}
	form := readForm(r)
	rule, _ := form.rule()
	return p.fragment(w, "rules/edit", "phone", previewOf(&rule.Rule, p.Now()))
}

// previewOf draws what a rule says, with gaps filled for somebody made up.
func previewOf(r *rules.Rule, now time.Time) rulePreview {
	p := rulePreview{Hearted: r.Then.Like}
	if len(r.Keywords) > 0 && r.MatchType != rules.MatchRegex {
		p.Asked = r.Keywords[0]
	}
	facts := template.Facts{
		Customer: template.Customer{FirstName: "Mara", Name: "Mara Lind", Username: "mara.lind"}, Account: template.Account{Name: "your shop"},
		Message: p.Asked, Time: now, Match: map[string]string{"text": p.Asked, "keyword": p.Asked},
	}
	groups := groupsOf(r)
	fill := func(text string) string {
		t, err := template.Parse(text, groups)
		if err != nil {
			return text // as it was typed; the form says what is wrong
		}
		return t.Render(&facts)
	}
	parts := r.Then.Reply
	if len(parts) == 0 && r.Response != "" {
		parts = []rules.Part{{Part: dm.Part{Kind: dm.PartText, Text: r.Response}}}
	}
	for i := range parts {
		if !rules.KindOf(&parts[i]).Action() {
			p.Bubbles = append(p.Bubbles, bubbleOf(&parts[i], fill))
		}
	}
	p.Notes = previewNotes(r)
	return p
}

func bubbleOf(part *rules.Part, fill func(string) string) previewBubble {
	b := previewBubble{Kind: string(rules.KindOf(part)), Text: fill(part.Text)}
	if len(part.Variants) > 0 {
		b.Text, b.More = fill(part.Variants[0]), len(part.Variants)-1
	}
	for _, q := range part.QuickReplies {
		title := q.Title
		if title == "" {
			title = "(" + q.Ask + ")"
		}
		b.Quick = append(b.Quick, title)
	}
	for _, button := range part.Buttons {
		b.Buttons = append(b.Buttons, button.Title)
	}
	for _, e := range part.Elements {
		e.Title, e.Subtitle = fill(e.Title), fill(e.Subtitle)
		b.Elements = append(b.Elements, e)
	}
	return b
}

func previewNotes(r *rules.Rule) []string {
	var notes []string
	if r.Then.PrivateReply {
		notes = append(notes, "Answers a comment, with a private message to who wrote it.")
	}
	if n := len(r.Then.ByLanguage); n > 0 {
		notes = append(notes, "Says it differently in "+strconv.Itoa(n)+" other language(s).")
	}
	if r.Then.Silent {
		notes = append(notes, "Says nothing, not even the fallback.")
	}
	if r.Then.HandOff {
		notes = append(notes, "A person takes over; the bot falls silent.")
	}
	for _, l := range r.Then.Labels {
		notes = append(notes, "Labels the conversation “"+l+"”.")
	}
	return notes
}

// groupsOf names the groups of a rule's expressions, which its texts may have gaps for.
func groupsOf(r *rules.Rule) []string {
	if r.MatchType != rules.MatchRegex {
		return nil
	}
	var out []string
	for _, k := range r.Keywords {
		re, err := regexp.Compile(k)
		if err != nil {
			continue
		}
		for n, name := range re.SubexpNames() {
			out = append(out, strconv.Itoa(n))
			if name != "" {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
