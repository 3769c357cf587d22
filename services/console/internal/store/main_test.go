package store_test

import (
	"testing"

	"github.com/parley-dm/parley/pkg/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
