package keys

import (
	"container/list"
	"sync"
)

// lru is a map of at most size entries; the one that was not used for longest goes first. Safe for concurrent use.
type lru[V any] struct {
	mu    sync.Mutex
	size  int
	order *list.List // of *entry[V], the last used in front
	at    map[string]*list.Element
}

type entry[V any] struct {
	key   string
	value V
}

func newLRU[V any](size int) *lru[V] {
	return &lru[V]{size: size, order: list.New(), at: map[string]*list.Element{}}
}

func (l *lru[V]) get(key string) (value V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.at[key]
	if !ok {
		return value, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*entry[V]).value, true
}

// put stores what change makes of the value that is there, and answers it.
func (l *lru[V]) put(key string, change func(old V, ok bool) V) V {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.at[key]; ok {
		l.order.MoveToFront(e)
		kept := e.Value.(*entry[V])
		kept.value = change(kept.value, true)
		return kept.value
	}
	var none V
	value := change(none, false)
	l.at[key] = l.order.PushFront(&entry[V]{key, value})
	if l.order.Len() > l.size {
		delete(l.at, l.order.Remove(l.order.Back()).(*entry[V]).key)
	}
	return value
}

func (l *lru[V]) remove(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.at[key]; ok {
		l.order.Remove(e)
		delete(l.at, key)
	}
}

func (l *lru[V]) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len()
}
