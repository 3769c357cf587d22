package page

import "net/http"

// signOut ends the session.
func (p *Pages) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := p.sessions.SignOut(w, r); err != nil {
		return err
	}
	return p.done(w, r, "/sign-in", "signed_out")
}
