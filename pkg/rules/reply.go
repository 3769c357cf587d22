package rules

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/rules/template"
)

// maxParts bounds the messages of one answer; nobody wants to get more.
const maxParts = 10

// What can be wrong with what a rule does.
var (
	ErrReply = errors.New("reply")
	ErrThen  = errors.New("then")
)

// reply is what a rule says, ready to be filled in.
type reply struct {
	parts      []replyPart
	byLanguage map[string][]replyPart
}

// replyPart is one part: its texts, of which one is said, and what else it has.
type replyPart struct {
	part  dm.Part
	texts []*template.Template
	turn  bool
	// titles and subtitles are those of the elements.
	titles, subtitles []*template.Template
}

func newReply(r *Rule, patterns []pattern) (reply, error) {
	groups := groupsOf(patterns)
	var problems []error
	parse := func(field string, parts []Part) []replyPart {
		if len(parts) > maxParts {
			problems = append(problems, fmt.Errorf("%w: %s: got %d parts, expected at most %d", ErrReply, field, len(parts), maxParts))
			return nil
		}
		out := make([]replyPart, 0, len(parts))
		for i := range parts {
			p, err := newReplyPart(&parts[i], groups, r.Then.PrivateReply)
			if err != nil {
				problems = append(problems, fmt.Errorf("%w: %s[%d]: %w", ErrReply, field, i, err))
			}
			out = append(out, p)
		}
		return out
	}
	var out reply
	switch {
	case len(r.Then.Reply) > 0:
		out.parts = parse("then.reply", r.Then.Reply)
	case !blank(r.Response):
		t, err := template.Parse(r.Response, groups)
		if err != nil {
			problems = append(problems, fmt.Errorf("%w: response_text: %w", ErrReply, err))
		}
		out.parts = []replyPart{{part: dm.Part{Kind: dm.PartText}, texts: []*template.Template{t}}}
		if r.Then.PrivateReply && len(r.Response) > graph.MaxTextBytes {
			problems = append(problems, fmt.Errorf("%w: response_text: got %d bytes, expected at most %d for a private reply", ErrReply, len(r.Response), graph.MaxTextBytes))
		}
	}
	for language, parts := range r.Then.ByLanguage {
		if out.byLanguage == nil {
			out.byLanguage = make(map[string][]replyPart, len(r.Then.ByLanguage))
		}
		if !isLanguage(language) || len(parts) == 0 {
			problems = append(problems, fmt.Errorf("%w: then.by_language: got %q with %d parts, expected an ISO 639-1 code with at least one", ErrReply, language, len(parts)))
		}
		out.byLanguage[language] = parse("then.by_language."+language, parts)
	}
	return out, errors.Join(problems...)
}

// groupsOf names the groups of a rule's expressions. One that only some of them have is empty for the others.
func groupsOf(patterns []pattern) []string {
	var out []string
	for i := range patterns {
		for n, name := range patterns[i].re.SubexpNames() {
			out = append(out, strconv.Itoa(n))
			if name != "" {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// KindOf is the kind of a part that names none, as far as what it has says it: a text is one, with buttons a button template.
func KindOf(p *Part) dm.PartKind {
	switch {
	case p.Kind != "":
		return p.Kind
	case len(p.Buttons) > 0:
		return dm.PartButtonTemplate
	case p.Text != "" || len(p.Variants) > 0:
		return dm.PartText
	case len(p.Elements) > 0:
		return dm.PartGenericTemplate
	case p.PostID != "":
		return dm.PartMediaShare
	case len(p.Media) > 0:
		return dm.PartImage
	default:
		return ""
	}
}

func newReplyPart(p *Part, groups []string, private bool) (replyPart, error) {
	out := replyPart{part: p.Part, turn: p.Choose == ChooseTurn}
	out.part.Kind = KindOf(p)
	switch {
	case out.part.Kind == "":
		return out, errors.New("kind: got a part without anything in it, expected a text, variants, media, buttons, elements or a kind")
	case p.Choose != "" && p.Choose != ChooseRandom && p.Choose != ChooseTurn:
		return out, fmt.Errorf("choose: got %q, expected %s or %s", p.Choose, ChooseRandom, ChooseTurn)
	case len(p.Variants) > 0 && p.Text != "":
		return out, errors.New("variants: got text beside it, expected one of the two")
	case p.MID+p.ReplyToMID+p.CommentID != "" || p.HumanAgent:
		return out, errors.New("mid, reply_to_mid, comment_id, human_agent: expected none; which message is answered is not a rule's to say")
	}
	texts := p.Variants
	if len(texts) == 0 && p.Text != "" {
		texts = []string{p.Text}
	}
	var err error
	if out.texts, err = parseAll(texts, groups); err != nil {
		return out, err
	}
	titles, subtitles := make([]string, len(p.Elements)), make([]string, len(p.Elements))
	for i := range p.Elements {
		titles[i], subtitles[i] = p.Elements[i].Title, p.Elements[i].Subtitle
	}
	if out.titles, err = parseAll(titles, groups); err != nil {
		return out, err
	}
	if out.subtitles, err = parseAll(subtitles, groups); err != nil {
		return out, err
	}
	err = out.check(max(len(texts), 1), private)
	return out, err
}

// check tries every variant with nothing to fill in against Meta's limits.
func (p *replyPart) check(variants int, private bool) error {
	for i := range variants {
		filled := p.fill(i, &template.Facts{Match: sample})
		if private {
			filled.CommentID = "comment"
		}
		if len(p.texts) > 0 && !p.texts[i].Plain() && blank(filled.Text) {
			filled.Text = "x" // only a gap; what fills it is seen when it is said
		}
		for _, piece := range graph.Expand([]dm.Part{filled}) {
			if err := graph.Check(piece); err != nil {
				return err
			}
		}
	}
	return nil
}

// sample fills groups where nothing is known of them yet.
var sample = map[string]string{}

func parseAll(texts, groups []string) ([]*template.Template, error) {
	var out []*template.Template
	for _, s := range texts {
		t, err := template.Parse(s, groups)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// fill makes the part that is said.
func (p *replyPart) fill(variant int, f *template.Facts) dm.Part {
	out := p.part
	if len(p.texts) > 0 {
		out.Text = p.texts[variant].Render(f)
	}
	if len(p.titles) > 0 {
		out.Elements = slices.Clone(out.Elements)
		for i := range out.Elements {
			out.Elements[i].Title, out.Elements[i].Subtitle = p.titles[i].Render(f), p.subtitles[i].Render(f)
		}
	}
	return out
}

// checkThen demands that a rule does something, and nothing that contradicts itself.
func checkThen(r *Rule, on occasions) error {
	t := &r.Then
	says := len(t.Reply) > 0 || len(t.ByLanguage) > 0 || !blank(r.Response)
	if !says && !t.Like && !t.HandOff && !t.Silent && len(t.Labels) == 0 {
		return ErrNoResponse
	}
	var problems []error
	refuse := func(when bool, what string) {
		if when {
			problems = append(problems, fmt.Errorf("%w.%s", ErrThen, what))
		}
	}
	onlyComments := on&^comments == 0
	refuse(t.Silent && (says || t.PrivateReply), "silent: got something to say beside it, expected one of the two")
	refuse(len(t.ByLanguage) > 0 && len(t.Reply) == 0 && blank(r.Response) && !covered(r),
		"by_language: got no answer for other languages, expected response_text or reply, or when.languages that are all answered")
	refuse(slices.ContainsFunc(t.Labels, blank), "labels: got an empty one, expected a text")
	refuse(!t.PrivateReply && says && onlyComments, "private_reply: got false, expected true: what a rule for comments says is said privately")
	refuse(t.Like && onlyComments, "like: got true for comments, expected it for messages only")
	if t.PrivateReply {
		problems = append(problems, checkPrivate(r, on))
	}
	return errors.Join(problems...)
}

// covered says whether each language that a rule is for has an answer.
func covered(r *Rule) bool {
	return len(r.When.Languages) > 0 && !slices.ContainsFunc(r.When.Languages, func(l string) bool { return len(r.Then.ByLanguage[l]) == 0 })
}

func checkPrivate(r *Rule, on occasions) error {
	if on&comments == 0 {
		return fmt.Errorf("%w.private_reply: got true, expected when.on to have %s or %s", ErrThen, OnComment, OnLiveComment)
	}
	for _, parts := range append([][]Part{r.Then.Reply}, languageParts(r)...) {
		if len(parts) > 1 {
			return fmt.Errorf("%w.private_reply: got %d parts, expected one: Meta takes one message for each comment", ErrThen, len(parts))
		}
	}
	if blank(r.Response) && len(r.Then.Reply)+len(r.Then.ByLanguage) == 0 {
		return fmt.Errorf("%w.private_reply: got nothing to say, expected response_text or reply", ErrThen)
	}
	return nil
}

func languageParts(r *Rule) [][]Part {
	out := make([][]Part, 0, len(r.Then.ByLanguage))
	for _, parts := range r.Then.ByLanguage {
		out = append(out, parts)
	}
	return out
}

// Parts is what the rule that won says, filled in: nothing for a rule that says nothing. An error means that what was filled in
// made it something that Meta would refuse, such as a text of nothing; somebody else should answer then.
func (v *Verdict) Parts(f template.Facts) ([]dm.Part, error) {
	if v.reply == nil {
		return nil, nil
	}
	parts := v.reply.parts
	if own := v.reply.byLanguage[v.Language]; v.Language != "" && own != nil {
		parts = own
	}
	f.Match = v.groups()
	if f.Message == "" && len(v.turn.Texts) > 0 {
		f.Message = v.turn.Texts[0]
	}
	out := make([]dm.Part, 0, len(parts))
	for i := range parts {
		p := &parts[i]
		said := p.fill(v.variant(p, i), &f)
		for _, piece := range graph.Expand([]dm.Part{said}) {
			if err := graph.Check(piece); err != nil {
				return nil, fmt.Errorf("rule %q, part %d: %w", cmp.Or(v.Rule.Name, v.Rule.ID), i, err)
			}
		}
		out = append(out, said)
	}
	return out, nil
}

func (v *Verdict) groups() map[string]string {
	out := make(map[string]string, len(v.Captures)+2)
	for k, s := range v.Captures {
		out[k] = s
	}
	out["text"], out["keyword"] = v.Words, v.Keyword
	return out
}

// variant chooses which of a part's texts is said.
func (v *Verdict) variant(p *replyPart, i int) int {
	n := len(p.texts)
	switch {
	case n < 2:
		return 0
	case p.turn && v.turn.History == nil:
		return 0
	case p.turn:
		return max(v.turn.History.Rule(v.Rule.ID).Times, 0) % n
	default:
		h := fnv.New64a()
		_, _ = h.Write([]byte(v.turn.EventID + "\x00" + v.Rule.ID + "\x00" + strconv.Itoa(i)))
		return int((h.Sum64() >> 33) % uint64(n)) //nolint:gosec // both are small
	}
}

// captures are the groups of an expression's match, by number and by name; a group that took no part is empty.
func captures(re *regexp.Regexp, s string, m []int) map[string]string {
	if len(m) <= 2 {
		return map[string]string{"0": s[m[0]:m[1]]}
	}
	out := map[string]string{}
	for n, name := range re.SubexpNames() {
		got := ""
		if m[2*n] >= 0 {
			got = s[m[2*n]:m[2*n+1]]
		}
		out[strconv.Itoa(n)] = got
		if name != "" {
			out[name] = got
		}
	}
	return out
}
