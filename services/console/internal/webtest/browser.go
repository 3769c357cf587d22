package webtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// The widths of the screens that pages are looked at on.
const (
	Desktop = 1280
	Phone   = 390
)

// browserTimeout bounds all that one test does in its browser.
const browserTimeout = 90 * time.Second

// Browser is a browser window.
type Browser struct {
	// Context is what chromedp.Run wants.
	Context context.Context //nolint:containedctx // chromedp's way
	site    *Site
	width   int64

	problems []string // what scripts and the browser complained of; read when it has ended
}

// chromium finds Debian's browser.
func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("a browser is not installed: scripts/require chromium installs Chromium or says how")
}

// Open opens a browser of this width in which the person is signed in; dark chooses the system's colours. When the test ends,
// nothing may have been refused by the Content-Security-Policy and no script may have failed.
func (p *Person) Open(width int64, dark bool) *Browser {
	t := p.site.t
	t.Helper()
	path, err := chromium()
	require.NoError(t, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true))
	ctx, cancelTime := context.WithTimeout(context.WithoutCancel(t.Context()), browserTimeout)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancel := chromedp.NewContext(ctx)
	b := &Browser{Context: ctx, site: p.site, width: width}
	var listening sync.WaitGroup
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser's end
		cancel()
		cancelAllocator()
		cancelTime()
		listening.Wait()
		require.Empty(t, b.problems, "what the browser complained of")
	})
	said := chromedp.Console(ctx)
	listening.Go(func() {
		for m, err := range said {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == chromedp.ConsoleError {
				b.problems = append(b.problems, m.String()+" "+m.URL)
			}
		}
	})
	colours := "light"
	if dark {
		colours = "dark"
	}
	httpOnly := true
	_, err = chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: p.Cookie.Name, Value: p.Cookie.Value, URL: p.site.URL, HTTPOnly: &httpOnly})
	require.NoError(t, err, "open a browser")
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}},
	})
	require.NoError(t, err, "choose the browser's colours")
	viewport := chromedp.EmulateViewport(width, 860)
	if width == Phone {
		viewport = chromedp.EmulateViewport(width, 860, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	b.Run(viewport)
	return b
}

// Run does things in the browser; a test fails with the first that cannot be done.
func (b *Browser) Run(steps ...chromedp.Action[chromedp.Void]) {
	b.site.t.Helper()
	require.NoError(b.site.t, chromedp.Do(b.Context, steps...))
}

// Go opens a page and waits for it.
func (b *Browser) Go(path string) {
	b.site.t.Helper()
	b.Run(chromedp.Navigate(b.site.URL+path), chromedp.WaitReady(chromedp.CSS("main")))
}

// Click clicks the first element that a CSS selector finds, when it is visible.
func (b *Browser) Click(selector string) {
	b.site.t.Helper()
	b.Run(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Type types into the first field that a CSS selector finds.
func (b *Browser) Type(selector, text string) {
	b.site.t.Helper()
	b.Run(chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// Wait waits until an element is visible.
func (b *Browser) Wait(selector string) {
	b.site.t.Helper()
	b.Run(chromedp.WaitVisible(chromedp.CSS(selector)))
}

// Text is the text of the first element that a CSS selector finds; it waits for one that is visible.
func (b *Browser) Text(selector string) string {
	b.site.t.Helper()
	text, err := chromedp.Run(b.Context, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible))
	require.NoError(b.site.t, err)
	return strings.TrimSpace(text)
}

// Until waits until a JavaScript expression is true.
func (b *Browser) Until(expression string) {
	b.site.t.Helper()
	_, err := chromedp.Run(b.Context, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(30*time.Second)))
	require.NoError(b.site.t, err, expression)
}

// Overflows says whether the page is wider than the screen: nothing may be, on a phone. It is not compared with the window, which
// grows on a phone with what is too wide.
func (b *Browser) Overflows() bool {
	b.site.t.Helper()
	wide, err := chromedp.Run(b.Context, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
	require.NoError(b.site.t, err)
	return wide > b.width
}

// Evaluate is the value of a JavaScript expression.
func Evaluate[T any](b *Browser, expression string) T {
	b.site.t.Helper()
	value, err := chromedp.Run(b.Context, chromedp.Evaluate[T](expression))
	require.NoError(b.site.t, err, expression)
	return value
}

// Press presses a key, such as kb.Tab, wherever the focus is.
func (b *Browser) Press(key string) {
	b.site.t.Helper()
	b.Run(chromedp.KeyEvent(key))
}

// Screenshot draws the whole page, and writes it as PNG into the folder that SCREENSHOTS names.
func (b *Browser) Screenshot(name string) {
	b.site.t.Helper()
	b.Until(`[...document.images].every((image) => image.complete || image.loading === "lazy")`)
	png, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
	require.NoError(b.site.t, err)
	if dir := os.Getenv("SCREENSHOTS"); dir != "" { //nolint:forbidigo // a setting of the test binary, which has no Config
		require.NoError(b.site.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600))
	}
}
