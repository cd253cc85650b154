package admit

import (
	"strings"
	"testing"
	"time"
)

// photo is an older copy of a store, as a backup or a replica that lags has it.
type photo []photoKey

type photoKey struct {
	name, kind string
	value      string
	hash       map[string]string
	set        []string
	zset       map[string]string
	ttl        int64 // ms; 0: none
}

// photo takes a copy of all keys that begin with one of the prefixes.
func (s *store) photo(prefixes ...string) (p photo) {
	s.tb.Helper()
	keys, err := s.raw("KEYS", "*").AsStrSlice()
	must(s.tb, err)
	for _, name := range keys {
		if !begins(name, prefixes) {
			continue
		}
		k := photoKey{name: name, zset: map[string]string{}, ttl: max(0, s.count("PTTL", name))}
		k.kind, err = s.raw("TYPE", name).ToString()
		must(s.tb, err)
		switch k.kind {
		case "string":
			k.value, err = s.raw("GET", name).ToString()
		case "hash":
			k.hash, err = s.raw("HGETALL", name).AsStrMap()
		case "set":
			k.set, err = s.raw("SMEMBERS", name).AsStrSlice()
		case "zset":
			k.set, err = s.raw("ZRANGE", name, "0", "-1").AsStrSlice()
			for _, m := range k.set {
				k.zset[m], err = s.raw("ZSCORE", name, m).ToString()
			}
		}
		must(s.tb, err)
		p = append(p, k)
	}
	return p
}

func begins(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return len(prefixes) == 0
}

// setTo takes away all keys that begin with one of the prefixes and puts back the copy's; what it had with a life lives on.
func (s *store) setTo(p photo, prefixes ...string) {
	s.tb.Helper()
	keys, err := s.raw("KEYS", "*").AsStrSlice()
	must(s.tb, err)
	for _, name := range keys {
		if begins(name, prefixes) {
			must(s.tb, s.raw("DEL", name).Error())
		}
	}
	for _, k := range p {
		switch k.kind {
		case "string":
			err = s.raw("SET", k.name, k.value).Error()
		case "hash":
			args := []string{"HSET", k.name}
			for f, v := range k.hash {
				args = append(args, f, v)
			}
			err = s.raw(args...).Error()
		case "set":
			err = s.raw(append([]string{"SADD", k.name}, k.set...)...).Error()
		case "zset":
			for _, m := range k.set {
				must(s.tb, s.raw("ZADD", k.name, k.zset[m], m).Error())
			}
		}
		must(s.tb, err)
		if k.ttl > 0 {
			must(s.tb, s.raw("PEXPIRE", k.name, decimal(k.ttl)).Error())
		}
	}
}

func TestPhoto(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, _ *store) {
		a.load(100)
		a.want(request(5), Admitted)
		p, before := a.photo(), a.count("DBSIZE")
		a.want(request(6), Admitted)
		a.setTo(p)
		same(t, "held", a.held(), "5")
		same(t, "keys", a.count("DBSIZE"), before)
		if ttl := a.count("PTTL", accountKey("ns/acme")); ttl < int64(time.Hour/time.Millisecond) {
			t.Errorf("the copy lives %d ms", ttl)
		}
		a.want(request(96), InsufficientCredits)
	})
}
