package envelope

// Scanned reads a payload without encoding/json, if that can be done.
func Scanned[T Data](payload []byte) (e Envelope[T], ok bool) {
	ok = scan(payload, &e)
	return e, ok
}
