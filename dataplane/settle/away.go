package settle

// Away says that the ledger cannot be reached: a batch did not pass, the store did not say that it is well, and nothing has
// passed since. What waits is tried again all the while, so that it ends with the outage. One row that the ledger refuses
// while it is well does not count.
func (s *Settler) Away() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away
}

func (s *Settler) setAway(away bool) {
	s.mu.Lock()
	changed := s.away != away
	s.away = away
	waiting := len(s.queue)
	s.mu.Unlock()
	switch {
	case changed && away:
		s.o.Log.Warn("Ledger cannot be reached, settlements wait", "waiting", waiting)
	case changed:
		s.o.Log.Info("Ledger is back", "waiting", waiting)
	}
}
