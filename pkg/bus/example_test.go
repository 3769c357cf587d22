package bus_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
)

// Publishing and subscribing with lanes: the orders of one customer are handled one after another, those of different
// customers side by side.
func Example() {
	conn, stop := exampleServer("ORDERS")
	defer stop()

	pub := bus.NewPublisher(conn, bus.PublisherConfig{})
	var flight []*message.Message
	for _, order := range []string{"ann-1", "bob-1", "ann-2", "ann-3", "bob-2"} {
		m := message.NewMessage(order, []byte("a book")) // the UUID deduplicates: say what the message is, do not draw it
		m.Metadata["customer"] = order[:3]
		flight = append(flight, m)
	}
	check(pub.Publish("orders.placed", flight...))
	check(pub.Publish("orders.placed", flight...)) // stores nothing twice

	sub, err := bus.NewSubscriber(conn, bus.SubscriberConfig{
		Group:  "shipping",
		Stream: func(context.Context, string) (string, error) { return "ORDERS", nil },
		Key:    func(_ string, m *message.Message) string { return m.Metadata["customer"] },
	})
	check(err)
	orders, err := sub.Subscribe(context.Background(), "orders.>")
	check(err)

	shipped := map[string][]string{}
	for range flight {
		m := <-orders
		customer := m.Metadata["customer"]
		shipped[customer] = append(shipped[customer], m.UUID)
		m.Ack()
	}
	check(sub.Close())
	fmt.Println(shipped["ann"])
	fmt.Println(shipped["bob"])
	// Output:
	// [ann-1 ann-2 ann-3]
	// [bob-1 bob-2]
}

// Owned partitions: two processes share the partitions out among themselves, and when one leaves the other has them all
// within a second, with everything that the first left unsettled.
func Example_ownership() {
	conn, stop := exampleServer("ORDERS")
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := conn.JetStream().CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "leases"})
	check(err)
	leases, err := bus.OpenBucket(ctx, conn, "leases")
	check(err)

	join := func() *bus.Subscriber { // each in a process of its own
		sub, err := bus.NewSubscriber(conn, bus.SubscriberConfig{
			Group:  "shipping",
			Stream: func(context.Context, string) (string, error) { return "ORDERS", nil },
			Key:    func(_ string, m *message.Message) string { return m.Metadata["customer"] },
			Ownership: &bus.Ownership{
				Bucket: leases, Partitions: 4, Filter: func(p int) string { return fmt.Sprintf("orders.%d.>", p) },
			},
		})
		check(err)
		orders, err := sub.Subscribe(ctx, "orders.>")
		check(err)
		go func() {
			for m := range orders {
				m.Ack()
			}
		}()
		return sub
	}
	owns := func(sub *bus.Subscriber, n int) {
		for len(sub.Partitions()) != n {
			<-time.After(5 * time.Millisecond)
		}
		fmt.Println("owns", n, "of 4")
	}

	first := join()
	owns(first, 4)
	second := join()
	owns(first, 2)
	owns(second, 2)
	check(first.Close())
	owns(second, 4)
	check(second.Close())
	// Output:
	// owns 4 of 4
	// owns 2 of 4
	// owns 2 of 4
	// owns 4 of 4
}

// A router: handlers return classified errors, and the bus tries again, waits or gives up.
func ExampleNewRouter() {
	conn, stop := exampleServer("ORDERS", "DEAD")
	defer stop()
	pub := bus.NewPublisher(conn, bus.PublisherConfig{})
	sub, err := bus.NewSubscriber(conn, bus.SubscriberConfig{
		Group: "shipping", Stream: func(context.Context, string) (string, error) { return "ORDERS", nil },
	})
	check(err)
	router, err := bus.NewRouter(bus.RouterConfig{
		Stage: "shipping", DeadLetters: pub, DeadSubject: func(*message.Message) string { return "dead.shipping" },
		Retry: bus.RetryConfig{MinDelay: time.Millisecond},
	})
	check(err)

	var once sync.Once
	shipped := make(chan string, 1)
	router.AddConsumerHandler("ship", "orders.>", sub, func(m *message.Message) error {
		if string(m.Payload) == "" {
			return bus.Permanent(errors.New("an order of nothing"))
		}
		err := error(nil)
		once.Do(func() { err = errors.New("the post office did not answer") }) // tried again
		if err == nil {
			shipped <- m.UUID
		}
		return err
	})
	done := make(chan error, 1)
	go func() { done <- router.Run(context.Background()) }()

	check(pub.Publish("orders.placed", message.NewMessage("o-1", []byte("a book")), message.NewMessage("o-2", nil)))
	fmt.Println("shipped", <-shipped)
	dead, err := conn.JetStream().Stream(context.Background(), "DEAD")
	check(err)
	for {
		letter, err := dead.GetMsg(context.Background(), 1)
		if err == nil {
			fmt.Println("dead letter", letter.Header.Get(bus.DeadID)+":", letter.Header.Get(bus.DeadReason))
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	check(router.Close())
	check(<-done)
	// Output:
	// shipped o-1
	// dead letter o-2: an order of nothing
}

// exampleServer runs a server inside the process, with streams that take the subjects of their names.
func exampleServer(streams ...string) (*bus.Conn, func()) {
	dir, err := os.MkdirTemp("", "example")
	check(err)
	srv, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	check(err)
	srv.Start()
	conn, err := bus.Connect(context.Background(), bus.ConnConfig{InProcess: srv})
	check(err)
	for _, name := range streams {
		_, err := conn.JetStream().CreateStream(context.Background(), jetstream.StreamConfig{Name: name, Subjects: []string{strings.ToLower(name) + ".>"}})
		check(err)
	}
	return conn, func() {
		conn.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
		check(os.RemoveAll(dir))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
