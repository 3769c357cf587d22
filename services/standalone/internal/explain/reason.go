package explain

import "cmp"

// reasons says in a sentence what the responder's words mean.
var reasons = map[string]string{
	"no_match":           "no rule matches what was said",
	"no_text":            "there is no text that a rule could match",
	"fallback_cooldown":  "no rule matches, and the fallback was said a while ago (FALLBACK_COOLDOWN)",
	"fallbacks_in_a_row": "no rule matches for the so-manieth time in a row, so a person gets the conversation (HANDOFF_AFTER_FALLBACKS)",
	"engine":             "the engine decided so",
	"rule_silent":        "the rule that matches says nothing",
	"burst":              "the customer wrote again at once: it is answered together with the next message (BURST_WINDOW)",
	"person":             "a person had the conversation",
	"other_app":          "another app had the conversation",
	"held":               "too many replies to one customer within a minute (MAX_REPLIES_PER_MINUTE)",
	"late":               "it was older than Meta's messaging window when it came",
	"own_account":        "it is of an account of ours: two bots would never end",
	"archive_only":       "the account is kept, but not answered for",
	"unknown_account":    "the account is not one of ours",
	"no_customer":        "Meta does not say who wrote",
	"empty":              "there was nothing in it",
	"backfill_old":       "its webhook never came, and it was found too late to be answered (BACKFILL_ANSWER_WITHIN)",
	"backfilled":         "it had been found before its webhook came, and was decided then",
}

// Meaning says in a sentence what a reason means; the reason itself where that is not known.
func Meaning(reason string) string { return cmp.Or(reasons[reason], reason) }

// worded is a reason with what it means, where that is known.
func worded(reason string) string {
	if s, ok := reasons[reason]; ok {
		return reason + ": " + s
	}
	return reason
}
