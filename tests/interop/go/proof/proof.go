// Package proof is what the Go clients' programs share: the records that the test hands over, and the running of named cases.
//
// A program is started with three arguments: the broker's address, the file of records, and the word that its topics begin with.
// Each case prints one line; the test that started the program reads the topics again with another client.
package proof

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Record is one record as the test wants it stored; nil is null, an empty slice is empty.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Time       int64
}

// Header is one header of a record.
type Header struct {
	Name  string
	Value []byte
}

// Base is the timestamp of the first record of the cases about times.
const Base = int64(1_650_000_000_000)

// Args are the program's arguments.
type Args struct {
	Address, Prefix string
	Records         []Record
}

func unhex(text *string) []byte {
	if text == nil {
		return nil
	}
	raw, err := hex.DecodeString(*text)
	Must(err)
	return raw
}

// Load reads the arguments and the file of records.
func Load() Args {
	raw, err := os.ReadFile(os.Args[2])
	Must(err)
	var rows []struct {
		Key, Value *string
		Headers    []struct {
			Name  string
			Value *string
		}
		Timestamp int64
	}
	Must(json.Unmarshal(raw, &rows))
	args := Args{Address: os.Args[1], Prefix: os.Args[3]}
	for _, row := range rows {
		record := Record{Key: unhex(row.Key), Value: unhex(row.Value), Time: row.Timestamp}
		for _, h := range row.Headers {
			record.Headers = append(record.Headers, Header{h.Name, unhex(h.Value)})
		}
		args.Records = append(args.Records, record)
	}
	return args
}

// Must ends the case that meets an error.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Require ends the case when what it says is not so.
func Require(holds bool, format string, values ...any) {
	if !holds {
		panic(fmt.Errorf(format, values...))
	}
}

// Same compares bytes, and null with empty as different.
func Same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// RequireSame compares what came back with what went in.
func RequireSame(got, want []Record) {
	Require(len(got) == len(want), "%d records came back of %d", len(got), len(want))
	for i := range want {
		g, w := got[i], want[i]
		Require(Same(g.Key, w.Key) && Same(g.Value, w.Value) && g.Time == w.Time && len(g.Headers) == len(w.Headers),
			"record %d is %.200v, not %.200v", i, g, w)
		for j := range w.Headers {
			Require(g.Headers[j].Name == w.Headers[j].Name && Same(g.Headers[j].Value, w.Headers[j].Value),
				"header %d of record %d is %v, not %v", j, i, g.Headers[j], w.Headers[j])
		}
	}
}

// Numbers are count small records, ten milliseconds apart.
func Numbers(count int) []Record {
	var rows []Record
	for i := 0; i < count; i++ {
		rows = append(rows, Record{Value: []byte(fmt.Sprintf("value %d", i)), Time: Base + int64(i)*10})
	}
	return rows
}

// Noise is a value that no codec makes smaller.
func Noise(size int, seed uint64) []byte {
	raw := make([]byte, size)
	for i := range raw {
		seed = seed*6364136223846793005 + 1442695040888963407
		raw[i] = byte(seed >> 56)
	}
	return raw
}

// Soon is a context that ends before the test's patience.
func Soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 20*time.Second)
}

// WaitFor asks until the answer is true.
func WaitFor(what string, ask func() bool) {
	end := time.Now().Add(20 * time.Second)
	for !ask() {
		Require(time.Now().Before(end), "not within 20 s: %s", what)
		time.Sleep(20 * time.Millisecond)
	}
}

// Case is one sentence and the function that proves it.
type Case struct {
	Name string
	Run  func()
}

// Run runs the cases and ends the program.
func Run(cases []Case) {
	failed := 0
	for _, c := range cases {
		if !passes(c) {
			failed++
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func passes(c Case) (passed bool) {
	started := time.Now()
	defer func() {
		verdict := "ok  "
		if why := recover(); why != nil {
			fmt.Printf("     %v\n", why)
			verdict, passed = "FAIL", false
		}
		fmt.Printf("%s %s (%.1f s)\n", verdict, c.Name, time.Since(started).Seconds())
	}()
	c.Run()
	return true
}
