package bus

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestAcknowledged(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]uint64{
		`{"stream":"DM_EVENTS","seq":123}`:                         123,
		`{"stream":"S","seq":18446744073709551615}`:                18446744073709551615,
		`{"stream":"S","domain":"hub","seq":7}`:                    7,
		`{"stream":"S","seq":9,"duplicate": true}`:                 9,
		`{"stream":"S","seq":9,"batch":"id","count":3}`:            9,
		`{"seq":5, "stream":"S"}`:                                  5,
		`{"stream":"a\",\"seq\":1}","seq":2}`:                      2,
		`{"stream":"S","seq":3,"domain":"a","val":"1","extra":[]}`: 3,
	} {
		seq, err := acknowledged(&nats.Msg{Data: []byte(answer)})
		require.NoError(t, err, answer)
		require.Equal(t, want, seq, answer)
	}
	for _, answer := range []string{``, `{}`, `null`, `{"stream":"S","seq":}`, `{"stream":"S","seq":1`, `{"stream":"","seq":1x}`, `+OK`} {
		_, err := acknowledged(&nats.Msg{Data: []byte(answer)})
		require.ErrorIs(t, err, errNoAck, answer)
	}
	_, err := acknowledged(&nats.Msg{Header: nats.Header{"Status": {"503"}}})
	require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
	_, err = acknowledged(&nats.Msg{Data: []byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 2"},"stream":"S","seq":0}`)})
	var api *jetstream.APIError
	require.ErrorAs(t, err, &api)
	require.Equal(t, jetstream.JSErrCodeStreamWrongLastSequence, api.ErrorCode)
}
