// Package password makes and checks hashes of passwords: argon2id with the second recommendation of RFC 9106 (64 MiB, three
// passes), in the PHC form that says its own parameters.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

const (
	memory, passes, lanes = 64 << 10, 3, 4 // KiB
	saltSize, keySize     = 16, 32
)

// How long a password may be, in characters. NIST SP 800-63B asks for length and for no kinds of characters.
const (
	MinLength = 10
	MaxLength = 256
)

// atOnce bounds the memory that many who sign in at once can take: two times 64 MiB.
var atOnce = make(chan struct{}, 2)

// Acceptable says what is wrong with a new password.
func Acceptable(p string) error {
	switch n := utf8.RuneCountInString(p); {
	case !utf8.ValidString(p):
		return errors.New("password: expected UTF-8")
	case n < MinLength:
		return fmt.Errorf("password: got %d characters, expected %d or more", n, MinLength)
	case n > MaxLength:
		return fmt.Errorf("password: got %d characters, expected %d at most", n, MaxLength)
	default:
		return nil
	}
}

// Hash makes a hash of a password.
func Hash(ctx context.Context, p string) (string, error) {
	var salt [saltSize]byte
	_, _ = rand.Read(salt[:]) // never fails
	key, err := derive(ctx, p, salt[:], memory, passes, lanes)
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes, encode(salt[:]), encode(key)), nil
}

// Check says whether a password has a hash. An empty hash, of somebody who has none or does not exist, takes as long and is
// never right.
func Check(ctx context.Context, hash, p string) (bool, error) {
	if hash == "" || utf8.RuneCountInString(p) > MaxLength {
		_, err := derive(ctx, "", make([]byte, saltSize), memory, passes, lanes)
		return false, err
	}
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, errors.New("check password: the hash is none of argon2id")
	}
	var m, t uint32
	var n uint8
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &m, &t, &n); err != nil {
		return false, fmt.Errorf("check password: the hash's parameters: %w", err)
	}
	salt, err := base64.RawStdEncoding.DecodeString(fields[4])
	if err != nil {
		return false, fmt.Errorf("check password: the hash's salt: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil || len(want) != keySize {
		return false, errors.New("check password: the hash's key cannot be read")
	}
	got, err := derive(ctx, p, salt, m, t, n)
	return subtle.ConstantTimeCompare(got, want) == 1, err
}

func derive(ctx context.Context, p string, salt []byte, m, t uint32, n uint8) ([]byte, error) {
	select {
	case atOnce <- struct{}{}:
		defer func() { <-atOnce }()
		return argon2.IDKey([]byte(p), salt, t, m, n, keySize), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("check password: %w", ctx.Err())
	}
}
