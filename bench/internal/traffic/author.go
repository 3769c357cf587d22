package traffic

import (
	"fmt"
	"strconv"
	"time"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/meta/webhook"
)

// Each customer writes perCustomer messages; block customers take turns, so that two messages of one of them are block
// messages apart.
const (
	perCustomer = 10
	block       = 500
)

// midStart is how Instagram's message ids begin and how long they are.
const midStart = "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTkwNDc5NDI2ODQ0ODgzNzoz"

// Author writes webhooks with one message each. Message n is always the same one.
type Author struct {
	Account string
	Secret  config.Secret
	// First is the id of the first customer; each run has its own customers.
	First int64
	// Texts take turns.
	Texts []string
}

// customer says who writes message n, counted from 0, and place which of a customer's messages it is.
func customer(n int) int { return n/(block*perCustomer)*block + n%block }

// message is the number of a customer's message, both counted from 0.
func message(customer, place int) int {
	return customer/block*block*perCustomer + place*block + customer%block
}

// appendRequest writes message n as a signed HTTP request to dst.
func (a *Author) appendRequest(dst []byte, n int) []byte {
	now := time.Now().UnixMilli()
	body := make([]byte, 0, 768)
	body = append(body, `{"object":"instagram","entry":[{"id":"`...)
	body = append(body, a.Account...)
	body = append(body, `","time":`...)
	body = strconv.AppendInt(body, now, 10)
	body = append(body, `,"messaging":[{"sender":{"id":"`...)
	body = strconv.AppendInt(body, a.First+int64(customer(n)), 10)
	body = append(body, `"},"recipient":{"id":"`...)
	body = append(body, a.Account...)
	body = append(body, `"},"timestamp":`...)
	body = strconv.AppendInt(body, now, 10)
	body = append(body, `,"message":{"mid":"`...)
	body = append(body, midStart...)
	body = fmt.Appendf(body, "%010d%09d", a.First, n)
	body = append(body, `","text":"`...)
	body = append(body, a.Texts[n%len(a.Texts)]...)
	body = append(body, `"}}]}]}`...)

	dst = append(dst, "POST /webhooks/instagram HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Webhooks/1.0 (https://fb.me/webhooks)\r\nAccept: */*\r\n"...)
	dst = append(dst, "Content-Type: application/json\r\nX-Hub-Signature-256: "...)
	dst = append(dst, webhook.Sign(body, a.Secret)...)
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}
