package admit

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// Call is the call of a script that an admission makes, for whoever measures the script without the client.
type Call struct {
	Script     *rueidis.Lua
	Keys, Args []string
}

// Prepare answers the call that Admit would make for a request on an account that this process uses already. For another request
// id, Keys[0] and Args[0] change.
func (r *Redis) Prepare(ctx context.Context, q Request) (call Call, err error) {
	if err := q.check(); err != nil {
		return call, fmt.Errorf("preparing an admission: %w", err)
	}
	err = r.do(ctx, "preparing an admission", func(ctx context.Context, c rueidis.Client) error {
		epoch, err := r.epoch.now(ctx, c)
		if err != nil {
			return err
		}
		var m membership
		if r.owner != nil {
			if m, err = r.member(ctx, c, q.Account); err != nil {
				return err
			}
		}
		call = Call{Script: r.admitScript, Keys: admitKeys(q), Args: r.arguments(q, m, epoch, false)}
		return nil
	})
	return call, err
}
