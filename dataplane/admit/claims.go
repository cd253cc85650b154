package admit

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

var (
	//go:embed lua/claim.lua
	claimLua string
	//go:embed lua/giveup.lua
	giveUpLua string
)

// Safe to repeat: who has a claim is answered with it again, and what is given up is not there.
var (
	claimScript  = rueidis.NewLuaScriptRetryable(claimLua)
	giveUpScript = rueidis.NewLuaScriptRetryable(giveUpLua)
)

func claimKey(account, name string) string { return "lyr:{" + account + "}:claim:" + name }

// Claim answers the request that has a name of an account. See Claims.
func (r *Redis) Claim(ctx context.Context, account, name, requestID string, keep time.Duration) (holder string, err error) {
	if account == "" || name == "" || requestID == "" || keep < time.Millisecond {
		return "", fmt.Errorf("claiming a name for %v: account, name and request id must be there: %w", keep, ErrRange)
	}
	err = r.do(ctx, "claiming a name", func(ctx context.Context, c rueidis.Client) (err error) {
		holder, err = claimScript.Exec(ctx, c, []string{claimKey(account, name)}, []string{requestID, decimal(keep.Milliseconds())}).ToString()
		return err
	})
	return holder, err
}

// GiveUp gives up a claim, if this request has it. See Claims.
func (r *Redis) GiveUp(ctx context.Context, account, name, requestID string) error {
	if account == "" || name == "" || requestID == "" {
		return fmt.Errorf("giving up a name: account, name and request id must be there: %w", ErrRange)
	}
	return r.do(ctx, "giving up a name", func(ctx context.Context, c rueidis.Client) error {
		return giveUpScript.Exec(ctx, c, []string{claimKey(account, name)}, []string{requestID}).Error()
	})
}
