// Command chaos runs the whole product as separate processes, two of each service, and kills, stops, stalls and restarts
// every one of them by a seeded schedule, NATS and PostgreSQL too, while a simulated Meta sends messages and misbehaves. Then
// it lets everything heal and says of each message whether it was answered exactly once, in order, and has its rows.
//
// It tests the promise, not a part: the processes are the real binaries with their default settings, killed with real
// signals; only Meta is played. A run that is not good tells the schedule and, for each message that is wrong, all that is
// known of it on the bus, in the ledger and in the logs.
package main
