package hooks

import (
	"fmt"

	"github.com/parley-dm/parley/pkg/signed"
)

// reach is whom webhooks may be at.
func (h *Hooks) reach() signed.Reach {
	return signed.Reach{Private: h.o.AllowPrivate, Setting: "CONSOLE_WEBHOOKS_PRIVATE", Resolver: h.o.Resolver}
}

// CheckURL says what is wrong with a webhook's address. Names are looked up when it is called, and checked then.
func (h *Hooks) CheckURL(raw string) error {
	if err := h.reach().Check(raw); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	return nil
}
