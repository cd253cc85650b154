package admit

import "github.com/layers-dev/layers/dataplane/snapshot"

// admitKeys are those of admit.lua: what a request does not need is not sent.
func admitKeys(q Request) []string {
	keys := make([]string, 0, 8)
	keys = append(keys, requestKey(q.Account, q.ID), stateKey(q.Account, q.KeyDigest), accountKey(q.Account), holdsKey(q.Account),
		runningKey(q.Account), expiryKey(q.Account))
	if len(q.Rates) > 0 {
		keys = append(keys, arriveKey(q.Account, q.Counted()))
	}
	if q.Cap != nil {
		keys = append(keys, spentKey(q.Account, q.Counted()))
	}
	return keys
}

// arguments are those of admit.lua.
func (r *Redis) arguments(q Request, m membership, epoch int64, preview bool) []string {
	flags := [...]byte{'0', '0', '0', '0', '0', '0', '0', '0', '0'}
	for i, set := range [len(flags)]bool{
		q.Unmetered, preview, m.joined, q.Shadow, q.Cap != nil, q.LedgerAway, q.Overdraft != 0, q.MaxConcurrent > 0, len(q.Record) > 0,
	} {
		if set {
			flags[i] = '1'
		}
	}
	args := make([]string, 0, 16+4*len(q.Rates))
	args = append(args, q.ID, q.Counted(), decimal(q.KeyVersion), decimal(epoch), string(flags[:]), m.owner,
		decimal(q.HoldFor.Microseconds()), decimal(q.Hold), decimal(q.Floor), decimal(q.Expected), decimal(q.Healthy))
	if q.Overdraft != 0 {
		args = append(args, decimal(q.Overdraft))
	}
	if q.MaxConcurrent > 0 {
		args = append(args, decimal(q.MaxConcurrent))
	}
	if len(q.Record) > 0 {
		args = append(args, string(q.Record))
	}
	if q.Cap != nil {
		args = append(args, decimal(q.Cap.Amount), q.Cap.Period)
	}
	for _, rate := range q.Rates {
		// A request larger than the whole room takes all of it, or it could never pass.
		burst, most := rate.Burst, rate.Burst
		if rate.Unit == snapshot.RequestsPerDay {
			burst, most = 0, rate.Value
		}
		args = append(args, string(rate.Unit), decimal(rate.Value), decimal(burst), decimal(min(rate.Cost, most)))
	}
	return args
}
