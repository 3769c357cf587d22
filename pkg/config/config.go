// Package config reads a service's settings from environment variables into a plain struct with `env`, `envDefault` and
// `help` tags, and reports every problem at once, by variable name.
//
// The parser is caarlos0/env. What is added here: NAME_FILE reads NAME's value from a file, secrets that print as ***,
// a variable set to nothing counts as not set (but for fields tagged `empty:"keep"`), and --help's table.
package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Settings is a struct of settings. Validate reports all problems beyond the fields' types, joined by errors.Join, each
// naming its variable; it calls Validate of the structs that it embeds.
type Settings interface{ Validate() error }

// Load reads the settings from environ (as os.Environ gives it) into a T. The error, if any, is an [*Error] that names
// every problem.
func Load[T Settings](environ []string) (T, error) {
	var cfg T
	known := Variables[T]()
	vars, problems := resolve(environ, known)
	err := env.ParseWithOptions(&cfg, env.Options{Environment: vars})
	keepEmpty(reflect.ValueOf(&cfg).Elem(), vars)
	problems = append(problems, news(problems, explain(err, known))...)
	problems = append(problems, news(problems, flatten(cfg.Validate()))...)
	if len(problems) > 0 {
		return cfg, &Error{Problems: problems}
	}
	return cfg, nil
}

// news are the problems of variables of which nothing is known yet. A value that could not be read, from its file or at
// all, is zero now: what is said of it next would only repeat the problem.
func news(known, more []error) []error {
	return slices.DeleteFunc(more, func(p error) bool {
		name, _, _ := strings.Cut(p.Error(), ":")
		return slices.ContainsFunc(known, func(k error) bool { return strings.HasPrefix(k.Error(), name+":") })
	})
}

// Error is a configuration with one or more problems.
type Error struct{ Problems []error }

func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	lines = append(lines, fmt.Sprintf("configuration: %d problem(s)", len(e.Problems)))
	for _, p := range e.Problems {
		lines = append(lines, "  - "+p.Error())
	}
	return strings.Join(lines, "\n")
}

func (e *Error) Unwrap() []error { return e.Problems }

// resolve turns environ into a map without empty values and sets NAME from the file that NAME_FILE names, without the
// newline that editors put at its end.
func resolve(environ []string, known []Variable) (map[string]string, []error) {
	keep := map[string]bool{}
	for _, k := range known {
		keep[k.Name] = k.KeepEmpty
	}
	vars := make(map[string]string, len(environ))
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && (v != "" || keep[k]) {
			vars[k] = v
		}
	}
	var problems []error
	for _, k := range known {
		file := vars[k.Name+"_FILE"]
		if _, own := keep[k.Name+"_FILE"]; own || file == "" {
			continue
		}
		if vars[k.Name] != "" {
			problems = append(problems, fmt.Errorf("%s: set both directly and by %s_FILE, expected one of them", k.Name, k.Name))
			continue
		}
		content, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %s_FILE: %w", k.Name, k.Name, err))
			continue
		}
		vars[k.Name] = strings.TrimRight(string(content), "\r\n")
	}
	return vars, problems
}

// keepEmpty empties the fields tagged `empty:"keep"` whose variables are set to nothing: the parser gave them their defaults.
func keepEmpty(v reflect.Value, vars map[string]string) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		value, set := vars[name]
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && f.Type.Kind() == reflect.Struct:
			keepEmpty(v.Field(i), vars)
		case set && value == "" && f.Tag.Get("empty") == "keep":
			v.Field(i).SetZero()
		}
	}
}

// Resolve reads the files that NAME_FILE variables name once, for a process that loads several structs of settings from one
// environment: the result has NAME in place of NAME_FILE. A file that is a pipe could not be read for each of them.
func Resolve(environ []string, known []Variable) (resolved []string, problems []error) {
	vars, problems := resolve(environ, known)
	names := make(map[string]bool, len(known))
	for _, k := range known {
		names[k.Name] = true
	}
	for _, k := range known {
		if file := k.Name + "_FILE"; !names[file] {
			delete(vars, file)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		resolved = append(resolved, name+"="+vars[name])
	}
	return resolved, problems
}

// explain turns the parser's errors into one line each that names the variable and what was expected, never its value,
// which may be a secret.
func explain(err error, known []Variable) []error {
	if err == nil {
		return nil
	}
	var out []error
	for _, e := range flatten(err) {
		var missing env.VarIsNotSetError
		var parse env.ParseError
		switch {
		case errors.As(e, &missing):
			out = append(out, fmt.Errorf("%s: required, but not set", missing.Key))
		case errors.As(e, &parse):
			out = append(out, fmt.Errorf("%s: expected %s", variableOf(parse.Name, known), kindName(parse.Type)))
		default:
			out = append(out, e)
		}
	}
	return out
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || reflect.TypeOf(joined) != reflect.TypeOf(err) {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}

func variableOf(field string, known []Variable) string {
	for _, k := range known {
		if k.field == field {
			return k.Name
		}
	}
	return field
}

func kindName(t reflect.Type) string {
	switch {
	case t.String() == "time.Duration":
		return "a duration such as 25s or 5m"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		return "a whole number"
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64:
		return "a whole number, not negative"
	case t.Kind() == reflect.Float64:
		return "a number"
	default:
		return "a " + strings.ToLower(t.Name())
	}
}
