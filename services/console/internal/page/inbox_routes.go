package page

import (
	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
)

func (p *Pages) inboxSection() section {
	return section{
		nav: view.NavItem{Path: "/inbox", Title: "Inbox", Icon: "inbox", Key: "i"}, least: store.Viewer,
		routes: func(r chi.Router) {
			p.get(r, "/inbox", store.Viewer, p.inboxList)
			p.get(r, "/inbox/rows", store.Viewer, p.inboxRows)
			p.get(r, "/inbox/replies", store.Agent, p.inboxReplies)
			p.post(r, "/inbox/replies", store.Agent, p.inboxAddReply)
			p.post(r, "/inbox/replies/{reply}/delete", store.Agent, p.inboxDeleteReply)
			p.post(r, "/inbox/simulate", store.Agent, p.inboxSimulate)
			p.get(r, "/inbox/{id}", store.Viewer, p.inboxThread)
			p.get(r, "/inbox/{id}/live", store.Viewer, p.inboxLive)
			p.get(r, "/inbox/{id}/earlier", store.Viewer, p.inboxEarlier)
			p.get(r, "/inbox/{id}/trace/{message}", store.Viewer, p.inboxTrace)
			p.get(r, "/inbox/{id}/media/{message}/{position}", store.Viewer, p.inboxMedium)
			p.post(r, "/inbox/{id}/send", store.Agent, p.inboxSend)
			p.post(r, "/inbox/{id}/take", store.Agent, p.inboxTake)
			p.post(r, "/inbox/{id}/hand-back", store.Agent, p.inboxHandBack)
			p.post(r, "/inbox/{id}/assign", store.Agent, p.inboxAssign)
			p.post(r, "/inbox/{id}/label", store.Agent, p.inboxLabel)
			p.post(r, "/inbox/{id}/close", store.Agent, p.inboxClose)
			p.post(r, "/inbox/{id}/reopen", store.Agent, p.inboxReopen)
			p.post(r, "/inbox/{id}/unread", store.Agent, p.inboxUnread)
			p.post(r, "/inbox/{id}/note", store.Agent, p.inboxNote)
		},
	}
}
