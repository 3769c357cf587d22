// Package phone is the page at /: the customers' phones, side by side, each showing the conversation with the account.
//
// It has no build step: a template, style sheets and ES modules, embedded. Nothing that a customer or the account writes is
// ever put into HTML; the browser shows it as text only.
package phone

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"sync"

	"github.com/parley-dm/parley/services/simulator/internal/answer"
	"github.com/parley-dm/parley/services/simulator/internal/play"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

//go:embed assets media page.html
var files embed.FS

// policy lets the page load what this server gives it, and pictures that replies point to. No inline script or style.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: http:; media-src https: http:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Deps is what the page shows and does.
type Deps struct {
	World  *world.World
	Player *play.Player
}

// Options say what the page tells about itself.
type Options struct {
	WebhookURL string
	// Condition says what is out of the ordinary.
	Condition func() Condition
}

// Condition is what is out of the ordinary: faults that are set, accounts that get no webhooks, a clock that was moved.
type Condition struct {
	Faults       int `json:"faults"`
	Unsubscribed int `json:"unsubscribed"`
	AheadSeconds int `json:"ahead_seconds"`
}

// Page serves the page, its assets and its API.
type Page struct {
	deps    Deps
	opts    Options
	mux     *http.ServeMux
	html    []byte
	version string
	stop    chan struct{}
	once    sync.Once
}

// New makes the page.
func New(d Deps, o Options) (*Page, error) {
	p := &Page{deps: d, opts: o, mux: http.NewServeMux(), stop: make(chan struct{})}
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		return nil, fmt.Errorf("open assets: %w", err)
	}
	if p.version, err = checksum(assets); err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	if err := p.render(); err != nil {
		return nil, err
	}
	// The version is part of the path, so that modules import each other under it and browsers may keep them for ever.
	p.mux.Handle("GET /assets/"+p.version+"/", http.StripPrefix("/assets/"+p.version, forever(http.FileServerFS(assets))))
	p.mux.HandleFunc("GET /{$}", p.page)
	p.mux.Handle("GET /media/", http.FileServerFS(files))
	p.mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/assets/"+p.version+"/icon.svg", http.StatusFound)
	})
	p.mux.HandleFunc("GET /phone/events", p.events)
	p.mux.HandleFunc("POST /phone/customers", p.open)
	p.mux.HandleFunc("DELETE /phone/customers/{account}/{customer}", p.hide)
	p.mux.HandleFunc("POST /phone/actions", p.act)
	return p, nil
}

// Assets is the path of the style sheets, for other pages of the simulator.
func (p *Page) Assets() string { return "/assets/" + p.version }

func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Close ends the streams of events, which otherwise last as long as a page is open.
func (p *Page) Close() { p.once.Do(func() { close(p.stop) }) }

func (p *Page) render() error {
	t, err := template.ParseFS(files, "page.html")
	if err != nil {
		return fmt.Errorf("parse page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{"Assets": p.Assets(), "WebhookURL": p.opts.WebhookURL}); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	p.html = b.Bytes()
	return nil
}

func (p *Page) page(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	_, _ = w.Write(p.html)
}

func forever(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		next.ServeHTTP(w, r)
	})
}

func checksum(assets fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(assets, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(assets, path)
		_, _ = fmt.Fprintf(sum, "%s %d\n", path, len(content))
		_, _ = sum.Write(content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:12], err
}

type openRequest struct {
	Account  string `json:"account"`
	Customer string `json:"customer"`
	Name     string `json:"name"`
}

// maxName bounds a customer's name.
const maxName = 60

// open takes a phone out, of a new customer if none is named.
func (p *Page) open(w http.ResponseWriter, r *http.Request) {
	var req openRequest
	if err := answer.Read(w, r, &req); err != nil {
		answer.Error(w, err)
		return
	}
	account, err := p.deps.World.Account(req.Account)
	if err != nil {
		answer.Error(w, err)
		return
	}
	if len(req.Name) > maxName {
		answer.Error(w, fmt.Errorf("%w: name: got %d bytes, expected at most %d", play.ErrAction, len(req.Name), maxName))
		return
	}
	if req.Customer == "" {
		id, name := p.deps.World.NewCustomer()
		req.Customer = id
		if req.Name == "" {
			req.Name = name
		}
	}
	key := world.Key{Account: account.ID, Customer: req.Customer}
	if err := play.CheckCustomer(req.Customer); err != nil {
		answer.Error(w, err)
		return
	}
	thread, err := p.deps.World.Open(key, req.Name)
	if err != nil {
		answer.Error(w, err)
		return
	}
	answer.JSON(w, http.StatusCreated, thread)
}

func (p *Page) hide(w http.ResponseWriter, r *http.Request) {
	err := p.deps.World.Hide(world.Key{Account: r.PathValue("account"), Customer: r.PathValue("customer")})
	if err != nil {
		answer.Error(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type actRequest struct {
	Account  string     `json:"account"`
	Customer string     `json:"customer"`
	Kind     world.Kind `json:"kind"`
	Text     string     `json:"text"`
	URL      string     `json:"url"`
	Payload  string     `json:"payload"`
	ReplyTo  string     `json:"reply_to"`
	Target   string     `json:"target"`
}

// act does something as the customer: write, tap, react, unsend.
func (p *Page) act(w http.ResponseWriter, r *http.Request) {
	var req actRequest
	if err := answer.Read(w, r, &req); err != nil {
		answer.Error(w, err)
		return
	}
	m, err := p.deps.Player.Say(play.Action{
		Key: world.Key{Account: req.Account, Customer: req.Customer}, Kind: req.Kind, Text: req.Text, URL: req.URL, Payload: req.Payload,
		ReplyTo: req.ReplyTo, Target: req.Target, Show: true,
	})
	if err != nil {
		answer.Error(w, err)
		return
	}
	answer.JSON(w, http.StatusAccepted, m)
}

var errStopped = errors.New("the simulator is stopping")
