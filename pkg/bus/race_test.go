//go:build race

package bus_test

// raceDetector: the suite's TestReconnect appends to a slice in one goroutine and reads it in another.
const raceDetector = true
