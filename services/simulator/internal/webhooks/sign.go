package webhooks

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Sign makes the X-Hub-Signature-256 header of a body. It is written here once more, and not taken from the package that
// verifies, so that a mistake there is found rather than shared.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Escape writes JSON as Meta does: everything that is not ASCII as \u00e4 with lower-case digits, and the characters that
// Meta's documentation of signatures lists as escaped. A receiver that decodes and encodes before it verifies fails here as
// it would fail in production.
func Escape(json []byte) []byte {
	if !needsEscape(json) {
		return json
	}
	var b bytes.Buffer
	b.Grow(len(json) + len(json)/2)
	for i := 0; i < len(json); {
		c := json[i]
		if c < utf8.RuneSelf {
			escapeASCII(&b, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(json[i:])
		i += size
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			_, _ = fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		} else {
			_, _ = fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

func escapeASCII(b *bytes.Buffer, c byte) {
	switch c {
	case '/':
		b.WriteString(`\/`)
	case '<':
		b.WriteString(`\u003C`)
	case '%':
		b.WriteString(`\u0025`)
	case '@':
		b.WriteString(`\u0040`)
	default:
		b.WriteByte(c)
	}
}

func needsEscape(json []byte) bool {
	for _, c := range json {
		if c >= utf8.RuneSelf || c == '/' || c == '<' || c == '%' || c == '@' {
			return true
		}
	}
	return false
}
