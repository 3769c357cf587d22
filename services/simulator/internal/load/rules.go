package load

import (
	"fmt"
	"io"
	"strings"
)

// Numbered are the pairs that WriteRules makes rules for: "load 0" is answered with "answer 0", and so on.
func Numbered(n int) []Pair {
	out := make([]Pair, n)
	for i := range out {
		out[i] = Pair{Say: fmt.Sprintf("load %d", i), Expect: fmt.Sprintf("answer %d", i)}
	}
	return out
}

// WriteRules prints the SQL that makes the rules for pairs. It may be run again: it replaces what it made before.
func WriteRules(w io.Writer, pairs []Pair) error {
	if _, err := fmt.Fprintf(w, "BEGIN;\nDELETE FROM response_rules WHERE name LIKE 'load test %%';\n"); err != nil {
		return err
	}
	for i, p := range pairs {
		_, err := fmt.Fprintf(w, "INSERT INTO response_rules (name, keywords, match_type, response_text, priority, is_active) VALUES (%s, ARRAY[%s], 'exact', %s, 1000, true);\n",
			quote(fmt.Sprintf("load test %d", i)), quote(p.Say), quote(p.Expect))
		if err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "COMMIT;\n")
	return err
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
