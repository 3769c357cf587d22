package world

import (
	"crypto/rand"
	"hash/fnv"
	"math/big"
	"strings"
	"unicode"
)

// names are those of the customers; a customer's id chooses one, so that it keeps it over a restart.
var names = [...]string{
	"Mia Keller", "Omar Haddad", "Sofia Rossi", "Yuki Tanaka", "Liam O'Brien", "Amara Okafor", "Noah Schmidt", "Chloé Martin",
	"Diego Fernández", "Priya Nair", "Elif Yılmaz", "Lucas Almeida", "Hanna Lindqvist", "Mateusz Nowak", "Aisha Rahman", "Jonas Weber",
}

func nameOf(customer string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(customer))
	return names[h.Sum32()%uint32(len(names))]
}

// NewCustomer draws a customer for whom no phone is open yet: an id of 16 digits, as Meta's scoped ids have, and a name
// that no open phone carries, while there are any.
func (w *World) NewCustomer() (id, name string) {
	w.mu.Lock()
	used := map[string]bool{}
	for _, k := range w.shown {
		used[w.conversations[k].name] = true
	}
	w.mu.Unlock()
	n, err := rand.Int(rand.Reader, big.NewInt(9e15))
	if err != nil {
		n = big.NewInt(int64(len(used))) // crypto/rand does not fail since Go 1.24
	}
	id = n.Add(n, big.NewInt(1e15)).String()
	for _, name := range names {
		if !used[name] {
			return id, name
		}
	}
	return id, nameOf(id)
}

// usernameOf makes a handle: lower case, ASCII letters, a part of the id to make it unique.
func usernameOf(name, id string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r == ' ':
			b.WriteByte('.')
		case r < unicode.MaxASCII && unicode.IsLetter(r):
			b.WriteRune(r)
		}
	}
	return b.String() + id[max(0, len(id)-3):]
}
