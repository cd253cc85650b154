package admit

// Adopt notes a hold that another store admitted while this one was away. It is this process's from here on: Sync writes it, and
// the next admission on its account has it written first. Without Options.Owner, or with an amount that no script could
// count, nothing is noted. See Adopter.
func (r *Redis) Adopt(h Adopted) {
	if r.owner == nil || h.RequestID == "" || h.Account == "" || h.KeyDigest == "" || h.Amount < 0 || h.Amount > MaxNano || len(h.Record) > MaxRecord {
		return
	}
	r.owner.adopt(h)
}

// adopt puts a hold into the book. What is known of the request already stays, it was adopted before, or this store admitted
// it; but a hold that runs grows to what another store has extended it to.
func (o *owner) adopt(h Adopted) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.of(h.Account)
	own := a.holds[h.RequestID]
	if own == nil {
		own = &ownHold{}
		a.holds[h.RequestID] = own
	}
	if own.known {
		if !own.finished && h.Amount > own.amount {
			own.amount, a.lost, a.rounds = h.Amount, true, syncRounds
		}
		return
	}
	own.known, own.amount, own.digest, own.record = true, h.Amount, h.KeyDigest, string(h.Record)
	own.at, own.until = h.At.UnixMicro(), h.Until.UnixMicro()
	a.lost, a.rounds = true, syncRounds
}

// Forget ends a hold of this process without asking the store, whose request is settled: Sync takes it away there, and has the
// account read again, which knows of the settlement. It is for whoever cannot Confirm it any more.
func (r *Redis) Forget(account, requestID string) {
	if r.owner != nil {
		r.owner.forget([]holdID{{account, requestID}})
	}
}
