package verdict

// maxCells bounds the table of the exact alignment: 16 million cells of two bytes. Longer conversations that are wrong in
// more places than their ends are aligned greedily, which still finds that they are wrong.
const maxCells = 16 << 20

// fits says whether a reply may answer a message: it has the expected text and did not come before it.
func fits(s *Sent, r *Received) bool {
	return (s.Expect == "" || s.Expect == r.Text) && !r.At.Before(s.At)
}

// match gives each message its reply: those that came in order by the order, then those that did not by what is left.
func match(c *Conversation) (answer []int, taken []bool) {
	ordered := *c
	ordered.Sent = nil
	var where, rest []int
	for i, s := range c.Sent {
		if s.Unordered {
			rest = append(rest, i)
			continue
		}
		ordered.Sent = append(ordered.Sent, s)
		where = append(where, i)
	}
	if len(rest) == 0 {
		return align(c)
	}
	inOrder, taken := align(&ordered)
	answer = make([]int, len(c.Sent))
	for n, i := range where {
		answer[i] = inOrder[n]
	}
	for _, i := range rest {
		answer[i] = -1
		for j := range c.Received {
			if !taken[j] && fits(&c.Sent[i], &c.Received[j]) {
				answer[i], taken[j] = j, true
				break
			}
		}
	}
	return answer, taken
}

// align finds the largest set of messages and replies that belong together with their order kept. answer holds for each
// message the index of its reply or -1, taken says of each reply whether it has a message.
func align(c *Conversation) (answer []int, taken []bool) {
	answer, taken = make([]int, len(c.Sent)), make([]bool, len(c.Received))
	for i := range answer {
		answer[i] = -1
	}
	join := func(i, j int) { answer[i], taken[j] = j, true }

	// What is right at the beginning is right: a healthy conversation ends here.
	lo := 0
	for lo < len(c.Sent) && lo < len(c.Received) && fits(&c.Sent[lo], &c.Received[lo]) {
		join(lo, lo)
		lo++
	}
	sentEnd, receivedEnd := len(c.Sent), len(c.Received)
	for sentEnd > lo && receivedEnd > lo && fits(&c.Sent[sentEnd-1], &c.Received[receivedEnd-1]) {
		sentEnd--
		receivedEnd--
		join(sentEnd, receivedEnd)
	}
	n, m := sentEnd-lo, receivedEnd-lo
	switch {
	case n == 0 || m == 0:
	case n*m <= maxCells && n < 1<<16 && m < 1<<16:
		alignExactly(c, lo, n, m, join)
	default:
		alignGreedily(c, lo, sentEnd, receivedEnd, join)
	}
	return answer, taken
}

// alignExactly is the longest common subsequence.
func alignExactly(c *Conversation, lo, n, m int, join func(i, j int)) {
	width := m + 1
	best := make([]uint16, (n+1)*width)
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			at := i*width + j
			if fits(&c.Sent[lo+i], &c.Received[lo+j]) {
				best[at] = best[at+width+1] + 1
			}
			best[at] = max(best[at], best[at+width], best[at+1])
		}
	}
	for i, j := 0, 0; i < n && j < m; {
		at := i*width + j
		switch {
		case fits(&c.Sent[lo+i], &c.Received[lo+j]) && best[at] == best[at+width+1]+1:
			join(lo+i, lo+j)
			i, j = i+1, j+1
		case best[at] == best[at+1]:
			j++
		default:
			i++
		}
	}
}

// alignGreedily gives each message the next reply that fits.
func alignGreedily(c *Conversation, lo, sentEnd, receivedEnd int, join func(i, j int)) {
	j := lo
	for i := lo; i < sentEnd; i++ {
		for k := j; k < receivedEnd; k++ {
			if fits(&c.Sent[i], &c.Received[k]) {
				join(i, k)
				j = k + 1
				break
			}
		}
	}
}
