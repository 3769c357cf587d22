package accounts

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
)

// FileError is one mistake in ACCOUNTS_FILE. It never repeats a value that may be a secret.
type FileError struct {
	File string
	Line int
	// Field is the key, such as "accounts[2].token"; empty where the file as a whole is wrong.
	Field, Message string
}

func (p *FileError) Error() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if p.Field != "" {
		where += ": " + p.Field
	}
	return where + ": " + p.Message
}

// readFile reads ACCOUNTS_FILE and reports every problem in it. With tokens it demands a token of every account that is
// answered, reads token files and notes them; without, it leaves tokens out.
func readFile(path string, tokens *tokenFiles) ([]Account, []error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, []error{&FileError{File: path, Message: reason(err)}}
	}
	r := &reader{file: path, tokens: tokens, lines: map[key]int{}}
	accounts := r.document(raw)
	return accounts, r.problems
}

// reason is an error of os without the path, which is told already.
func reason(err error) string {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// reader walks the YAML tree, because a decoder stops at the first problem and an operator wants to mend them all at once.
type reader struct {
	file     string
	tokens   *tokenFiles
	lines    map[key]int
	problems []error
}

func (r *reader) problem(node ast.Node, field, format string, args ...any) {
	r.problems = append(r.problems, &FileError{File: r.file, Line: line(node), Field: field, Message: fmt.Sprintf(format, args...)})
}

func line(node ast.Node) int {
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return 0
	}
	return node.GetToken().Position.Line
}

func (r *reader) document(raw []byte) []Account {
	file, err := parser.ParseBytes(raw, 0)
	if err != nil {
		p := &FileError{File: r.file, Message: "not valid YAML"}
		var syntax yaml.Error
		if errors.As(err, &syntax) { // not its Error(), which shows the lines around, tokens and all
			p.Message += ": " + syntax.GetMessage()
			if t := syntax.GetToken(); t != nil && t.Position != nil {
				p.Line = t.Position.Line
			}
		}
		r.problems = append(r.problems, p)
		return nil
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		r.problem(nil, "", "expected one YAML document with a list named accounts")
		return nil
	}
	root := r.mapping(file.Docs[0].Body, "")
	var list *ast.SequenceNode
	for _, pair := range root {
		name, value := pair.Key.String(), pair.Value
		if name != "accounts" {
			r.problem(pair.Key, name, "no such field; expected accounts")
			continue
		}
		var ok bool
		if list, ok = value.(*ast.SequenceNode); !ok {
			r.problem(pair.Key, "accounts", "expected a list of accounts")
		}
	}
	if list == nil || len(list.Values) == 0 {
		if len(r.problems) == 0 {
			r.problem(file.Docs[0].Body, "accounts", "expected at least one account")
		}
		return nil
	}
	accounts := make([]Account, 0, len(list.Values))
	for i, node := range list.Values {
		accounts = append(accounts, r.account(node, fmt.Sprintf("accounts[%d]", i)))
	}
	return accounts
}

// mapping gives a node's pairs, nil with a problem noted when it has none.
func (r *reader) mapping(node ast.Node, field string) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	default:
		r.problem(node, field, "expected fields and values")
		return nil
	}
}

// entry is one account as it is written, with the nodes of its fields for their lines.
type entry struct {
	field string
	at    ast.Node
	nodes map[string]ast.Node
}

func (r *reader) account(node ast.Node, field string) Account {
	e := entry{field: field, at: node, nodes: map[string]ast.Node{}}
	a := Account{Channel: dm.ChannelInstagram, Login: LoginFacebook, Reply: true}
	pairs := r.mapping(node, field)
	if pairs == nil {
		return a
	}
	e.at = pairs[0].Key
	var token, tokenFile string
	for _, pair := range pairs {
		name := pair.Key.String()
		e.nodes[name] = pair.Key
		switch name {
		case "id":
			a.ID = r.text(pair, field)
		case "name":
			a.Name = r.text(pair, field)
		case "channel":
			a.Channel = dm.Channel(r.text(pair, field))
		case "login":
			a.Login = Login(r.text(pair, field))
		case "token":
			token = r.text(pair, field)
		case "token_file":
			tokenFile = r.text(pair, field)
		case "app_secret":
			a.AppSecret = config.Secret(strings.TrimSpace(r.text(pair, field)))
		case "api_host":
			a.APIHost = r.text(pair, field)
		case "reply":
			a.Reply = r.boolean(pair, field)
		default:
			r.problem(pair.Key, field+"."+name, "no such field; expected id, name, channel, login, token, token_file, app_secret, api_host or reply")
		}
	}
	r.check(e, &a)
	if r.tokens != nil {
		a.Token = r.token(e, token, tokenFile)
		if a.Reply && token+tokenFile == "" {
			r.problem(e.at, field+".token", "required (or token_file), because the account is answered")
		}
	}
	return a
}

// check notes what is wrong with an account's plain fields.
func (r *reader) check(e entry, a *Account) {
	at := func(name string) ast.Node {
		if n := e.nodes[name]; n != nil {
			return n
		}
		return e.at
	}
	switch {
	case e.nodes["id"] == nil:
		r.problem(at("id"), e.field+".id", "required")
	case !validID(a.ID):
		r.problem(at("id"), e.field+".id", "got %q, expected an account's id such as \"17841400000000001\"", a.ID)
	default:
		if first, dup := r.lines[a.key()]; dup {
			r.problem(at("id"), e.field+".id", "%s is listed already in line %d", a.ID, first)
		}
		r.lines[a.key()] = line(at("id"))
	}
	if a.Channel != dm.ChannelInstagram {
		r.problem(at("channel"), e.field+".channel", "got %q, expected instagram", string(a.Channel))
	}
	if !a.Login.valid() {
		r.problem(at("login"), e.field+".login", "got %q, expected facebook or instagram", string(a.Login))
	}
	if a.APIHost == "" {
		return
	}
	host := a.APIHost
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	u, err := url.Parse(host)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		r.problem(at("api_host"), e.field+".api_host", "expected a host or a URL such as https://graph.instagram.com")
	}
	a.APIHost = strings.TrimRight(host, "/")
}

// text reads a scalar as it is written: an id without quotes is a number to YAML, and 17 digits must not become 1.78e16.
func (r *reader) text(pair *ast.MappingValueNode, field string) string {
	switch n := pair.Value.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.NullNode:
		return ""
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value
	default:
		r.problem(pair.Key, field+"."+pair.Key.String(), "expected a text")
		return ""
	}
}

func (r *reader) boolean(pair *ast.MappingValueNode, field string) bool {
	n, ok := pair.Value.(*ast.BoolNode)
	if !ok {
		r.problem(pair.Key, field+"."+pair.Key.String(), "expected true or false")
		return false
	}
	return n.Value
}

// token is given directly or by a file; a relative path starts at the accounts file's folder.
func (r *reader) token(e entry, value, path string) config.Secret {
	if path == "" {
		return config.Secret(strings.TrimSpace(value))
	}
	field, at := e.field+".token_file", e.nodes["token_file"]
	if value != "" {
		r.problem(at, field, "token is given too, expected one of them")
		return ""
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(r.file), path)
	}
	r.tokens.add(path)
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		r.problem(at, field, "%s: %s", path, reason(err))
		return ""
	}
	content := strings.TrimSpace(string(raw))
	if content == "" {
		r.problem(at, field, "%s: is empty", path)
	}
	return config.Secret(content)
}

// tokenFiles notes which token files were read and what they looked like just before.
type tokenFiles struct {
	paths  []string
	stamps map[string]stamp
}

func (t *tokenFiles) add(path string) {
	if t.stamps == nil {
		t.stamps = map[string]stamp{}
	}
	if _, known := t.stamps[path]; !known {
		t.paths = append(t.paths, path)
		t.stamps[path] = stampOf(path)
	}
}
