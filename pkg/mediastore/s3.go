package mediastore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parley-dm/parley/pkg/config"
)

// S3Options says where a bucket is.
type S3Options struct {
	// Endpoint is the service's URL, as https://s3.eu-central-1.amazonaws.com.
	Endpoint, Bucket, Region string
	AccessKey                string
	SecretKey                config.Secret
}

// S3 keeps files in a bucket of any service that speaks S3. It puts, gets and deletes, which takes three requests: the whole
// SDK would be larger than all of the archiver. The signature is that SDK's.
type S3 struct {
	o      S3Options
	base   string
	signer *v4.Signer
	client *http.Client
}

// OpenS3 makes a store. It asks nobody yet.
func OpenS3(o S3Options) *S3 {
	return &S3{
		o: o, base: strings.TrimRight(o.Endpoint, "/") + "/" + url.PathEscape(o.Bucket) + "/",
		signer: v4.NewSigner(func(s *v4.SignerOptions) { s.DisableURIPathEscaping = true }),
		client: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
				MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: time.Minute,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Name is the bucket's.
func (s *S3) Name() string {
	host := s.o.Endpoint
	if u, err := url.Parse(s.o.Endpoint); err == nil {
		host = u.Host
	}
	return "s3:" + host + "/" + s.o.Bucket
}

// Close ends idle connections.
func (s *S3) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Draft begins a file among the temporary ones of this machine: what is put must be known before.
func (s *S3) Draft() (*Draft, error) {
	f, err := os.CreateTemp("", "parley-media-*")
	if err != nil {
		return nil, err
	}
	return &Draft{File: f, discard: func() { _ = os.Remove(f.Name()) }}, nil
}

// Keep puts a file, signed with its hash: the service takes it whole or not at all.
func (s *S3) Keep(ctx context.Context, draft *Draft, key string, about Info) error {
	body := io.NewSectionReader(draft.File, 0, about.Bytes)
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, s.base+key, io.NopCloser(body))
	if err != nil {
		return err
	}
	r.ContentLength = about.Bytes
	r.GetBody = func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(draft.File, 0, about.Bytes)), nil
	}
	r.Header.Set("Content-Type", about.ContentType)
	return s.do(ctx, r, about.SHA256)
}

// Remove deletes a file.
func (s *S3) Remove(ctx context.Context, key string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, s.base+key, http.NoBody)
	if err != nil {
		return err
	}
	if err := s.do(ctx, r, hashOf(nil)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Serve answers with a file; see [Library.Serve].
func (s *S3) Serve(w http.ResponseWriter, r *http.Request, key string) error {
	asking, err := http.NewRequestWithContext(r.Context(), http.MethodGet, s.base+key, http.NoBody)
	if err != nil {
		return err
	}
	asking.Header.Set("Accept-Encoding", "identity") // its length is told
	if part := r.Header.Get("Range"); part != "" {
		asking.Header.Set("Range", part)
	}
	response, err := s.ask(r.Context(), asking, hashOf(nil))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
	default:
		return refusal(response)
	}
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	if part := response.Header.Get("Content-Range"); part != "" {
		h.Set("Content-Range", part)
	}
	if response.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		w.WriteHeader(response.StatusCode)
		return nil
	}
	if response.ContentLength >= 0 {
		h.Set("Content-Length", strconv.FormatInt(response.ContentLength, 10))
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, response.Body)
	return nil
}

// do asks for something that is answered with nothing.
func (s *S3) do(ctx context.Context, r *http.Request, hash string) error {
	response, err := s.ask(ctx, r, hash)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if code := response.StatusCode; code >= 200 && code <= 299 {
		_, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // the connection is used again
		return err
	}
	return refusal(response)
}

// ask signs a request and sends it.
func (s *S3) ask(ctx context.Context, r *http.Request, hash string) (*http.Response, error) {
	r.Header.Set("X-Amz-Content-Sha256", hash)
	who := aws.Credentials{AccessKeyID: s.o.AccessKey, SecretAccessKey: s.o.SecretKey.Reveal()}
	if err := s.signer.SignHTTP(ctx, who, r, hash, "s3", s.o.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign for S3: %w", err)
	}
	response, err := s.client.Do(r)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // without the address, which names a customer's file
		}
		return nil, fmt.Errorf("ask S3: %w", err)
	}
	return response, nil
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// maxAnswer is as much as is read of what S3 says beside files.
const maxAnswer = 16 << 10

// refusal is what S3 says is wrong; fs.ErrNotExist is in it where there is no such file.
func refusal(response *http.Response) error {
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	code := s3Code(answer)
	if response.StatusCode == http.StatusNotFound && code == "NoSuchKey" {
		return fmt.Errorf("S3 answered %d %s: %w", response.StatusCode, code, fs.ErrNotExist)
	}
	return fmt.Errorf("S3 answered %d %s", response.StatusCode, code)
}

// s3Code is the word by which S3 says what is wrong.
func s3Code(answer []byte) string {
	var e struct {
		Code string `xml:"Code"`
	}
	if xml.Unmarshal(answer, &e) != nil || len(e.Code) > 64 {
		return ""
	}
	return e.Code
}
