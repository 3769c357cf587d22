package page

import (
	"regexp"
	"strings"

	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
)

// occasion is a choice of the form.
type occasion struct {
	Value rules.Occasion
	Title string
}

var (
	occasions = []occasion{
		{rules.OnText, "Text"},
		{rules.OnMedia, "Media without text"},
		{rules.OnStoryReply, "Reply to a story"},
		{rules.OnStoryMention, "Mention in a story"},
		{rules.OnQuickReply, "Tapped quick reply"},
		{rules.OnPostback, "Tapped button"},
		{rules.OnFirst, "First message ever"},
		{rules.OnReferral, "Link or ad followed"},
		{rules.OnReaction, "Reaction"},
		{rules.OnComment, "Comment"},
		{rules.OnLiveComment, "Live comment"},
	}
	weekdays   = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	matchTypes = []struct {
		Value rules.MatchType
		Title string
	}{
		{rules.MatchContains, "contains: stands anywhere, also inside a word"},
		{rules.MatchWord, "word: stands as a word of its own"},
		{rules.MatchAll, "all_of: every keyword stands as a word"},
		{rules.MatchStarts, "starts_with: the message begins with it"},
		{rules.MatchExact, "exact: the whole message is it"},
		{rules.MatchRegex, "regex: an RE2 expression"},
	}
)

// formFields are the fields of the form that can say what is wrong with them; problemField finds what a problem is about.
var (
	formFields = []string{
		"keywords", "match_type", "response_text", "quick_replies", "when.on", "when.languages", "when.accounts", "when.customers", "when.hours",
		"then.labels", "then.private_reply", "then.silent", "then.hand_off", "then.like", "limits.cooldown", "limits.from", "limits.until",
	}
	problemField = regexp.MustCompile(`(?:when|then|limits)(?:\.[a-z_]+)+|keywords|match_type|response_text`)
)

// checkRule adds what is wrong with a rule to what is known, at the field that it is about.
func checkRule(r *repository.Rule, problems map[string]string) {
	add := func(field, text string) {
		if old := problems[field]; old != "" {
			text = old + "\n" + text
		}
		problems[field] = text
	}
	if strings.TrimSpace(r.Name) == "" {
		add("name", "expected a name")
	}
	for _, line := range problemLines(rules.Check(r.Rule)) {
		add(fieldOfProblem(line), line)
	}
}

func fieldOfProblem(line string) string {
	found := problemField.FindString(line)
	if strings.HasPrefix(found, "then.reply") || strings.Contains(line, "then.reply[") {
		if strings.Contains(line, "quick") {
			return "quick_replies"
		}
		return "response_text"
	}
	for _, field := range formFields {
		if found == field || strings.HasPrefix(found, field+".") {
			return field
		}
	}
	return ""
}
