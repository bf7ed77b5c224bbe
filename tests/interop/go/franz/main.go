// Command franz proves the broker with franz-go: it administers, writes, reads, and meets every refusal that a client can meet.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	. "stoker/tests/interop/proof"
)

var (
	args   = Load()
	admin  = kadm.NewClient(client())
	codecs = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	order = []string{"none", "gzip", "snappy", "lz4", "zstd"}
)

func client(options ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(args.Address), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.FetchMaxWait(100 * time.Millisecond)}, options...)...)
	Must(err)
	return made
}

func topic(name string) string { return args.Prefix + "-" + name }

func create(name string, partitions int32, settings map[string]string) string {
	ctx, end := Soon()
	defer end()
	all := map[string]*string{"retention.ms": kadm.StringPtr("-1")}
	for key, value := range settings {
		all[key] = kadm.StringPtr(value)
	}
	_, err := admin.CreateTopic(ctx, partitions, 1, all, topic(name))
	Must(err)
	return topic(name)
}

func toClient(name string, partition int32, row Record) *kgo.Record {
	record := &kgo.Record{Topic: name, Partition: partition, Key: row.Key, Value: row.Value, Timestamp: time.UnixMilli(row.Time)}
	for _, h := range row.Headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
	}
	return record
}

func fromClient(record *kgo.Record) Record {
	row := Record{Key: record.Key, Value: record.Value, Time: record.Timestamp.UnixMilli()}
	for _, h := range record.Headers {
		row.Headers = append(row.Headers, Header{h.Key, h.Value})
	}
	return row
}

// write sends rows in one go and waits for every answer; it returns them as sent, with their offsets.
func write(to *kgo.Client, name string, partition int32, rows []Record) []*kgo.Record {
	ctx, end := Soon()
	defer end()
	var records []*kgo.Record
	for _, row := range rows {
		records = append(records, toClient(name, partition, row))
	}
	Must(to.ProduceSync(ctx, records...).FirstErr())
	return records
}

// read returns count records of partition 0 from an offset.
func read(name string, offset int64, count int) (found []*kgo.Record) {
	ctx, end := Soon()
	defer end()
	from := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(offset)}}))
	defer from.Close()
	for len(found) < count {
		fetches := from.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			Must(e.Err)
		}
		found = append(found, fetches.Records()...)
	}
	return found
}

func rows(records []*kgo.Record) (found []Record) {
	for _, record := range records {
		found = append(found, fromClient(record))
	}
	return found
}

func acksOption(acks string) []kgo.Opt {
	switch acks {
	case "0":
		return []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}
	case "1":
		return []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()}
	}
	return []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks())} // with idempotence, which is this client's default
}

func everyCodecAndAcks() {
	for _, codec := range order {
		for _, acks := range []string{"0", "1", "all"} {
			name := create(codec+"-"+acks, 1, nil)
			to := client(append(acksOption(acks), kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(5*time.Millisecond))...)
			write(to, name, 0, args.Records)
			RequireSame(rows(read(name, 0, len(args.Records))), args.Records)
			to.Close()
		}
	}
}

func everyOffset() {
	name := create("offsets", 1, map[string]string{"segment.bytes": "4000"})
	wanted := Numbers(100)
	for i, codec := range order {
		to := client(kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(20*time.Millisecond))
		write(to, name, 0, wanted[i*20:i*20+20])
		to.Close()
	}
	from := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(0)}}))
	defer from.Close()
	for at := range wanted {
		from.SetOffsets(map[string]map[int32]kgo.EpochOffset{name: {0: {Epoch: -1, Offset: int64(at)}}})
		ctx, end := Soon()
		found := from.PollRecords(ctx, 1).Records()
		end()
		Require(len(found) == 1 && found[0].Offset == int64(at), "from offset %d came %v", at, found)
		RequireSame(rows(found), wanted[at:at+1])
	}
}

func nothingAtTheEnd() {
	name := create("empty", 1, nil)
	from := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(0)}}))
	defer from.Close()
	ctx, end := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer end()
	fetches := from.PollFetches(ctx)
	Require(fetches.NumRecords() == 0 && errors.Is(fetches.Err0(), context.DeadlineExceeded), "of an empty topic came %v", fetches.Errors())
}

func outOfRange() {
	name := create("range", 1, nil)
	to := client()
	write(to, name, 0, Numbers(3))
	to.Close()
	from := client(kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(50)}}))
	defer from.Close()
	ctx, end := Soon()
	defer end()
	fetches := from.PollFetches(ctx)
	Require(len(fetches.Errors()) == 1 && errors.Is(fetches.Errors()[0].Err, kerr.OffsetOutOfRange), "offset 50 of 3: %v", fetches.Errors())
}

func largeBatches() {
	name := create("large", 1, nil)
	var wanted []Record
	for i, codec := range order {
		to := client(kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerBatchMaxBytes(1<<20))
		one := []Record{{Value: Noise(900*1024, uint64(i)), Time: Base}}
		write(to, name, 0, one)
		var many []Record
		for j := 0; j < 900; j++ {
			many = append(many, Record{Key: []byte(fmt.Sprint(j)), Value: Noise(1000, uint64(i*1000+j)), Time: Base + int64(j)})
		}
		write(to, name, 0, many)
		wanted = append(append(wanted, one...), many...)
		to.Close()
	}
	RequireSame(rows(read(name, 0, len(wanted))), wanted)
}

func tooLarge() {
	name := create("small", 1, map[string]string{"max.message.bytes": "2000"})
	to := client(kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer to.Close()
	ctx, end := Soon()
	defer end()
	err := to.ProduceSync(ctx, toClient(name, 0, Record{Value: Noise(5000, 1)})).FirstErr()
	Require(errors.Is(err, kerr.MessageTooLarge), "5000 bytes where 2000 may be: %v", err)
	write(to, name, 0, Numbers(1))
	RequireSame(rows(read(name, 0, 1)), Numbers(1))
}

func appendTime() {
	name := create("append-time", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	for _, codec := range order {
		to := client(kgo.ProducerBatchCompression(codecs[codec]))
		before := time.Now().UnixMilli()
		sent := write(to, name, 0, Numbers(5))
		after := time.Now().UnixMilli()
		to.Close()
		for _, record := range read(name, sent[0].Offset, 5) {
			at := record.Timestamp.UnixMilli()
			Require(record.Attrs.TimestampType() == 1 && before <= at && at <= after, "%s: time %d of type %d, sent within %d and %d", codec,
				at, record.Attrs.TimestampType(), before, after)
		}
	}
}

func offsetsForTimes() {
	name := create("times", 1, nil)
	to := client(kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(5*time.Millisecond))
	write(to, name, 0, Numbers(50))
	to.Close()
	ctx, end := Soon()
	defer end()
	for _, row := range []struct{ when, offset, time int64 }{{Base - 5, 0, Base}, {Base, 0, Base}, {Base + 1, 1, Base + 10},
		{Base + 250, 25, Base + 250}, {Base + 490, 49, Base + 490}, {Base + 491, 50, -1}} {
		listed, err := admin.ListOffsetsAfterMilli(ctx, row.when, name)
		Must(err)
		found, _ := listed.Lookup(name, 0)
		Must(found.Err)
		Require(found.Offset == row.offset && found.Timestamp == row.time, "from time %d on: %+v", row.when, found)
	}
	cut, err := admin.DeleteRecords(ctx, kadm.Offsets{name: {0: {Topic: name, Partition: 0, At: 20}}})
	Must(err)
	Must(cut.Error())
	starts, err := admin.ListStartOffsets(ctx, name)
	Must(err)
	ends, err := admin.ListEndOffsets(ctx, name)
	Must(err)
	first, _ := starts.Lookup(name, 0)
	last, _ := ends.Lookup(name, 0)
	Require(first.Offset == 20 && last.Offset == 50, "after DeleteRecords: from %+v to %+v", first, last)
}

func idempotent() {
	name := create("idempotent", 3, nil)
	to := client(kgo.MaxBufferedRecords(500), kgo.ProducerBatchMaxBytes(2000))
	ctx, end := Soon()
	defer end()
	failures := make(chan error, 3000)
	for i := 0; i < 3000; i++ {
		to.Produce(ctx, &kgo.Record{Topic: name, Partition: int32(i % 3), Value: []byte(fmt.Sprint(i / 3))},
			func(_ *kgo.Record, err error) { failures <- err })
	}
	for i := 0; i < 3000; i++ {
		Must(<-failures)
	}
	id, epoch, err := to.ProducerID(ctx)
	Must(err)
	Require(id >= 0 && epoch == 0, "producer id %d of epoch %d", id, epoch)
	to.Close()
	for i, record := range read(name, 0, 1000) {
		Require(string(record.Value) == fmt.Sprint(i) && record.Offset == int64(i) && record.ProducerID == id, "record %d is %q of producer %d", i,
			record.Value, record.ProducerID)
	}
}

func unknownTopic() {
	ctx, end := Soon()
	defer end()
	details, err := admin.ListTopics(ctx, topic("nowhere"))
	Must(err)
	Require(errors.Is(details[topic("nowhere")].Err, kerr.UnknownTopicOrPartition), "metadata of no topic: %v", details[topic("nowhere")].Err)
	to := client(kgo.UnknownTopicRetries(1))
	defer to.Close()
	err = to.ProduceSync(ctx, &kgo.Record{Topic: topic("nowhere"), Value: []byte("x")}).FirstErr()
	Require(errors.Is(err, kerr.UnknownTopicOrPartition), "a record to no topic: %v", err)
	details, err = admin.ListTopics(ctx)
	Must(err)
	Require(!details.Has(topic("nowhere")), "asking made the topic")
}

func expansion() {
	name := create("grows", 1, nil)
	to := client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMaxAge(200*time.Millisecond))
	defer to.Close()
	write(to, name, 0, Numbers(1))
	from := client(kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMaxAge(200*time.Millisecond))
	defer from.Close()
	ctx, end := Soon()
	defer end()
	Require(from.PollFetches(ctx).NumRecords() == 1, "the first record was not read")
	grown, err := admin.UpdatePartitions(ctx, 3, name)
	Must(err)
	Must(grown.Error())
	WaitFor("the producer sees partition 2", func() bool {
		return to.ProduceSync(ctx, toClient(name, 2, Numbers(1)[0])).FirstErr() == nil
	})
	found := from.PollFetches(ctx).Records()
	Require(len(found) == 1 && found[0].Partition == 2, "the consumer read %v", found)
	grown, err = admin.UpdatePartitions(ctx, 2, name)
	Must(err)
	Require(errors.Is(grown.Error(), kerr.InvalidPartitions), "three partitions made two: %v", grown.Error())
}

func administration() {
	ctx, end := Soon()
	defer end()
	name := create("admin", 2, map[string]string{"segment.bytes": "54321"})
	_, err := admin.CreateTopic(ctx, 1, 1, nil, name)
	Require(errors.Is(err, kerr.TopicAlreadyExists), "created twice: %v", err)
	_, err = admin.CreateTopic(ctx, 1, 1, map[string]*string{"no.such": kadm.StringPtr("1")}, name+"x")
	Require(errors.Is(err, kerr.InvalidConfig), "created with an unknown setting: %v", err)
	_, err = admin.CreateTopic(ctx, 1, 5, nil, name+"x")
	Require(errors.Is(err, kerr.InvalidReplicationFactor), "created with five replicas: %v", err)
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("777")}}, name)
	Must(err)
	Must(altered[0].Err)
	configs, err := admin.DescribeTopicConfigs(ctx, name)
	Must(err)
	found := map[string]string{}
	for _, config := range configs[0].Configs {
		found[config.Key] = config.MaybeValue()
	}
	Require(found["segment.bytes"] == "54321" && found["retention.ms"] == "777", "settings are %v", found)
	cluster, err := admin.BrokerMetadata(ctx)
	Must(err)
	Require(len(cluster.Brokers) == 1 && cluster.Controller == cluster.Brokers[0].NodeID, "the cluster is %+v", cluster)
	dirs, err := admin.DescribeAllLogDirs(ctx, kadm.TopicsSet{name: {0: {}, 1: {}}})
	Must(err)
	count := 0
	dirs.Each(func(dir kadm.DescribedLogDir) {
		Must(dir.Err)
		count += len(dir.Topics[name])
	})
	Require(count == 2, "the log directories hold %d partitions of the topic", count)
	gone, err := admin.DeleteTopics(ctx, name)
	Must(err)
	Must(gone.Error())
	WaitFor("the topic is gone", func() bool {
		details, err := admin.ListTopics(ctx, name)
		return err == nil && errors.Is(details[name].Err, kerr.UnknownTopicOrPartition)
	})
}

func main() {
	Run([]Case{
		{"topics are created, configured, described and deleted, and refused as Kafka refuses", administration},
		{"records come back as they were with every codec and acks", everyCodecAndAcks},
		{"every offset can be fetched from", everyOffset},
		{"an empty topic gives nothing and no error", nothingAtTheEnd},
		{"an offset out of range is an error", outOfRange},
		{"batches of a megabyte come back with every codec", largeBatches},
		{"a record too large for its topic is refused, and the next one passes", tooLarge},
		{"the broker's time replaces the client's where the topic says so", appendTime},
		{"offsets for times, first and last offsets are right", offsetsForTimes},
		{"an idempotent producer writes in order, once", idempotent},
		{"an unknown topic is said to be unknown and is not made", unknownTopic},
		{"new partitions are noticed by producers and consumers", expansion},
	})
}
