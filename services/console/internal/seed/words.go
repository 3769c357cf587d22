package seed

import (
	"math/rand/v2"
	"strconv"
)

// answer is what a rule says.
type answer struct{ rule, keyword, text string }

//nolint:gochecknoglobals // constant lists
var (
	answers = []answer{
		{"Prices", "price", "Our bags start at 49 €. You find all prices at https://shop.example/prices"},
		{"Opening hours", "open", "We are open Monday to Saturday, 9:00 to 18:00."},
		{"Shipping", "shipping", "We ship within two days; to most countries it takes three to five more."},
		{"Returns", "return", "You can return anything within 30 days. Shall I send you a label?"},
		{"Sizes", "size", "Our size chart: https://shop.example/sizes"},
		{"Colours", "colour", "It comes in blue, red, olive and black."},
		{"Order status", "order", "Please tell me your order number and I will look."},
		{"Discounts", "discount", "Sign up for our newsletter and save 10 %."},
	}
	openings = []string{"Hi!", "Hello,", "Hey there,", "Good morning,", "", "", "Hola,", "Bonjour,", "Guten Tag,", "Sorry to bother you,"}
	asks     = []string{
		"what is the price of the %s?", "do you still have the %s in stock?", "how long does shipping of the %s take?", "can I return the %s?",
		"which size of the %s should I take?", "is there another colour of the %s?", "where is my order %s?", "are you open on Sunday for the %s?",
		"hay %s todavía?", "combien coûte le %s ?", "wie viel kostet %s?", "I love the %s!", "the %s arrived broken, can you help me?", "thanks for the %s",
	}
	colours = []string{"blue", "red", "olive", "black", "white", "linen", "striped", "tiny", "large", "vintage"}
	things  = []string{"backpack", "tote", "wallet", "scarf", "jacket", "beanie", "belt", "notebook", "mug", "lamp", "poster", "candle"}
	persons = []string{
		"I have looked it up: the %s is on its way.", "Let me check the %s with the workshop.", "We will replace the %s, of course.",
		"The %s is back next week. Shall I keep one for you?", "I am sorry about the %s. Your refund is on its way.",
	}
)

func thing(r *rand.Rand) string {
	if r.IntN(20) == 0 {
		return strconv.Itoa(100_000 + r.IntN(900_000))
	}
	return colours[r.IntN(len(colours))] + " " + things[r.IntN(len(things))]
}

func customerText(r *rand.Rand) string {
	return fill(openings[r.IntN(len(openings))]+" "+asks[r.IntN(len(asks))], thing(r))
}

func personText(r *rand.Rand) string { return fill(persons[r.IntN(len(persons))], thing(r)) }

// fill puts a word where %s is.
func fill(pattern, word string) string {
	for i := range len(pattern) - 1 {
		if pattern[i] == '%' && pattern[i+1] == 's' {
			return pattern[:i] + word + pattern[i+2:]
		}
	}
	return pattern
}
