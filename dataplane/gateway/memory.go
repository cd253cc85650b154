package gateway

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// memoryFloor is how much memory of Go's own the process may take before its garbage is collected harder than usual: with
// the program itself it stays under 200 MB while the body budget is full.
const memoryFloor = 104 << 20

// memoryEvery is how often the limit is moved.
const memoryEvery = time.Second

// liveHeap is the memory that the last collection found in use.
const liveHeap = "/gc/heap/live:bytes"

// TameMemory keeps large bodies from doubling the process: their garbage is collected before the heap grows by a quarter. It
// does nothing where GOMEMLIMIT or GOGC say what is wanted. It sets what is the process's, so only a job that has a process
// to itself calls it. It returns when ctx ends.
func TameMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	sample := []metrics.Sample{{Name: liveHeap}}
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for {
		metrics.Read(sample)
		debug.SetMemoryLimit(memoryLimit(sample[0].Value))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// memoryLimit is the limit for a heap: a quarter more, so that a process that really needs much is not strangled.
func memoryLimit(live metrics.Value) int64 {
	if live.Kind() != metrics.KindUint64 {
		return memoryFloor
	}
	return max(memoryFloor, int64(min(live.Uint64(), 1<<50))*5/4)
}
