package language_test

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/rules/language"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// messages are those that the rules are tried on, with their languages.
func messages(tb testing.TB) [][2]string {
	tb.Helper()
	table, err := os.ReadFile("../testdata/messages.tsv")
	require.NoError(tb, err)
	var out [][2]string
	for line := range strings.Lines(string(table)) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 3 && !strings.HasPrefix(line, "#") {
			out = append(out, [2]string{f[0], f[2]})
		}
	}
	require.GreaterOrEqual(tb, len(out), 200)
	return out
}

func TestShortMessagesOfManyLanguages(t *testing.T) {
	t.Parallel()
	all := messages(t)
	right, unknown, wrong := 0, 0, []string{}
	for _, m := range all {
		switch got := language.Detect(m[1]); got {
		case m[0]:
			right++
		case "":
			unknown++
		default:
			wrong = append(wrong, m[0]+" taken for "+got+": "+m[1])
		}
	}
	t.Logf("%d right, %d not told, %d wrong", right, unknown, len(wrong))
	require.GreaterOrEqual(t, right*100, 92*len(all))
	require.LessOrEqual(t, len(wrong)*100, 2*len(all), strings.Join(wrong, "\n"))
}

func TestWhatCannotBeToldIsNotGuessed(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", " ", "123", "😍😍", "...", "\xff\xfe", "ok"} {
		require.Empty(t, language.Detect(s), "%q", s)
	}
}

func FuzzDetect(f *testing.F) {
	for _, s := range []string{"", "hello", "l'", "'", "اين", "\xff", "日本語"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := language.Detect(s)
		require.True(t, got == "" || len(got) == 2 && utf8.ValidString(got), "%q", got)
		require.Equal(t, got, language.Detect(s), "the same text is the same language")
	})
}

func BenchmarkDetect(b *testing.B) {
	all := messages(b)
	language.Detect("warm")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		language.Detect(all[i%len(all)][1])
	}
}
