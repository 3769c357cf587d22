package archiver_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/archiver"
)

func TestBadMediaSettingsAreAllNamed(t *testing.T) {
	t.Parallel()
	const base = "DATABASE_URL=postgres://localhost/x "
	_, err := config.Load[archiver.Config](strings.Fields(base + "MEDIA_DIR=x MEDIA_S3_BUCKET=a/b MEDIA_S3_ENDPOINT=x MEDIA_MAX_BYTES=1 MEDIA_WORKERS=0 MEDIA_TRUSTED_HOSTS=simulator"))
	for _, name := range []string{"MEDIA_DIR", "MEDIA_S3_BUCKET", "MEDIA_S3_ENDPOINT", "MEDIA_S3_ACCESS_KEY", "MEDIA_S3_SECRET_KEY", "MEDIA_MAX_BYTES", "MEDIA_WORKERS", "MEDIA_TRUSTED_HOSTS"} {
		require.ErrorContains(t, err, "- "+name+": ")
	}
	c, err := config.Load[archiver.Config](strings.Fields(base + "MEDIA_S3_BUCKET=b MEDIA_S3_ACCESS_KEY=a MEDIA_S3_SECRET_KEY=s MEDIA_TRUSTED_HOSTS=a:1,b:2"))
	require.NoError(t, err)
	require.True(t, c.Media.Keeps())
	require.Equal(t, []string{"a:1", "b:2"}, c.Media.Trusted)
	require.Equal(t, "***", c.Media.SecretKey.String())
	c, err = config.Load[archiver.Config](strings.Fields(base))
	require.NoError(t, err)
	require.False(t, c.Media.Keeps(), "media are not kept unless somebody asks for it")
}
