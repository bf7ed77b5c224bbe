// Command stream writes 0, 1, 2, … to partition 0 of a topic with franz-go's idempotent producer until its standard input ends, and
// prints a line for each answer: the number and its offset, or the number and "-" with the error. Brokers may die under it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(os.Args[1], ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(2000), kgo.ProducerBatchMaxBytes(2000), kgo.UnknownTopicRetries(-1),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.ProduceRequestTimeout(10*time.Second), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		panic(err)
	}
	var ended atomic.Bool
	go func() { io.Copy(io.Discard, os.Stdin); ended.Store(true) }()
	var printing sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	for i := 0; !ended.Load(); i++ {
		value := []byte(strconv.Itoa(i))
		client.Produce(context.Background(), &kgo.Record{Topic: os.Args[2], Partition: 0, Value: value}, func(r *kgo.Record, err error) {
			printing.Lock()
			defer printing.Unlock()
			if err != nil {
				fmt.Fprintf(out, "%s - %v\n", r.Value, err)
			} else {
				fmt.Fprintf(out, "%s %d\n", r.Value, r.Offset)
			}
			out.Flush()
		})
		if i%20 == 0 {
			time.Sleep(time.Millisecond) // a stream of moderate speed, so that many requests meet each death
		}
	}
	if err := client.Flush(context.Background()); err != nil {
		panic(err)
	}
	client.Close()
}
