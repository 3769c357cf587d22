package traffic

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Stub is a Send API that takes every message after a delay.
type Stub struct {
	listener net.Listener
	track    atomic.Pointer[Track]
	delay    atomic.Int64
	mids     atomic.Int64
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// NewStub listens on a loopback port.
func NewStub(ctx context.Context) (*Stub, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen as the Send API: %w", err)
	}
	s := &Stub{listener: listener, conns: map[net.Conn]struct{}{}}
	s.wg.Go(s.accept)
	return s, nil
}

// URL is the stub's base URL.
func (s *Stub) URL() string { return "http://" + s.listener.Addr().String() }

// Play makes calls take so long, and tells a track of each as it arrives.
func (s *Stub) Play(t *Track, delay time.Duration) {
	s.track.Store(t)
	s.delay.Store(int64(delay))
}

// Close ends the stub and its connections.
func (s *Stub) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *Stub) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() {
			defer func() {
				_ = conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			_ = s.serve(conn) // a connection that breaks is the caller's to complain of
		})
	}
}

var (
	recipient    = []byte(`"recipient":{"id":"`)
	errRecipient = errors.New("a message without a recipient's id")
)

func (s *Stub) serve(conn net.Conn) error {
	reader := bufio.NewReader(conn)
	line := make([]byte, 0, 128)
	var body, answer []byte
	for {
		h, err := readHead(reader, line)
		if err != nil {
			return err
		}
		body = append(body[:0], make([]byte, h.length)...)
		if _, err := io.ReadFull(reader, body); err != nil {
			return err
		}
		_, rest, found := bytes.Cut(body, recipient)
		id, _, ended := bytes.Cut(rest, []byte(`"`))
		n, err := strconv.ParseInt(string(id), 10, 64)
		if !found || !ended || err != nil {
			return errRecipient
		}
		if t := s.track.Load(); t != nil {
			t.arrive(n)
		}
		if delay := time.Duration(s.delay.Load()); delay > 0 {
			<-time.After(delay)
		}
		answer = s.appendAnswer(answer[:0], id)
		if _, err := conn.Write(answer); err != nil {
			return err
		}
	}
}

func (s *Stub) appendAnswer(dst, id []byte) []byte {
	body := make([]byte, 0, 256)
	body = append(body, `{"recipient_id":"`...)
	body = append(body, id...)
	body = append(body, `","message_id":"`...)
	body = append(body, midStart...)
	body = fmt.Appendf(body, "reply%014d", s.mids.Add(1))
	body = append(body, `"}`...)
	dst = append(dst, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}
