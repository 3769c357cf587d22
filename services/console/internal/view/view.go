// Package view draws the console's pages: html/template files, parsed at the start, in one frame, and the assets that they
// use. Everything is embedded.
//
// It knows no HTTP beyond writing a page, and no database. What customers wrote reaches it as plain strings and is escaped
// by html/template according to where it stands; nothing here turns a string into template.HTML but what this package
// made itself.
package view

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"strings"
	"time"
)

//go:embed templates
var templates embed.FS

// NavItem is one entry of the navigation.
type NavItem struct {
	Path  string // such as /inbox
	Title string
	Icon  string // a name that icon knows
	Key   string // after g on the keyboard
}

// Frame is what is around a page, and the page's data.
type Frame struct {
	Title string
	// Area is the Path of the navigation's entry that the page belongs to.
	Area string
	Nav  []NavItem
	// UserName is who is signed in; empty: nobody.
	UserName, UserRole string
	// Theme is light, dark or auto.
	Theme string
	// Nonce is for script elements, which have a src all the same: no inline script is ever written.
	Nonce string
	// Notice is said once, after something was done.
	Notice string
	// Live: the page listens for changes.
	Live bool
	Data any
}

// Renderer holds the parsed templates.
type Renderer struct {
	pages map[string]*template.Template
}

// New parses every template. A page is templates/page/AREA/NAME.html and is rendered as "AREA/NAME"; it defines "content"
// and may define more to render alone. Parts, templates/part/*.html, define what several pages use.
func New(now func() time.Time) (*Renderer, error) {
	base, err := template.New("").Option("missingkey=error").Funcs(functions(now)).ParseFS(templates, "templates/layout.html", "templates/part/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the frame: %w", err)
	}
	r := &Renderer{pages: map[string]*template.Template{}}
	err = fs.WalkDir(templates, "templates/page", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		page, err := template.Must(base.Clone()).ParseFS(templates, path)
		if err != nil {
			return fmt.Errorf("parse %s: %w", path, err)
		}
		r.pages[strings.TrimSuffix(strings.TrimPrefix(path, "templates/page/"), ".html")] = page
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Page writes a whole page. Nothing is written when it fails.
func (r *Renderer) Page(w io.Writer, name string, f Frame) error {
	return r.execute(w, name, "layout", f)
}

// Fragment writes one template that a page defines, with its own data: what a script puts in place of an older one.
func (r *Renderer) Fragment(w io.Writer, page, block string, data any) error {
	return r.execute(w, page, block, data)
}

func (r *Renderer) execute(w io.Writer, page, block string, data any) error {
	t, ok := r.pages[page]
	if !ok {
		return fmt.Errorf("render %s: there is no such template", page)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, block, data); err != nil {
		return fmt.Errorf("render %s: %w", page, err)
	}
	_, err := w.Write(b.Bytes())
	return err
}
