package erase

// ofCustomer are the statements for the tables that keep something of a customer beside the archive; each takes the account and
// the customer. What refers to the conversation's own row, as conversation_desk does, goes with it, by its foreign key.
var ofCustomer = []step{ //nolint:gochecknoglobals // a constant list
	{table: "contacts", sql: `DELETE FROM contacts WHERE page_id = $1 AND instagram_user_id = $2`},
	{table: "conversation_labels", sql: `DELETE FROM conversation_labels WHERE page_id = $1 AND instagram_user_id = $2`},
	// What is still to be told to another program, with the customer's message in it.
	{table: "webhook_deliveries", sql: `DELETE FROM webhook_deliveries WHERE account = $1 AND body IS NOT NULL
		AND jsonb_path_exists(body, '$.** ? (@ == $customer)', jsonb_build_object('customer', $2::text))`},
}

// others are those statements with an account and a customer.
func others(account, customer string) []step {
	out := make([]step, len(ofCustomer))
	for i, s := range ofCustomer {
		s.args = []any{account, customer}
		out[i] = s
	}
	return out
}
