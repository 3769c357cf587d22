package graph

// Played is an endpoint of the Graph API that is played, as the page /api tells of it.
type Played struct {
	Method, Path, Summary string
	// Query names what may be given.
	Query []string
	// Rules are what is enforced.
	Rules []string
}

// Plays lists what is played.
func Plays() []Played {
	return []Played{
		{
			Method: "POST", Path: "/{version}/{account}/messages", Summary: "Sends a message, a sender action or a private reply. JSON, or a form whose values are JSON.",
			Query: []string{"access_token", "appsecret_proof"},
			Rules: []string{
				"text of at most 1000 bytes of UTF-8; at most 13 quick replies with titles of 20 and payloads of 1000 characters",
				"up to 10 images; image, video, audio and file by URL or attachment id; like_heart; MEDIA_SHARE",
				"generic template: 1 to 10 elements with at most 3 buttons; button template: text of 640 characters and at most 3 buttons",
				"unknown keys inside of recipient and message are refused, beside them ignored",
				"10/2534022 later than 24 hours after the customer's last message or tap; with MESSAGE_TAG and HUMAN_AGENT later than 7 days",
				"100/2534014 for unknown recipients (GRAPH_STRICT_RECIPIENTS); 100/2534037 while another app owns the thread",
				"one private reply to a comment, within 7 days (of a live video within an hour); else 100/2534025; 750 an hour",
				"613/2534040 above GRAPH_RATE a second for an account; a tenth of it for audio and video",
				"sender_action: typing_on, typing_off, mark_seen, react, unreact",
			},
		},
		{
			Method: "GET", Path: "/{version}/{account}/conversations", Summary: "The account's conversations, newest first, or the one with a customer.",
			Query: []string{"platform=instagram", "user_id", "fields=messages.limit(n){…}", "limit", "after"},
			Rules: []string{"a fiftieth of GRAPH_RATE (2 a second), with the two below", "without platform=instagram the list is empty"},
		},
		{Method: "GET", Path: "/{version}/{conversation}", Summary: "One conversation.", Query: []string{"fields=updated_time,messages{id,created_time,from,to,message}"}, Rules: []string{"only the 20 newest messages have details"}},
		{Method: "GET", Path: "/{version}/{mid}", Summary: "One message.", Query: []string{"fields=id,created_time,from,to,message,attachments,shares,story"}, Rules: []string{"9000001 for one that is not among the 20 newest"}},
		{Method: "GET", Path: "/{version}/{customer}", Summary: "A customer's profile; the picture's link expires.", Query: []string{"fields=name,username,profile_pic,…"}, Rules: []string{"100/33 for customers that were never met"}},
		{Method: "GET", Path: "/{version}/me", Summary: "The account that the token belongs to.", Query: []string{"fields=user_id,username,name"}},
		{Method: "GET", Path: "/{version}/debug_token", Summary: "What is known of a token.", Query: []string{"input_token", "access_token"}, Rules: []string{"asked with any token of the app's, or with app id|secret"}},
		{
			Method: "GET", Path: "/refresh_access_token", Summary: "Prolongs a token.", Query: []string{"grant_type=ig_refresh_token", "access_token"},
			Rules: []string{"refused before it is 24 hours old, and when it is dead", "one that expires (SIMULATOR_TOKEN_TTL) is replaced and stays good until then"},
		},
		{Method: "GET", Path: "/{version}/{account}/subscribed_apps", Summary: "The fields that are subscribed."},
		{Method: "POST", Path: "/{version}/{account}/subscribed_apps", Summary: "Subscribes; unknown fields are refused.", Query: []string{"subscribed_fields"}, Rules: []string{"before the first time everything is sent; afterwards only these fields"}},
		{Method: "DELETE", Path: "/{version}/{account}/subscribed_apps", Summary: "Unsubscribes: no webhooks any more."},
	}
}

// Always is what holds for every call.
func Always() []string {
	return []string{
		"a token as Authorization: Bearer, in the query or in the body; 190 with 458, 460, 463 or 467 for a dead one; 104 or 2500 for none",
		"appsecret_proof is checked where it is given, and demanded with GRAPH_REQUIRE_PROOF",
		"X-App-Usage and X-Business-Use-Case-Usage rise with the calls of the last hour (GRAPH_ALLOWANCE); at 100 percent calls are refused with 80006, and count all the same",
		"any version; the error bodies of Meta with fbtrace_id, error_subcode and is_transient",
	}
}

// NotPlayed is what Meta has and the simulator has not.
func NotPlayed() []string {
	return []string{
		"logging in, permissions, app review and the App Dashboard; every token may do everything",
		"uploading attachments (message_attachments), fetching the media that URLs point to, and their sizes and types",
		"ice breakers, persistent menus, the messenger profile, welcome flows, handover between apps over the API",
		"comments, posts, stories and insights over the API: comments exist as webhooks and as recipients of private replies only",
		"profile pictures; other objects than those above, which are answered with 100/33",
		"mutual TLS on webhooks; Messenger and WhatsApp",
		"Meta's formula of usage in processor time: the three shares are those of the calls",
	}
}
