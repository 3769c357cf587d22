package respond

import (
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/services/responder/internal/engine"
)

// features is what the rules and settings in use need beside the event: what nobody asks for is neither read nor kept.
type features struct {
	set *rules.Set
	// asks are the kinds of event, beside messages, that a rule is for.
	asks map[dm.EventKind]bool
	// contact: somebody asks whether the customer is new. memory: somebody asks what was before. classes: somebody asks what a
	// classifier says. customer: somebody says the customer's name.
	contact, memory, classes, customer bool
}

func (r *Responder) featuresOf(set *rules.Set) *features {
	if f := r.features.Load(); f != nil && f.set == set {
		return f
	}
	f := &features{set: set, asks: map[dm.EventKind]bool{}}
	f.contact = r.remote
	f.memory = r.remote || r.opts.FallbackCooldown > 0 || r.opts.Disclosure != "" || r.opts.BurstWindow > 0 || r.opts.HandOffAfter > 0
	f.customer = r.remote
	for _, rule := range set.Rules() {
		f.add(&rule)
	}
	f.memory = f.memory || f.contact
	r.features.Store(f)
	return f
}

// kinds are those of occasions that are no messages.
var kinds = map[rules.Occasion]dm.EventKind{
	rules.OnReaction: dm.KindReaction, rules.OnReferral: dm.KindReferral, rules.OnComment: dm.KindComment, rules.OnLiveComment: dm.KindLiveComment,
}

func (f *features) add(r *rules.Rule) {
	for _, o := range r.When.On {
		if k, ok := kinds[o]; ok {
			f.asks[k] = true
		}
		f.contact = f.contact || o == rules.OnFirst
	}
	f.contact = f.contact || r.When.Customers != ""
	f.memory = f.memory || len(r.When.Labels) > 0 || engine.Remembers(r)
	f.classes = f.classes || len(r.When.Intents)+len(r.When.Sentiments) > 0
	f.customer = f.customer || names(r)
}

// names says whether a rule may say the customer's name.
func names(r *rules.Rule) bool {
	gaps := func(parts []rules.Part) bool {
		for i := range parts {
			p := &parts[i]
			if strings.Contains(p.Text, "{{") || strings.Contains(strings.Join(p.Variants, ""), "{{") || len(p.Elements) > 0 {
				return true
			}
		}
		return false
	}
	if strings.Contains(r.Response, "{{") || gaps(r.Then.Reply) {
		return true
	}
	for _, parts := range r.Then.ByLanguage {
		if gaps(parts) {
			return true
		}
	}
	return false
}
