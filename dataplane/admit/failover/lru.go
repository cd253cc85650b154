package failover

import "container/list"

// lru is a map of at most size entries; the one that was not used for longest goes first. The caller locks it.
type lru[K comparable, V any] struct {
	size  int
	order *list.List // of *entry[K, V], the last used in front
	at    map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](size int) *lru[K, V] {
	return &lru[K, V]{size: size, order: list.New(), at: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(key K) (value V, ok bool) {
	e, ok := l.at[key]
	if !ok {
		return value, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

func (l *lru[K, V]) put(key K, value V) {
	if e, ok := l.at[key]; ok {
		e.Value.(*entry[K, V]).value = value
		l.order.MoveToFront(e)
		return
	}
	l.at[key] = l.order.PushFront(&entry[K, V]{key, value})
	if l.order.Len() > l.size {
		delete(l.at, l.order.Remove(l.order.Back()).(*entry[K, V]).key)
	}
}

func (l *lru[K, V]) remove(key K) {
	if e, ok := l.at[key]; ok {
		l.order.Remove(e)
		delete(l.at, key)
	}
}
