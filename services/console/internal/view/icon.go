package view

import (
	"fmt"
	"html/template"
)

// icons are drawn with one stroke on a field of 24 by 24.
var icons = map[string]template.HTML{
	"accounts":  `<circle cx="12" cy="8" r="4"/><path d="M4 21c0-4.4 3.6-7 8-7s8 2.6 8 7"/>`,
	"analytics": `<path d="M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6"/>`,
	"arrow":     `<path d="M5 12h14M13 6l6 6-6 6"/>`,
	"audit":     `<path d="M6 3h9l4 4v14H6zM14 3v5h5M9 13h7M9 17h5"/>`,
	"back":      `<path d="M19 12H5M11 6l-6 6 6 6"/>`,
	"bot":       `<rect x="4" y="8" width="16" height="12" rx="3"/><path d="M12 8V4M9 13v2M15 13v2"/>`,
	"check":     `<path d="M5 12.5l5 5L19 7"/>`,
	"checks":    `<path d="M2 12.5l5 5L16 7M11 16l1.5 1.5L22 7"/>`,
	"clock":     `<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3 2"/>`,
	"close":     `<path d="M6 6l12 12M18 6L6 18"/>`,
	"copy":      `<rect x="9" y="9" width="11" height="11" rx="2"/><path d="M5 15V5a1 1 0 0 1 1-1h9"/>`,
	"failures":  `<path d="M12 4l9 16H3zM12 10v4M12 17v.5"/>`,
	"filter":    `<path d="M4 5h16l-6 8v6l-4-2v-4z"/>`,
	"hand":      `<path d="M7 11V6a1.5 1.5 0 0 1 3 0v4-6a1.5 1.5 0 0 1 3 0v6-5a1.5 1.5 0 0 1 3 0v6-3a1.5 1.5 0 0 1 3 0v7c0 4-3 6-6.500 6S8 19 6.500 16.500L4 12.500a1.500 1.500 0 0 1 2.500-1.500z"/>`,
	"help":      `<circle cx="12" cy="12" r="9"/><path d="M9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .8-1 1.700M12 16.500v.5"/>`,
	"home":      `<path d="M4 11l8-7 8 7v9h-6v-6h-4v6H4z"/>`,
	"inbox":     `<path d="M4 13l3-8h10l3 8v6H4zM4 13h5l1.500 3h3L15 13h5"/>`,
	"key":       `<circle cx="8" cy="14" r="4"/><path d="M11 11l9-8M16 6l3 3"/>`,
	"label":     `<path d="M4 4h8l8 8-8 8-8-8zM8 8v.5"/>`,
	"menu":      `<path d="M4 6h16M4 12h16M4 18h16"/>`,
	"people":    `<circle cx="9" cy="8" r="3.500"/><path d="M2.500 20c0-3.600 2.900-6 6.500-6s6.500 2.400 6.500 6M16 5a3.500 3.500 0 0 1 0 6.500M18 14.500c2.300.8 3.500 2.800 3.500 5.500"/>`,
	"plus":      `<path d="M12 5v14M5 12h14"/>`,
	"replay":    `<path d="M4 12a8 8 0 1 0 2.500-5.800L4 8.500M4 4v4.500h4.500"/>`,
	"rules":     `<path d="M4 6h10M18 6h2M4 12h2M10 12h10M4 18h8M16 18h4"/><circle cx="16" cy="6" r="2"/><circle cx="8" cy="12" r="2"/><circle cx="14" cy="18" r="2"/>`,
	"search":    `<circle cx="11" cy="11" r="6"/><path d="M20 20l-4.500-4.500"/>`,
	"send":      `<path d="M4 4l17 8-17 8 3-8zM7 12h8"/>`,
	"signout":   `<path d="M14 4h5v16h-5M4 12h11M8 8l-4 4 4 4"/>`,
	"system":    `<rect x="4" y="4" width="16" height="6" rx="1"/><rect x="4" y="14" width="16" height="6" rx="1"/><path d="M8 7v.1M8 17v.1"/>`,
	"theme":     `<circle cx="12" cy="12" r="8"/><path d="M12 4v16a8 8 0 0 0 0-16z" class="fill"/>`,
	"trace":     `<circle cx="5" cy="6" r="2"/><circle cx="19" cy="18" r="2"/><path d="M7 6h8a3 3 0 0 1 0 6H9a3 3 0 0 0 0 6h8"/>`,
	"user":      `<circle cx="12" cy="8" r="4"/><path d="M4 21c0-4.400 3.600-7 8-7s8 2.600 8 7"/>`,
	"webhook":   `<circle cx="7" cy="17" r="3"/><circle cx="17" cy="17" r="3"/><circle cx="12" cy="7" r="3"/><path d="M10 17h4M8.500 14.500L11 10M13 10l2.500 4.500"/>`,
}

// icon draws an icon beside a text that says the same: it is hidden from who listens.
func icon(name string) (template.HTML, error) {
	paths, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("icon: there is none named %q", name)
	}
	return `<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">` + paths + `</svg>`, nil
}
