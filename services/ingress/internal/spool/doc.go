// Package spool keeps accepted webhooks on this machine's disk while the bus cannot take them.
//
// A record is durable when [Commit.Wait] returns nil: written, checksummed and fsynced. Records that come while a write is under
// way share the next one and its fsync. They are read from the front in the order of [Spool.Enqueue], and leave when the
// reader says so with [Spool.Done].
//
// # Order
//
// A record names the lanes of its conversations, and [Spool.Busy] says whether any of a webhook's lanes has a record here. The
// rule is: what is in a busy lane goes to the spool too, behind what is there. So nothing newer of a conversation overtakes
// what waits, while every other conversation goes its usual way from the moment that the bus is back: the rate recovers at
// once, however much there is to catch up with. There are 65,536 lanes, by a hash of the conversation; two conversations in
// one lane cost a detour and nothing else.
//
// # On the disk
//
// A spool is a folder of segments, files of some megabytes, named by their number and a random salt. A segment is a row of
// frames: salt, checksum (CRC-32C), length, record. After each fsync comes a seal, a frame without a record, which says that
// everything before it was durable. A segment is removed when all in it was read; an empty spool has no segments.
//
//   - A frame is found by its salt and believed by its checksum, so that one that is damaged costs itself only: the
//     reader goes on at the next salt. Nobody who writes a webhook can know the salt.
//   - Bytes that are no frame and have no seal behind them are a torn tail: a power cut during a write that nobody was told had
//     succeeded. They are dropped. With a seal behind them they were acknowledged and are damaged: that is an error in
//     the log and in a metric, and the segment is kept, as *.damaged, for a person.
//   - After a write or an fsync has failed nothing is written to that file any more: what the kernel still holds of it is not
//     known. The next write begins a new segment.
//   - How far a segment was read is kept beside it, without an fsync: what a power cut takes of that is published again, with
//     the same ids.
//
// # Why not a library
//
// None of the well-kept ones gives these guarantees together. tidwall/wal (v1.2.1) has no checksums, and a damaged entry
// makes the whole log ErrCorrupt. hashicorp/raft-wal (v0.4.0) checks a sum for a batch at recovery of the last one only, by
// its own documents does not check what it reads, and keeps its list of segments in a bbolt file. bbolt has no checksums on its
// pages of data, and a page that is damaged takes what hangs below it along. Prometheus's and etcd's logs are cut off at
// the first damaged record. Pebble and Badger would do, but are whole databases for what is a queue that is nearly always empty.
package spool
