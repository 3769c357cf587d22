package store

import "context"

// hasLabel is the condition that a conversation c has a label.
func hasLabel(string) string { return "false" }

// addLabels adds the labels of conversations.
func (s *Store) addLabels(context.Context, []Talk) error { return nil }

// Labels are those that conversations have, the most used first.
func (s *Store) Labels(context.Context, Scope) ([]string, error) { return nil, nil }
