// Package about is the page /api: what the simulator plays of Meta and what it does not, and its own control API, with an
// OpenAPI document made of the same tables.
package about

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/parley-dm/parley/services/simulator/internal/control"
	"github.com/parley-dm/parley/services/simulator/internal/graph"
	"github.com/parley-dm/parley/services/simulator/internal/shape"
)

//go:embed api.html
var page string

// policy: a page of text and one style sheet.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page serves the page and the document.
type Page struct {
	mux            *http.ServeMux
	html, document []byte
}

// New makes them. assets is where the phone page's style sheets are.
func New(routes []control.Route, assets string) (*Page, error) {
	t, err := template.New("api").Parse(page)
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Assets": assets, "Plays": graph.Plays(), "Always": graph.Always(), "NotPlayed": graph.NotPlayed(), "Routes": routes, "Kinds": shape.All(),
	})
	if err != nil {
		return nil, fmt.Errorf("render page: %w", err)
	}
	p := &Page{mux: http.NewServeMux(), html: b.Bytes()}
	if p.document, err = json.MarshalIndent(document(routes), "", "  "); err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	p.mux.HandleFunc("GET /api", p.serveHTML)
	p.mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(p.document)
	})
	return p, nil
}

func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

func (p *Page) serveHTML(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(p.html)
}

type object = map[string]any

// document describes both APIs as OpenAPI 3.1.
func document(routes []control.Route) object {
	paths := object{}
	add := func(path, method string, operation object) {
		at, ok := paths[path].(object)
		if !ok {
			at = object{}
			paths[path] = at
		}
		at[strings.ToLower(method)] = operation
	}
	for _, p := range graph.Plays() {
		var parameters []object
		for _, q := range p.Query {
			name, _, _ := strings.Cut(q, "=")
			parameters = append(parameters, object{"name": name, "in": "query", "description": q, "schema": object{"type": "string"}})
		}
		add(p.Path, p.Method, object{
			"tags": []string{"Graph API"}, "summary": p.Summary, "description": strings.Join(p.Rules, "\n"),
			"parameters": append(parameters, inPath(p.Path)...),
			"responses":  object{"200": object{"description": "as Meta answers"}, "4XX": object{"description": "an error as Meta writes it"}},
		})
	}
	for _, r := range routes {
		add(r.Path, r.Method, operation(r))
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Parley simulator", "version": "1",
			"description": "Meta, played: the part of the Graph API that Parley uses, and /control, by which scripts and tests steer it. Not played: " + strings.Join(graph.NotPlayed(), "; ") + ".",
		},
		"paths": paths,
	}
}

func operation(r control.Route) object {
	var parameters []object
	for _, f := range r.Query {
		parameters = append(parameters, object{"name": f.Name, "in": "query", "description": f.Help, "schema": schema(f)})
	}
	out := object{
		"tags": []string{"Control"}, "summary": r.Summary, "parameters": append(parameters, inPath(r.Path)...),
		"responses": object{strconv.Itoa(r.Status): object{"description": http.StatusText(r.Status)}},
	}
	if len(r.Body) > 0 {
		properties, required := object{}, []string{}
		for _, f := range r.Body {
			properties[f.Name] = schema(f)
			if f.Required {
				required = append(required, f.Name)
			}
		}
		out["requestBody"] = object{"content": object{"application/json": object{"schema": object{
			"type": "object", "additionalProperties": false, "properties": properties, "required": required,
		}}}}
	}
	return out
}

func schema(f control.Field) object {
	s := object{"type": f.Type, "description": f.Help}
	if len(f.Enum) > 0 {
		s["enum"] = f.Enum
	}
	return s
}

// inPath describes what stands in braces in a path.
func inPath(path string) []object {
	var out []object
	for _, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			out = append(out, object{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	return out
}
