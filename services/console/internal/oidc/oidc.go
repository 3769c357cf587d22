// Package oidc signs people in with an identity provider, by OpenID Connect's authorization code flow with PKCE. The
// protocol is go-oidc's and oauth2's; here is what Parley asks of an identity.
//
// It keeps nothing: what must survive the way to the provider and back is a [Flow], which its caller gives to the browser in
// a cookie.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Options says whom to ask.
type Options struct {
	Issuer, ClientID, ClientSecret string
	// Redirect is where the provider sends the browser back to.
	Redirect string
	// Domains are those whose addresses may sign in without having been added; none: who was added only.
	Domains []string
	// RoleClaim names the claim that has the role, or a list in which it is; empty: the provider tells no roles.
	RoleClaim string
}

// Provider is one identity provider.
type Provider struct {
	o      Options
	client *http.Client

	mu       sync.Mutex
	provider *oidc.Provider
}

// timeout bounds each request to the provider.
const timeout = 10 * time.Second

// New makes a provider. It asks it nothing yet: one that is away keeps nobody from signing in with a password.
func New(o Options) *Provider {
	return &Provider{o: o, client: &http.Client{Timeout: timeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 2, IdleConnTimeout: time.Minute}}}
}

// Close ends idle connections.
func (p *Provider) Close() { p.client.CloseIdleConnections() }

// Flow is what a sign-in must remember.
type Flow struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	Next     string `json:"next"`
}

// Identity is who signed in.
type Identity struct {
	// Subject is the issuer and its name for the person, which never changes.
	Subject     string
	Email, Name string
	// Role is what the role's claim says; empty when it says none of owner, agent or viewer.
	Role string
	// Welcome: the address is of a domain whose people may sign in without having been added.
	Welcome bool
}

// discover reads the provider's configuration, once.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.provider != nil {
		return p.provider, nil
	}
	// Its keys are fetched later with this context: it must outlive the request.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("ask the identity provider (CONSOLE_OIDC_ISSUER): %w", err)
	}
	p.provider = found
	return found, nil
}

func (p *Provider) config(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.o.ClientID, ClientSecret: p.o.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: p.o.Redirect,
		Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
	}
}

// Begin starts a sign-in: where to send the browser, and what to remember.
func (p *Provider) Begin(ctx context.Context, next string) (to string, f Flow, err error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", f, err
	}
	f = Flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next}
	return p.config(found).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), f, nil
}

// ErrRefused is a sign-in that the provider, or what it says of the person, does not allow.
var ErrRefused = errors.New("refused")

// End finishes a sign-in with what the browser brought back.
func (p *Provider) End(ctx context.Context, f Flow, state, code string) (Identity, error) {
	if f.State == "" || subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) != 1 {
		return Identity{}, fmt.Errorf("%w: the sign-in was not begun by this browser", ErrRefused)
	}
	found, err := p.discover(ctx)
	if err != nil {
		return Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := p.config(found).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) {
			return Identity{}, fmt.Errorf("%w: the identity provider answered %q", ErrRefused, refused.ErrorCode) // not its body, which may tell more
		}
		return Identity{}, fmt.Errorf("exchange the code: %w", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Identity{}, fmt.Errorf("%w: the identity provider gave no id_token", ErrRefused)
	}
	id, err := found.Verifier(&oidc.Config{ClientID: p.o.ClientID}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1 {
		return Identity{}, fmt.Errorf("%w: the id_token is of another sign-in", ErrRefused)
	}
	return p.identity(id)
}

// identity reads the claims. An address that the provider has not verified says nothing about who somebody is.
func (p *Provider) identity(id *oidc.IDToken) (Identity, error) {
	var claims struct {
		Email    string `json:"email"`
		Verified any    `json:"email_verified"`
		Name     string `json:"name"`
	}
	var all map[string]any
	if err := errors.Join(id.Claims(&claims), id.Claims(&all)); err != nil {
		return Identity{}, fmt.Errorf("%w: read the claims: %w", ErrRefused, err)
	}
	if claims.Email == "" || fmt.Sprint(claims.Verified) != "true" { // some providers say it in quotes
		return Identity{}, fmt.Errorf("%w: the identity has no verified e-mail address", ErrRefused)
	}
	out := Identity{Subject: id.Issuer + "|" + id.Subject, Email: strings.ToLower(claims.Email), Name: claims.Name}
	domain := out.Email[strings.LastIndex(out.Email, "@")+1:]
	out.Welcome = slices.ContainsFunc(p.o.Domains, func(d string) bool { return strings.EqualFold(strings.TrimSpace(d), domain) })
	if p.o.RoleClaim != "" {
		out.Role = roleIn(all[p.o.RoleClaim])
	}
	return out, nil
}

// roleIn finds the highest role in a claim: a string, or a list with others in it.
func roleIn(claim any) string {
	var values []any
	switch c := claim.(type) {
	case string:
		values = []any{c}
	case []any:
		values = c
	}
	for _, role := range []string{"owner", "agent", "viewer"} {
		if slices.Contains(values, any(role)) {
			return role
		}
	}
	return ""
}
