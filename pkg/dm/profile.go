package dm

import "time"

// Profile is what Meta tells of a customer. Of several, the one that was fetched last counts.
type Profile struct {
	// Name, Username and PictureURL may each be missing: Meta gives what the customer has and allows.
	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
	// PictureURL is signed by Meta and expires within days of FetchedAt.
	PictureURL string `json:"picture_url,omitempty"`
	// NoConsent: Meta tells nothing of this customer (errors 230 and 9010), and is not asked again before FetchedAt is old.
	NoConsent bool `json:"no_consent,omitempty"`
	// FetchedAt is when Meta answered.
	FetchedAt time.Time `json:"fetched_at"`
}
