package accounts

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/config"
)

// Vault encrypts tokens with AES-256-GCM, so that whoever reads the bucket has none of them.
type Vault struct{ keys []cipher.AEAD }

// errVaultKey says what a key looks like, and not what was given.
var errVaultKey = errors.New("expected 32 random bytes as base64 or hexadecimal, such as `openssl rand -base64 32` prints, or several separated by commas while they rotate")

// errVaultOpen does not say more: there is nothing more to know.
var errVaultOpen = errors.New("the token was encrypted with another TOKEN_KEY, or for another account")

// NewVault reads the keys: the first one encrypts, any of them decrypts.
func NewVault(keys config.Secret) (*Vault, error) {
	v := &Vault{}
	for one := range strings.SplitSeq(keys.Reveal(), ",") {
		raw, err := decodeKey(strings.TrimSpace(one))
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(raw)
		if err != nil {
			return nil, errVaultKey
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, errVaultKey
		}
		v.keys = append(v.keys, aead)
	}
	return v, nil
}

func decodeKey(s string) ([]byte, error) {
	const size = 32
	if b, err := hex.DecodeString(s); err == nil && len(b) == size {
		return b, nil
	}
	s = strings.TrimRight(s, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := encoding.DecodeString(s); err == nil && len(b) == size {
			return b, nil
		}
	}
	return nil, errVaultKey
}

// Seal encrypts a token for the key that it is kept under: it cannot be read under another one.
func (v *Vault) Seal(key string, token config.Secret) []byte {
	return v.keys[0].Seal(nil, nil, []byte(token.Reveal()), []byte(key)) //nolint:gosec // the cipher draws a nonce itself, and wants none
}

// Open decrypts what [Vault.Seal] made.
func (v *Vault) Open(key string, sealed []byte) (config.Secret, error) {
	for _, aead := range v.keys {
		if plain, err := aead.Open(nil, nil, sealed, []byte(key)); err == nil {
			return config.Secret(plain), nil
		}
	}
	return "", errVaultOpen
}

// KeptToken is a token in the bucket parley_tokens: one that took the place of the configured one.
type KeptToken struct {
	// For is the [Fingerprint] of the configured token: when an operator configures another one, that one holds.
	For string `json:"for"`
	// Sealed is the token, encrypted.
	Sealed    []byte    `json:"sealed"`
	Expires   time.Time `json:"expires,omitzero"`
	Refreshed time.Time `json:"refreshed"`
}

// Encode writes it.
func (k KeptToken) Encode() ([]byte, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("encode a kept token: %w", err)
	}
	return b, nil
}

// ParseKeptToken reads what [KeptToken.Encode] wrote.
func ParseKeptToken(b []byte) (KeptToken, error) {
	var k KeptToken
	if err := json.Unmarshal(b, &k); err != nil {
		return k, fmt.Errorf("read a kept token: %w", err)
	}
	return k, nil
}
