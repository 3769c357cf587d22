package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/parley-dm/parley/pkg/config"
)

// SignatureHeader is the header that Meta signs a webhook in: "sha256=" and 64 hexadecimal digits, the HMAC-SHA256 of the
// raw body with the app's secret. The older X-Hub-Signature (SHA-1) is not looked at.
const SignatureHeader = "X-Hub-Signature-256"

const signaturePrefix = "sha256="

// The ways in which a signature does not hold.
var (
	ErrNoSignature        = errors.New("no " + SignatureHeader + " header")
	ErrMalformedSignature = errors.New(SignatureHeader + ": expected sha256= and 64 hexadecimal digits")
	ErrWrongSignature     = errors.New(SignatureHeader + ": made with none of our app secrets, or for another body")
)

// Verify checks a signature over the raw bytes as they came, never over JSON written anew: Meta escapes what it likes.
// Several secrets are tried, because they rotate and because apps with Instagram Login sign with their own; which of them
// fits, and where a wrong signature differs, cannot be told from the time it takes.
func Verify(signature string, raw []byte, secrets []config.Secret) error {
	if signature == "" {
		return ErrNoSignature
	}
	digits, ok := strings.CutPrefix(signature, signaturePrefix)
	if !ok || len(digits) != hex.EncodedLen(sha256.Size) {
		return ErrMalformedSignature
	}
	var given, made [sha256.Size]byte
	if _, err := hex.Decode(given[:], []byte(digits)); err != nil {
		return ErrMalformedSignature
	}
	match := false
	for _, secret := range secrets {
		if secret == "" {
			continue // an empty key is one that everybody has
		}
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		_, _ = mac.Write(raw)
		match = hmac.Equal(mac.Sum(made[:0]), given[:]) || match
	}
	if !match {
		return ErrWrongSignature
	}
	return nil
}

// Sign makes the header's value for a body, as Meta does.
func Sign(raw []byte, secret config.Secret) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	_, _ = mac.Write(raw)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}
