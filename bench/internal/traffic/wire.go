// Package traffic is both ends of what is measured: who writes webhooks, and the Send API that replies arrive at.
//
// Both share the machine with what is measured, so both speak just as much HTTP/1.1 as they need, over kept connections,
// and cost a fraction of what net/http does.
package traffic

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// head is what is needed of a request's or an answer's lines before the body.
type head struct {
	first  []byte // the first line; valid until the next read
	length int
}

var (
	contentLength = []byte("content-length:")
	errNoLength   = errors.New("a message without Content-Length")
)

// readHead reads up to the empty line. The first line is copied into buf.
func readHead(r *bufio.Reader, buf []byte) (head, error) {
	h := head{length: -1}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0:
			if h.length < 0 {
				return h, errNoLength
			}
			return h, nil
		case h.first == nil:
			buf = append(buf[:0], line...)
			h.first = buf
		case len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength):
			if h.length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil || h.length < 0 {
				return h, fmt.Errorf("a Content-Length of %q", line[len(contentLength):])
			}
		default:
		}
	}
}

// status is that of an answer's first line, "HTTP/1.1 200 OK".
func (h head) status() (int, error) {
	_, rest, _ := bytes.Cut(h.first, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	return strconv.Atoi(string(code))
}

// readAnswer reads an answer and gives its status.
func readAnswer(r *bufio.Reader, buf []byte) (int, error) {
	h, err := readHead(r, buf)
	if err != nil {
		return 0, err
	}
	if _, err := io.CopyN(io.Discard, r, int64(h.length)); err != nil {
		return 0, err
	}
	return h.status()
}
