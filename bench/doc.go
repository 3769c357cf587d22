// Command bench measures Parley on this machine: webhooks accepted, replies end to end, rows archived, memory. `make bench`
// runs it.
//
// It starts the real programs, a nats-server and a PostgreSQL with its default settings (fsync and synchronous_commit on)
// as processes of their own, plays Meta itself, and prints one table from one run: each figure with what it is compared
// with, the floor and the goal, and how much of the machine's CPU went to others meanwhile. Ratios are what to look at:
// their two sides ran on the same machine a moment apart. A figure that others disturbed is taken again, a few times at
// most, and marked when that did not help. Floors do not decide the exit code; a figure that is broken does (a message was not
// answered, a row is missing), and its logs and data are kept where the last lines say.
package main
