package narrate

import (
	"strings"
	"unicode"
)

// longest is how much of a text fits a line.
const longest = 90

// quote is a customer's text between quotation marks, shortened.
func quote(s string) string {
	s = printable(s)
	n := 0
	for i := range s {
		if n++; n > longest {
			s = s[:i] + "…"
			break
		}
	}
	return "“" + s + "”"
}

// printable keeps letters of every script and emoji, and nothing that a terminal would obey: control characters begin
// escape sequences, and overrides of direction would turn the rest of the line around.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r):
			return '·'
		case r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069:
			return -1
		default:
			return r
		}
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
