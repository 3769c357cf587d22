module github.com/parley-dm/parley/services/standalone

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/jackc/pgx/v5 v5.12.0
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/nats-io/nats.go v1.55.0
	github.com/parley-dm/parley/pkg v0.0.0
	github.com/parley-dm/parley/services/archiver v0.0.0
	github.com/parley-dm/parley/services/ingress v0.0.0
	github.com/parley-dm/parley/services/responder v0.0.0
	github.com/parley-dm/parley/services/sender v0.0.0
	github.com/parley-dm/parley/services/simulator v0.0.0
)

replace (
	github.com/parley-dm/parley/pkg => ../../pkg
	github.com/parley-dm/parley/services/archiver => ../archiver
	github.com/parley-dm/parley/services/ingress => ../ingress
	github.com/parley-dm/parley/services/responder => ../responder
	github.com/parley-dm/parley/services/sender => ../sender
	github.com/parley-dm/parley/services/simulator => ../simulator
)
