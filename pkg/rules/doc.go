// Package rules decides which rule of a business answers a text.
//
// A [Rule] is a row of response_rules. [Compile] turns the active ones into a [Set] that is immutable, safe for any number
// of goroutines and quick: thousands of keywords are looked for in one pass over the text. The package knows neither
// PostgreSQL nor the bus, and decides nothing but which rule matches; whether to answer at all is package respond's.
package rules
