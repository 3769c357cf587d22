package seed

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/parley-dm/parley/pkg/dm"
)

// plan says what there is of each conversation without remembering any: everything follows from its number.
type plan struct {
	o        *Options
	accounts []string
	users    []uuid.UUID
}

// userCount is how many people of the business there are.
const userCount = 5

func newPlan(o *Options) *plan {
	p := &plan{o: o}
	for i := range o.Accounts {
		p.accounts = append(p.accounts, strconv.Itoa(17841400000000001+i))
	}
	for i := range userCount {
		p.users = append(p.users, userID(i))
	}
	return p
}

func userID(i int) uuid.UUID { return uuid.UUID(dm.RowID("seed", "user", strconv.Itoa(i))) }

// random is the source of all that one conversation has.
func (p *plan) random(conversation int) *rand.Rand {
	return rand.New(rand.NewPCG(p.o.Seed, uint64(conversation))) //nolint:gosec // made-up data
}

// account spreads conversations unevenly: the first account has a third of them, as one shop among branches.
func (p *plan) account(r *rand.Rand) string {
	if r.IntN(3) == 0 {
		return p.accounts[0]
	}
	return p.accounts[r.IntN(len(p.accounts))]
}

// count is how many messages a conversation has. Together they are exactly as many as were asked for: each block of ten
// shares what ten have on average, the first of it having most.
func (p *plan) count(i int) int {
	const block = 10
	first := i - i%block
	size := min(block, p.o.Conversations-first)
	total := share(p.o.Messages, p.o.Conversations, first+size) - share(p.o.Messages, p.o.Conversations, first)
	rest := total - size // each has one
	at, n := i-first, 1
	for k := range size {
		part := rest / 2
		if k == size-1 {
			part = rest
		}
		if k == at {
			return n + part
		}
		rest -= part
	}
	return n
}

// share is how many of total the first n of count have.
func share(total, count, n int) int { return int(int64(total) * int64(n) / int64(count)) }

// start is when a conversation of so many messages began: later ones are more frequent, as in a business that grows, and
// daytime is. There is time for the messages until the end.
func (p *plan) start(r *rand.Rand, messages int) time.Time {
	back := time.Duration(r.Float64() * r.Float64() * float64(p.o.Span))
	at := p.o.Until.Add(-back - time.Duration(messages)*time.Hour)
	if at.Hour() < 7 && r.IntN(4) != 0 {
		at = at.Add(-time.Duration(8+r.IntN(6)) * time.Hour)
	}
	return at.UTC().Truncate(time.Microsecond)
}
