package config

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
)

// Variable is one environment variable that a service reads.
type Variable struct {
	Name, Default, Help string
	Required, Secret    bool
	// KeepEmpty: set to nothing means the empty value, not the default (tag `empty:"keep"`).
	KeepEmpty bool
	field     string
}

// Variables lists the variables of a settings struct in the order of its fields, those of embedded structs in place.
func Variables[T any]() []Variable {
	return collect(reflect.TypeFor[T]())
}

func collect(t reflect.Type) []Variable {
	var out []Variable
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("env"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name != "":
			out = append(out, Variable{
				Name: name, Default: f.Tag.Get("envDefault"), Help: f.Tag.Get("help"),
				Required: slices.Contains(strings.Split(opts, ","), "required"),
				Secret:   f.Type == reflect.TypeFor[Secret]() || f.Type == reflect.TypeFor[[]Secret](), KeepEmpty: f.Tag.Get("empty") == "keep", field: f.Name,
			})
		case f.Type.Kind() == reflect.Struct:
			out = append(out, collect(f.Type)...)
		}
	}
	return out
}

// WriteHelp prints the variables as an aligned table.
func WriteHelp(w io.Writer, vars []Variable) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range vars {
		def := v.Default
		switch {
		case v.Required:
			def = "(required)"
		case def == "":
			def = "-"
		}
		if _, err := fmt.Fprintf(tw, "  %s\t%s\t%s\n", v.Name, def, v.Help); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// WriteMarkdown prints the variables as the rows of a Markdown table, for the README.
func WriteMarkdown(w io.Writer, vars []Variable) error {
	for _, v := range vars {
		def := "`" + v.Default + "`"
		switch {
		case v.Required:
			def = "required"
		case v.Default == "":
			def = "–"
		}
		if _, err := fmt.Fprintf(w, "| `%s` | %s | %s |\n", v.Name, def, strings.ReplaceAll(v.Help, "|", `\|`)); err != nil {
			return err
		}
	}
	return nil
}
