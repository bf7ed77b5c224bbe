// Command reader reads partition 0 of a topic from its beginning with franz-go until its standard input ends, and prints the value and
// the offset of each record. Brokers may die under it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(os.Args[1], ",")...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{os.Args[2]: {0: kgo.NewOffset().At(0)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	if err != nil {
		panic(err)
	}
	running, stop := context.WithCancel(context.Background())
	go func() { io.Copy(io.Discard, os.Stdin); stop() }()
	out := bufio.NewWriter(os.Stdout)
	for running.Err() == nil {
		client.PollFetches(running).EachRecord(func(r *kgo.Record) {
			fmt.Fprintf(out, "%s %d\n", r.Value, r.Offset)
		})
		out.Flush()
	}
	client.Close()
}
