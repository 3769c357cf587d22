package rulefile

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/parley-dm/parley/pkg/rules"
)

// position is where something stands in a file, from 1.
type position struct{ line, column int }

// decoder reads a tree of YAML into what its JSON tags say, and goes on after a problem: yaml.Unmarshal stops at the first, and
// its struct tags would have to be repeated on each type that a rule is made of.
type decoder struct {
	file     string
	problems Problems
	// unread are the fields that could not be read, by the rule that they are in.
	unread map[int][]string
	// at is where each field stands, by its path.
	at map[string]position
}

// fieldOf finds the field that an error of package rules is about: they begin with it.
var fieldOf = regexp.MustCompile(`(?:when|then|limits)(?:\.[a-z_]+(?:\[\d+\])?)+|keywords|match_type|response_text`)

// add keeps a problem while there is room.
func (d *decoder) add(one *Problem) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, one)
	}
}

func (d *decoder) problem(at position, path string, err error) {
	if path == "" {
		path = "file"
	}
	d.add(&Problem{File: d.file, Line: at.line, Column: at.column, Field: path, Err: err})
}

// position is where a field stands, or what it is in.
func (d *decoder) position(path string) position {
	for {
		if at, ok := d.at[path]; ok {
			return at
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return position{line: 1, column: 1}
		}
		path = path[:cut]
	}
}

func positionOf(n ast.Node) position {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return position{line: t.Position.Line, column: t.Position.Column}
	}
	return position{line: 1, column: 1}
}

func syntaxPosition(err error) position {
	var e yaml.Error
	if errors.As(err, &e) {
		if t := e.GetToken(); t != nil && t.Position != nil {
			return position{line: t.Position.Line, column: t.Position.Column}
		}
	}
	return position{line: 1, column: 1}
}

func syntaxError(err error) error {
	var e yaml.Error
	if errors.As(err, &e) {
		return fmt.Errorf("no YAML: %s", e.GetMessage())
	}
	return fmt.Errorf("no YAML: %w", err)
}

func (d *decoder) decodeRoot(n ast.Node, f *file) { d.decode(n, reflect.ValueOf(f).Elem(), "") }

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[rules.Duration]()
)

// decode reads a node into a value; path is the field's.
func (d *decoder) decode(n ast.Node, v reflect.Value, path string) {
	if path != "" {
		d.at[path] = positionOf(n)
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.problem(positionOf(n), path, errors.New("got an anchor, an alias or a tag, expected a plain value"))
		return
	case *ast.NullNode:
		d.problem(positionOf(n), path, errors.New("got nothing, expected a value; leave the field out instead"))
		return
	}
	if v.Type() == timeType || v.Type() == durationType {
		d.decodeText(n, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path)
	case reflect.Struct:
		d.decodeStruct(n, v, path)
	case reflect.Map:
		d.decodeMap(n, v, path)
	case reflect.Slice:
		d.decodeSlice(n, v, path)
	default:
		d.decodeScalar(n, v, path)
	}
}

func (d *decoder) decodeStruct(n ast.Node, v reflect.Value, path string) {
	values, ok := d.mapping(n, path)
	if !ok {
		return
	}
	fields := fieldsOf(v.Type())
	for _, m := range values {
		key := keyOf(m)
		index, ok := fields[key]
		if !ok {
			d.problem(positionOf(m.Key), under(path, key), fmt.Errorf("unknown field, expected one of %s", strings.Join(sortedKeys(fields), ", ")))
			continue
		}
		d.decode(m.Value, v.FieldByIndex(index), under(path, key))
	}
}

// mapping gives the entries of a mapping, each key once.
func (d *decoder) mapping(n ast.Node, path string) ([]*ast.MappingValueNode, bool) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		d.problem(positionOf(n), path, fmt.Errorf("got %s, expected fields and their values", what(n)))
		return nil, false
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(values), func(m *ast.MappingValueNode) bool {
		key := keyOf(m)
		if seen[key] {
			d.problem(positionOf(m.Key), under(path, key), errors.New("got it twice, expected it once"))
			return true
		}
		seen[key] = true
		return false
	}), true
}

func (d *decoder) decodeMap(n ast.Node, v reflect.Value, path string) {
	values, ok := d.mapping(n, path)
	if !ok {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(values)))
	for _, m := range values {
		one := reflect.New(v.Type().Elem()).Elem()
		d.decode(m.Value, one, under(path, keyOf(m)))
		v.SetMapIndex(reflect.ValueOf(keyOf(m)).Convert(v.Type().Key()), one)
	}
}

func (d *decoder) decodeSlice(n ast.Node, v reflect.Value, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.problem(positionOf(n), path, fmt.Errorf("got %s, expected a list", what(n)))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, item := range s.Values {
		d.decode(item, v.Index(i), path+"["+strconv.Itoa(i)+"]")
	}
}

func (d *decoder) decodeText(n ast.Node, v reflect.Value, path string) {
	s, ok := text(n)
	if !ok {
		d.problem(positionOf(n), path, fmt.Errorf("got %s, expected a text", what(n)))
		return
	}
	into, _ := v.Addr().Interface().(encoding.TextUnmarshaler)
	if err := into.UnmarshalText([]byte(s)); err != nil {
		expected := "a time span such as 90m or 24h"
		if v.Type() == timeType {
			expected = "a time such as 2026-12-24T08:00:00+01:00"
		}
		d.problem(positionOf(n), path, fmt.Errorf("got %q, expected %s", s, expected))
	}
}

func (d *decoder) decodeScalar(n ast.Node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.String:
		if s, ok := text(n); ok {
			v.SetString(s)
			return
		}
		d.problem(positionOf(n), path, fmt.Errorf("got %s, expected a text; put it in quotes if it is one", what(n)))
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
			return
		}
		d.problem(positionOf(n), path, fmt.Errorf("got %s, expected true or false", what(n)))
	case reflect.Int:
		i, err := strconv.ParseInt(n.GetToken().Value, 10, 32)
		if _, ok := n.(*ast.IntegerNode); ok && err == nil {
			v.SetInt(i)
			return
		}
		d.problem(positionOf(n), path, fmt.Errorf("got %s, expected a whole number", what(n)))
	default:
		d.problem(positionOf(n), path, fmt.Errorf("cannot be read into %s", v.Type()))
	}
}

// text reads what stands for a text: numbers may do without quotes, and keep their noughts.
func text(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

// what names a node in an error; of texts only their kind.
func what(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "fields"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	default:
		if t := n.GetToken(); t != nil && t.Type != token.UnknownType {
			return strconv.Quote(t.Value)
		}
		return "something else"
	}
}

func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fieldsOf gives a struct's fields by their JSON names, those of embedded structs among them.
func fieldsOf(t reflect.Type) map[string][]int {
	out := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && !f.Anonymous {
			out[name] = f.Index
		}
	}
	return out
}

func sortedKeys(m map[string][]int) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// keyOf is a key without its quotes.
func keyOf(m *ast.MappingValueNode) string {
	if s, ok := m.Key.(*ast.StringNode); ok {
		return s.Value
	}
	return m.Key.String()
}
