package rules

import (
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// TestVisibleIsUnicodesDerivation compares with how DerivedCoreProperties.txt says that the property is derived.
func TestVisibleIsUnicodesDerivation(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		ignorable := unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Cf, unicode.Variation_Selector) &&
			!unicode.In(r, unicode.White_Space, unicode.Prepended_Concatenation_Mark) &&
			(r < 0xFFF9 || r > 0xFFFB) && (r < 0x13430 || r > 0x13440)
		if ignorable != (visible(r) < 0) {
			require.Equal(t, ignorable, visible(r) < 0, "%U", r)
		}
	}
}
