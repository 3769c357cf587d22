package standalone

import (
	"fmt"
	"io"
	"strings"

	"github.com/parley-dm/parley/pkg/topology"
)

// writeTopology prints what Parley keeps on NATS as Markdown, from the data that it is made of.
func writeTopology(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# What Parley keeps on NATS\n\nPrinted by `parley topology`.\n\n## Streams\n\n")
	b.WriteString("| stream | subjects | shape | kept for | at most | holds |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, s := range topology.Streams() {
		kept := fmt.Sprintf("%d days", int(s.MaxAge.Hours()/24))
		if s.MaxAge == 0 {
			kept = "as long as it waits"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | `%s` | %s | %d GiB | %s |\n", s.Name, s.Subjects, s.Shape, kept, s.MaxBytes>>30, s.Description)
	}
	fmt.Fprintf(&b, "\nFiles, kept by age and size, not as work queues. A message id (`Nats-Msg-Id`, the envelope's `id`) is recognised for %d minutes. "+
		"At its bound a stream refuses new messages; it never discards old ones unseen.\n", int(topology.Window.Minutes()))
	fmt.Fprintf(&b, "\n## Partitions\n\n%d by default, fixed when the streams are made and kept in their metadata.\n\n"+
		"| stream | a partition's filter |\n| --- | --- |\n", topology.DefaultPartitions)
	for _, s := range topology.Streams() {
		if s.Partitioned {
			fmt.Fprintf(&b, "| `%s` | `%s` |\n", s.Name, strings.Replace(s.PartitionFilter(0), "0", "<partition>", 1))
		}
	}
	b.WriteString("\n## Buckets\n\n| bucket | keys | kept for | holds |\n| --- | --- | --- | --- |\n")
	for _, k := range topology.Buckets() {
		kept := "ever"
		if k.Each {
			kept = "as long as each says"
		}
		if k.TTL > 0 {
			kept = fmt.Sprintf("%d hours after the last write", int(k.TTL.Hours()))
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", k.Name, k.Keys, kept, k.Description)
	}
	b.WriteString("\n## Messages\n\nJSON envelopes, for any NATS client:\n\n" +
		"```json\n{\"id\", \"type\", \"version\", \"time\", \"account\", \"conversation\", \"correlation_id\", \"causation_id\", \"data\"}\n```\n")
	_, err := io.WriteString(w, b.String())
	return err
}
