// Package repository is where rules, conversations and messages are kept, as the domain sees them.
//
// Each of the three has an implementation on PostgreSQL ([NewRules], [NewConversations], [NewMessages]) and one in memory
// ([NewMemory]), and package repositorytest has the suite that both pass; [Cache] keeps the rules that another repository
// read. Who uses one declares the few methods that it needs, and does not see which it was given. The archiver's writing is
// not here: it merges facts in batches, which no row-by-row repository could; nor is what the bus keeps.
package repository
