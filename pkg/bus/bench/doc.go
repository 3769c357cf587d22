// Command bench measures package bus against raw JetStream and against watermill-nats, all in one run and on one server,
// and prints the ratios. It says how much of the machine's CPU others had meanwhile; a dirty run is done again.
//
// It is a module of its own, so that package bus does not depend on what it is compared with. `make bench-bus` runs it.
package main
