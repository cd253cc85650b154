package admit

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// A cluster answers in parts: while one node hangs, the others are well. Nodes have runs of slots, so that a run of slots that is
// short is, but for the few at the ends, a node's. Which one is not asked: who knows the nodes would have to ask them, just when
// one of them does not answer.
const (
	slots = 16384
	// clusterParts is into how many runs of slots a cluster is divided.
	clusterParts = 128
	partSlots    = slots / clusterParts
	// probeLife is how long the mark of a Probe stays, in milliseconds.
	probeLife = 1000
)

// theWhole is what is needed of a store that is no cluster.
var theWhole = []int{0}

// slot is that of a hash tag in a cluster: CRC16 (XMODEM), by the specification of Redis Cluster.
func slot(tag string) int {
	crc := uint16(0)
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slots
}

// hashTag is what of a key decides on its slot.
func hashTag(key string) string {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}

func partOf(tag string) int { return slot(tag) / partSlots }

// ends are tags in the first and the last slot of each part: a part may be of two nodes.
var ends = sync.OnceValue(func() [][2]string {
	tags, missing := make([][2]string, clusterParts), 2*clusterParts
	for i := 0; missing > 0; i++ {
		tag := strconv.Itoa(i)
		at := slot(tag)
		for end, of := range [2]int{0, partSlots - 1} {
			if to := &tags[at/partSlots][end]; at%partSlots == of && *to == "" {
				*to = tag
				missing--
			}
		}
	}
	return tags
})

// Split is into how many parts the store is divided that may be away each by itself: one, where it is no cluster or was not reached yet.
func (r *Redis) Split() int {
	if r.cluster.Load() {
		return clusterParts
	}
	return 1
}

// Part is where a key is, less than Split.
func (r *Redis) Part(key string) int {
	if r.cluster.Load() {
		return partOf(hashTag(key))
	}
	return 0
}

// Parts are what a call about an account needs: the account's own part, which is the first, and that of the leases where one is to be
// renewed first, or the account to be listed.
func (r *Redis) Parts(account string) []int {
	if !r.cluster.Load() {
		return theWhole
	}
	own, leases := partOf(account), partOf(hashTag(leasesKey))
	if own == leases || r.owner != nil && r.epoch.recent() && r.owner.listed(account) {
		return []int{own}
	}
	return []int{own, leases}
}

// listed says whether an account is on the list of a lease that lives.
func (o *owner) listed(account string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.accounts[account]
	return a != nil && a.joined == o.name && o.clock().Before(o.until)
}

// Probe answers whether a part of the store is there and takes what is written: more than a PING, which a store that may not be
// written answers too.
func (r *Redis) Probe(ctx context.Context, part int) error {
	tags := []string{"probe"}
	if r.cluster.Load() {
		tags = ends()[part%clusterParts][:]
	}
	return r.do(ctx, "probing", func(ctx context.Context, c rueidis.Client) error {
		commands := make([]rueidis.Completed, len(tags))
		for i, tag := range tags {
			commands[i] = c.B().Set().Key("lyr:{" + tag + "}:probe").Value("").PxMilliseconds(probeLife).Build()
		}
		for _, said := range c.DoMulti(ctx, commands...) {
			if err := said.Error(); err != nil {
				return err
			}
		}
		return nil
	})
}

// SyncPart is Sync for the accounts of one part, which needs no other part while the lease lives. Of others' holds it says nothing.
func (r *Redis) SyncPart(ctx context.Context, part int) error {
	if r.owner == nil || !r.cluster.Load() {
		return r.Sync(ctx)
	}
	r.owner.mu.Lock()
	var accounts []string
	for name, a := range r.owner.accounts {
		if (len(a.holds) > 0 || a.rounds > 0) && partOf(name) == part {
			accounts = append(accounts, name)
		}
	}
	r.owner.mu.Unlock()
	slices.Sort(accounts)
	return r.syncAll(accounts, func(account string) error { return r.syncAccount(ctx, account, nil) })
}

// recent says whether the epoch was read so lately that an admission does not read it.
func (e *epoch) recent() bool {
	a := e.fresh.Load()
	return a != nil && e.clock().Sub(a.at) < max(beatEvery, time.Duration(e.patience.Load()))
}
