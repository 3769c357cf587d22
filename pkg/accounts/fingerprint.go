package accounts

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/parley-dm/parley/pkg/config"
)

// Fingerprint tells one token from another without giving it away: tokens are long and random, so that a part of their hash
// leads nobody back.
func Fingerprint(token config.Secret) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return hex.EncodeToString(sum[:8])
}
