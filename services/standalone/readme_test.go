package standalone

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README's table is printed by the code. To bring it up to date: UPDATE_README=1 go test -run TestReadme .
func TestReadmeShowsTheSettings(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- settings: begin, printed by `parley settings` -->\n", "<!-- settings: end -->"
	path := filepath.Join("..", "..", "README.md")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(content), begin)
	require.True(t, ok, "README.md has no line %q", begin)
	table, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "README.md has no line %q", end)

	var printed bytes.Buffer
	require.NoError(t, writeSettings(&printed))
	if os.Getenv("UPDATE_README") != "" {
		require.NoError(t, os.WriteFile(path, []byte(before+begin+printed.String()+end+after), 0o600))
		return
	}
	require.Equal(t, printed.String(), table, "README.md's settings are out of date: UPDATE_README=1 go test -run TestReadme ./services/standalone")
}
