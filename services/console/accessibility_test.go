package console_test

import (
	"slices"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// audit is a script that says what on a page is not for everybody: fields, buttons and links without a name, pictures without a
// text, names that refer to nothing, ids that are there twice, tables whose heads have no scope, not one h1, no language.
const audit = `(() => {
	const problems = [];
	const show = (e) => e.outerHTML.replace(/\s+/g, " ").slice(0, 140);
	const hidden = (e) => e.closest("[hidden], [aria-hidden=true], dialog:not([open]), template");
	const text = (e) => (e?.textContent ?? "").trim();
	const named = (e) => (e.getAttribute("aria-label") ?? "").trim() || (e.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => text(document.getElementById(id))).join("");
	const ids = new Set();
	for (const e of document.querySelectorAll("[id]")) {
		if (ids.has(e.id)) problems.push("id twice: " + show(e));
		ids.add(e.id);
	}
	for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
		if (!hidden(e) && !named(e) && ![...e.labels].some((l) => text(l))) problems.push("no label: " + show(e));
	}
	for (const e of document.querySelectorAll("button, a[href], summary")) {
		if (!hidden(e) && !named(e) && !text(e) && !e.querySelector("img[alt]:not([alt=''])")) problems.push("no name: " + show(e));
	}
	for (const e of document.querySelectorAll("img:not([alt]), svg:not([aria-hidden=true], [role=img]), [role=img]:not([aria-label])")) {
		if (!hidden(e)) problems.push("no text: " + show(e));
	}
	for (const name of ["aria-labelledby", "aria-describedby", "for", "list", "form"]) {
		for (const e of document.querySelectorAll("[" + name + "]")) {
			for (const id of e.getAttribute(name).split(" ")) if (!document.getElementById(id)) problems.push(name + " of nothing: " + show(e));
		}
	}
	for (const e of document.querySelectorAll("th:not([scope])")) problems.push("no scope: " + show(e));
	for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) problems.push("an order of its own: " + show(e));
	for (const e of document.querySelectorAll("div[aria-label]:not([role]), span[aria-label]:not([role])")) problems.push("a name without a role: " + show(e));
	if (document.querySelectorAll("h1").length !== 1) problems.push(document.querySelectorAll("h1").length + " h1");
	if (!document.documentElement.lang || !document.title) problems.push("no language or title");
	return problems;
})()`

// focused is a script that says what has the focus, and what is wrong with it: it cannot be seen, or not that it has the focus,
// or it comes before what had the focus last. An empty name: nothing has it.
const focused = `(() => {
	const e = document.activeElement;
	if (!e || e === document.body || e === document.documentElement) { window.lastFocus = null; return {name: "", problem: ""}; }
	const name = e.tagName + " " + (e.getAttribute("aria-label") ?? e.name ?? "") + " " + (e.textContent ?? "").replace(/\s+/g, " ").trim().slice(0, 40);
	const box = e.getBoundingClientRect(), style = getComputedStyle(e);
	let problem = "";
	if (box.width === 0 || box.height === 0) problem = "it cannot be seen";
	else if (box.bottom < 0 || box.top > innerHeight || box.right < 0 || box.left > innerWidth) problem = "it is off the screen";
	else if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) problem = "nothing shows that it has the focus";
	else if (window.lastFocus && window.lastFocus !== e && !(window.lastFocus.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING)) problem = "it comes before " + window.lastFocus.outerHTML.slice(0, 80);
	window.lastFocus = e;
	return {name, problem};
})()`

// most is how many times Tab is pressed on a page at most.
const most = 250

func TestEveryPageIsForEverybody(t *testing.T) {
	t.Parallel()
	l := newLively(t)
	for pages := range slices.Chunk(l.pages, 6) {
		b := l.owner.Open(webtest.Desktop, false)
		for _, page := range pages {
			b.Go(page.path)
			require.Empty(t, webtest.Evaluate[[]string](b, audit), page.path)
			if page.name == "thread" {
				require.True(t, webtest.Evaluate[bool](b, `document.querySelector("#thread").role === "region" && document.querySelector("[data-part=items]").ariaLive === "polite"`))
			}
			walk(t, b, page.path)
		}
	}
}

// walk presses Tab from the page's beginning to its end.
func walk(t *testing.T, b *webtest.Browser, path string) {
	t.Helper()
	first := ""
	for n := range most {
		b.Press(kb.Tab)
		at := webtest.Evaluate[struct{ Name, Problem string }](b, focused)
		require.Empty(t, at.Problem, "%s: %s", path, at.Name)
		switch {
		case n == 0:
			first = at.Name
			require.Contains(t, first, "Skip to the content", path)
		case at.Name == "" || at.Name == first:
			return
		}
	}
	require.Fail(t, "Tab comes to no end", path)
}

// The pages as people see them. SCREENSHOTS=dir keeps the pictures, which README.md has some of.
func TestEveryPageFitsItsScreen(t *testing.T) {
	t.Parallel()
	l := newLively(t)
	for _, screen := range []struct {
		name  string
		width int64
		dark  bool
	}{{"light", webtest.Desktop, false}, {"dark", webtest.Desktop, true}, {"phone", webtest.Phone, false}} {
		b := l.owner.Open(screen.width, screen.dark)
		for _, page := range l.pages {
			b.Go(page.path)
			require.False(t, b.Overflows(), page.path+" "+screen.name)
			b.Screenshot(page.name + "-" + screen.name)
		}
	}
}
