// Command sarama proves the broker with sarama: what the franz command does, and the protocol versions back to 0.8 with their
// message formats, which this client still speaks.
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	. "stoker/tests/interop/proof"
)

var (
	args   = Load()
	codecs = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}
	order = []string{"none", "gzip", "snappy", "lz4", "zstd"}
	acks  = map[string]sarama.RequiredAcks{"0": sarama.NoResponse, "1": sarama.WaitForLocal, "all": sarama.WaitForAll}
	admin = newAdmin()
)

func config(change func(*sarama.Config)) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Flush.Frequency = 5 * time.Millisecond
	c.Producer.Retry.Backoff = 20 * time.Millisecond
	c.Consumer.Return.Errors = true
	c.Consumer.MaxWaitTime = 10 * time.Millisecond
	c.Consumer.Retry.Backoff = 20 * time.Millisecond
	c.Metadata.Retry.Backoff = 50 * time.Millisecond
	c.Metadata.RefreshFrequency = 200 * time.Millisecond
	c.Metadata.AllowAutoTopicCreation = true
	if change != nil {
		change(c)
	}
	return c
}

func newAdmin() sarama.ClusterAdmin {
	made, err := sarama.NewClusterAdmin([]string{args.Address}, config(nil))
	Must(err)
	return made
}

func topic(name string) string { return args.Prefix + "-" + name }

func create(name string, partitions int32, settings map[string]string) string {
	forever := "-1"
	all := map[string]*string{"retention.ms": &forever}
	for key, value := range settings {
		all[key] = &value
	}
	Must(admin.CreateTopic(topic(name), &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: all}, false))
	return topic(name)
}

func encoder(raw []byte) sarama.Encoder {
	if raw == nil {
		return nil
	}
	return sarama.ByteEncoder(raw)
}

func toClient(name string, partition int32, row Record) *sarama.ProducerMessage {
	message := &sarama.ProducerMessage{Topic: name, Partition: partition, Key: encoder(row.Key), Value: encoder(row.Value),
		Timestamp: time.UnixMilli(row.Time)}
	for _, h := range row.Headers {
		message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value})
	}
	return message
}

func fromClient(message *sarama.ConsumerMessage) Record {
	row := Record{Key: message.Key, Value: message.Value, Time: message.Timestamp.UnixMilli()}
	for _, h := range message.Headers {
		row.Headers = append(row.Headers, Header{Name: string(h.Key), Value: h.Value})
	}
	return row
}

func producer(change func(*sarama.Config)) sarama.SyncProducer {
	made, err := sarama.NewSyncProducer([]string{args.Address}, config(change))
	Must(err)
	return made
}

func compressed(codec string) func(*sarama.Config) {
	return func(c *sarama.Config) { c.Producer.Compression = codecs[codec] }
}

func write(to sarama.SyncProducer, name string, partition int32, rows []Record) []*sarama.ProducerMessage {
	var messages []*sarama.ProducerMessage
	for _, row := range rows {
		messages = append(messages, toClient(name, partition, row))
	}
	Must(to.SendMessages(messages))
	return messages
}

// read returns count messages of a partition from an offset.
func read(change func(*sarama.Config), name string, partition int32, offset int64, count int) (found []*sarama.ConsumerMessage) {
	consumer, err := sarama.NewConsumer([]string{args.Address}, config(change))
	Must(err)
	defer consumer.Close()
	from, err := consumer.ConsumePartition(name, partition, offset)
	Must(err)
	defer from.Close()
	patience := time.After(20 * time.Second)
	for len(found) < count {
		select {
		case message := <-from.Messages():
			found = append(found, message)
		case err := <-from.Errors():
			Must(err)
		case <-patience:
			Require(false, "read only %d of %d records of %s", len(found), count, name)
		}
	}
	return found
}

func rows(messages []*sarama.ConsumerMessage) (found []Record) {
	for _, message := range messages {
		found = append(found, fromClient(message))
	}
	return found
}

func everyCodecAndAcks() {
	for _, codec := range order {
		for _, ack := range []string{"0", "1", "all"} {
			name := create(codec+"-"+ack, 1, nil)
			to := producer(func(c *sarama.Config) { c.Producer.Compression, c.Producer.RequiredAcks = codecs[codec], acks[ack] })
			write(to, name, 0, args.Records)
			RequireSame(rows(read(nil, name, 0, 0, len(args.Records))), args.Records)
			Must(to.Close())
		}
	}
}

// oldVersions writes and reads as clients of each age do: message formats 0 and 1 up to 0.10, then 2 with older requests.
func oldVersions() {
	versions := []sarama.KafkaVersion{sarama.V0_8_2_0, sarama.V0_9_0_0, sarama.V0_10_0_0, sarama.V0_10_2_0, sarama.V0_11_0_0,
		sarama.V1_0_0_0, sarama.V1_1_0_0, sarama.V2_0_0_0, sarama.V2_1_0_0, sarama.V2_3_0_0, sarama.V2_8_0_0, sarama.V3_3_0_0, sarama.V3_9_0_0}
	for _, version := range versions {
		name := create("v"+version.String(), 1, nil)
		age := func(c *sarama.Config) { c.Version = version }
		var wanted []Record
		for _, codec := range order {
			if codec == "zstd" && !version.IsAtLeast(sarama.V2_1_0_0) || codec == "lz4" && !version.IsAtLeast(sarama.V0_10_0_0) {
				continue
			}
			batch := args.Records
			if !version.IsAtLeast(sarama.V0_11_0_0) {
				batch = without(batch, !version.IsAtLeast(sarama.V0_10_0_0))
			}
			to := producer(func(c *sarama.Config) { age(c); c.Producer.Compression = codecs[codec] })
			write(to, name, 0, batch)
			Must(to.Close())
			wanted = append(wanted, batch...)
		}
		got := rows(read(age, name, 0, 0, len(wanted)))
		if !version.IsAtLeast(sarama.V0_10_0_0) {
			got = without(got, true)
		}
		RequireSame(got, wanted)
	}
}

// without returns records as a message format before 0.11 has them: no headers, and before 0.10 no times.
func without(all []Record, times bool) (plain []Record) {
	for _, row := range all {
		row.Headers = nil
		if times {
			row.Time = time.Time{}.UnixMilli()
		}
		plain = append(plain, row)
	}
	return plain
}

func everyOffset() {
	name := create("offsets", 1, map[string]string{"segment.bytes": "4000"})
	wanted := Numbers(100)
	for i, codec := range order {
		to := producer(compressed(codec))
		write(to, name, 0, wanted[i*20:i*20+20])
		Must(to.Close())
	}
	came := make([]chan *sarama.ConsumerMessage, len(wanted)) // this client begins at a new offset only every 100 ms
	for at := range wanted {
		came[at] = make(chan *sarama.ConsumerMessage, 1)
		go func() { came[at] <- read(nil, name, 0, int64(at), 1)[0] }()
	}
	for at := range wanted {
		found := <-came[at]
		Require(found.Offset == int64(at), "from offset %d came %d", at, found.Offset)
		RequireSame(rows([]*sarama.ConsumerMessage{found}), wanted[at:at+1])
	}
}

func nothingAtTheEnd() {
	name := create("empty", 1, nil)
	consumer, err := sarama.NewConsumer([]string{args.Address}, config(nil))
	Must(err)
	defer consumer.Close()
	from, err := consumer.ConsumePartition(name, 0, sarama.OffsetOldest)
	Must(err)
	defer from.Close()
	select {
	case message := <-from.Messages():
		Require(false, "of an empty topic came %v", message)
	case err := <-from.Errors():
		Must(err)
	case <-time.After(300 * time.Millisecond):
	}
}

func outOfRange() {
	name := create("range", 1, nil)
	to := producer(nil)
	write(to, name, 0, Numbers(3))
	Must(to.Close())
	consumer, err := sarama.NewConsumer([]string{args.Address}, config(nil))
	Must(err)
	defer consumer.Close()
	_, err = consumer.ConsumePartition(name, 0, 50)
	Require(errors.Is(err, sarama.ErrOffsetOutOfRange), "offset 50 of 3: %v", err)
}

func largeBatches() {
	name := create("large", 1, nil)
	large := func(c *sarama.Config) { c.Producer.MaxMessageBytes, c.Consumer.Fetch.Default = 1048576, 4<<20 }
	var wanted []Record
	for i, codec := range order {
		to := producer(func(c *sarama.Config) {
			large(c)
			c.Producer.Compression = codecs[codec]
			c.Producer.Flush.Bytes = 1 << 20
		})
		one := []Record{{Value: Noise(900*1024, uint64(i)), Time: Base}}
		write(to, name, 0, one)
		var many []Record
		for j := 0; j < 900; j++ {
			many = append(many, Record{Key: []byte(fmt.Sprint(j)), Value: Noise(1000, uint64(i*1000+j)), Time: Base + int64(j)})
		}
		write(to, name, 0, many)
		wanted = append(append(wanted, one...), many...)
		Must(to.Close())
	}
	RequireSame(rows(read(large, name, 0, 0, len(wanted))), wanted)
}

func tooLarge() {
	name := create("small", 1, map[string]string{"max.message.bytes": "2000"})
	to := producer(nil)
	defer to.Close()
	_, _, err := to.SendMessage(toClient(name, 0, Record{Value: Noise(5000, 1)}))
	Require(errors.Is(err, sarama.ErrMessageSizeTooLarge), "5000 bytes where 2000 may be: %v", err)
	write(to, name, 0, Numbers(1))
	RequireSame(rows(read(nil, name, 0, 0, 1)), Numbers(1))
}

func appendTime() {
	name := create("append-time", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	for _, codec := range order {
		to := producer(compressed(codec))
		before := time.Now().UnixMilli()
		sent := write(to, name, 0, Numbers(5))
		after := time.Now().UnixMilli()
		Must(to.Close())
		for _, message := range read(nil, name, 0, sent[0].Offset, 5) {
			at := message.Timestamp.UnixMilli()
			Require(before <= at && at <= after, "%s: time %d, sent within %d and %d", codec, at, before, after)
		}
	}
}

func offsetsForTimes() {
	name := create("times", 1, nil)
	to := producer(compressed("lz4"))
	write(to, name, 0, Numbers(50))
	Must(to.Close())
	for _, version := range []sarama.KafkaVersion{sarama.V0_10_1_0, sarama.V2_1_0_0, sarama.MaxVersion} {
		client, err := sarama.NewClient([]string{args.Address}, config(func(c *sarama.Config) { c.Version = version }))
		Must(err)
		for _, row := range []struct{ when, offset int64 }{{sarama.OffsetOldest, 0}, {sarama.OffsetNewest, 50}, {Base - 5, 0}, {Base, 0},
			{Base + 1, 1}, {Base + 250, 25}, {Base + 490, 49}, {Base + 491, -1}} {
			found, err := client.GetOffset(name, 0, row.when)
			Must(err)
			Require(found == row.offset, "%s: from time %d on: %d", version, row.when, found)
		}
		Must(client.Close())
	}
	Must(admin.DeleteRecords(name, map[int32]int64{0: 20}))
	client, err := sarama.NewClient([]string{args.Address}, config(nil))
	Must(err)
	defer client.Close()
	first, err := client.GetOffset(name, 0, sarama.OffsetOldest)
	Must(err)
	Require(first == 20, "after DeleteRecords the first offset is %d", first)
}

func idempotent() {
	name := create("idempotent", 3, nil)
	to, err := sarama.NewAsyncProducer([]string{args.Address}, config(func(c *sarama.Config) {
		c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
		c.Producer.Flush.MaxMessages = 40
	}))
	Must(err)
	go func() {
		for i := 0; i < 3000; i++ {
			to.Input() <- &sarama.ProducerMessage{Topic: name, Partition: int32(i % 3), Value: sarama.StringEncoder(fmt.Sprint(i / 3))}
		}
	}()
	for i := 0; i < 3000; i++ {
		select {
		case <-to.Successes():
		case failure := <-to.Errors():
			Must(failure)
		}
	}
	Must(to.Close())
	for partition := int32(0); partition < 3; partition++ {
		for i, message := range read(nil, name, partition, 0, 1000) {
			Require(string(message.Value) == fmt.Sprint(i) && message.Offset == int64(i), "record %d is %q", i, message.Value)
		}
	}
}

func unknownTopic() {
	name := topic("nowhere")
	details, err := admin.DescribeTopics([]string{name})
	Must(err)
	Require(errors.Is(details[0].Err, sarama.ErrUnknownTopicOrPartition), "metadata of no topic: %v", details[0].Err)
	to := producer(nil)
	defer to.Close()
	_, _, err = to.SendMessage(&sarama.ProducerMessage{Topic: name, Value: sarama.StringEncoder("x")})
	Require(errors.Is(err, sarama.ErrUnknownTopicOrPartition), "a record to no topic: %v", err)
	all, err := admin.ListTopics()
	Must(err)
	_, is := all[name]
	Require(!is, "asking made the topic")
}

func expansion() {
	name := create("grows", 1, nil)
	client, err := sarama.NewClient([]string{args.Address}, config(nil))
	Must(err)
	defer client.Close()
	to, err := sarama.NewSyncProducerFromClient(client)
	Must(err)
	write(to, name, 0, Numbers(1))
	Must(admin.CreatePartitions(name, 3, nil, false))
	WaitFor("the producer sees partition 2 by itself", func() bool {
		partitions, err := client.Partitions(name)
		return err == nil && len(partitions) == 3
	})
	write(to, name, 2, Numbers(1))
	RequireSame(rows(read(nil, name, 2, 0, 1)), Numbers(1))
	var refused *sarama.TopicPartitionError
	err = admin.CreatePartitions(name, 2, nil, false)
	Require(errors.As(err, &refused) && refused.Err == sarama.ErrInvalidPartitions, "three partitions made two: %v", err)
}

func administration() {
	name := create("admin", 2, map[string]string{"segment.bytes": "54321"})
	creates := func(to string, replicas int16, key string) error {
		value := "1"
		detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: replicas}
		if key != "" {
			detail.ConfigEntries = map[string]*string{key: &value}
		}
		return admin.CreateTopic(to, detail, false)
	}
	err := creates(name, 1, "")
	Require(errors.Is(err, sarama.ErrTopicAlreadyExists), "created twice: %v", err)
	err = creates(name+"x", 1, "no.such")
	Require(errors.Is(err, sarama.ErrInvalidConfig), "created with an unknown setting: %v", err)
	err = creates(name+"x", 5, "")
	Require(errors.Is(err, sarama.ErrInvalidReplicationFactor), "created with five replicas: %v", err)
	short := "777"
	Must(admin.IncrementalAlterConfig(sarama.TopicResource, name, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &short}}, false))
	entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: name})
	Must(err)
	found := map[string]string{}
	for _, entry := range entries {
		found[entry.Name] = entry.Value
	}
	Require(found["segment.bytes"] == "54321" && found["retention.ms"] == "777", "settings are %v", found)
	Must(admin.AlterConfig(sarama.TopicResource, name, map[string]*string{"retention.ms": &short}, false))
	brokers, controller, err := admin.DescribeCluster()
	Must(err)
	Require(len(brokers) == 1 && controller == brokers[0].ID(), "the cluster is %v led by %d", brokers, controller)
	dirs, err := admin.DescribeLogDirs([]int32{controller})
	Must(err)
	Require(len(dirs[controller]) == 1 && dirs[controller][0].ErrorCode == sarama.ErrNoError, "log directories are %v", dirs)
	Must(admin.DeleteTopic(name))
	WaitFor("the topic is gone", func() bool {
		details, err := admin.DescribeTopics([]string{name})
		return err == nil && errors.Is(details[0].Err, sarama.ErrUnknownTopicOrPartition)
	})
}

func main() {
	Run([]Case{
		{"topics are created, configured, described and deleted, and refused as Kafka refuses", administration},
		{"records come back as they were with every codec and acks", everyCodecAndAcks},
		{"clients of every age since 0.8.2 write and read their message formats", oldVersions},
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
