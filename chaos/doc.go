// Command chaos runs the whole product as separate processes, kills, stops and restarts them by a seeded schedule while a
// simulated Meta sends messages, and says whether every message was answered exactly once, in order.
//
// It tests the promise, not a part: the processes are the real binaries, killed with real signals; only Meta is played.
// `make chaos-bus` is its first mode: replicas of the responder come and go, stall, and lose their NATS server.
package main
