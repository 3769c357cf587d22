module github.com/parley-dm/parley/services/sender

go 1.26

require github.com/parley-dm/parley/pkg v0.0.0

replace github.com/parley-dm/parley/pkg => ../../pkg
