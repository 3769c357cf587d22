package view

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed assets
var assets embed.FS

// AssetPrefix is where assets are served.
const AssetPrefix = "/assets/"

// assetSum changes when any asset does. One for all, as a folder: modules import each other by relative paths.
var assetSum = sumAssets()

func sumAssets() string {
	h := sha256.New()
	_ = fs.WalkDir(assets, "assets", func(path string, d fs.DirEntry, err error) error { // embedded: cannot fail
		if err != nil || d.IsDir() {
			return err
		}
		content, err := assets.ReadFile(path)
		_, _ = h.Write([]byte(path))
		_, _ = h.Write(content)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Asset is an asset's URL, with a checksum in it: it may be kept for ever.
func Asset(name string) string { return AssetPrefix + assetSum + "/" + name }

// Assets serves the embedded files.
func Assets() http.Handler {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // the name is a constant
	}
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, AssetPrefix), "/")
		if !ok || name == "" || strings.HasSuffix(name, "/") {
			http.NotFound(w, r)
			return
		}
		// One of another version is served too: while replicas are updated, a page may come from one and its assets from another.
		w.Header().Set("Cache-Control", "no-cache")
		if sum == assetSum {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		r2 := r.Clone(r.Context())
		r2.URL.Path = "/" + name
		serve.ServeHTTP(w, r2)
	})
}
