package forecast

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// Redis is a Store: a hash for each series, a field for each replica (of a version that admit takes, alone or a cluster). Losing it costs
// nothing but estimates.
type Redis struct {
	// Client answers the driver's client, made when it is first needed. It may be shared with others.
	Client func(context.Context) (rueidis.Client, error)
}

// seriesKey names the hash of a series. A key's digest and a model's name have no space.
func seriesKey(s Series) string { return "lyr:forecast:{" + s.Key + " " + s.Model + "}" }

// Exchange writes and reads in one round trip to each node. See Store.
func (r Redis) Exchange(ctx context.Context, replica string, questions []Question, keep time.Duration) ([]map[string]string, error) {
	c, err := r.Client(ctx)
	if err != nil {
		return nil, fmt.Errorf("exchanging forecasts in redis: %w", err)
	}
	cmds := make([]rueidis.Completed, 0, 3*len(questions))
	for _, q := range questions {
		key := seriesKey(q.Series)
		if q.Record != "" {
			cmds = append(cmds, c.B().Hset().Key(key).FieldValue().FieldValue(replica, q.Record).Build(),
				c.B().Pexpire().Key(key).Milliseconds(max(1, keep.Milliseconds())).Build())
		}
		cmds = append(cmds, c.B().Hgetall().Key(key).Build())
	}
	answers := c.DoMulti(ctx, cmds...)
	out := make([]map[string]string, 0, len(questions))
	for _, q := range questions {
		n := 1
		if q.Record != "" {
			n = 3
		}
		for _, a := range answers[:n-1] {
			if err := a.Error(); err != nil {
				return nil, fmt.Errorf("writing a forecast to redis: %w", err)
			}
		}
		fields, err := answers[n-1].AsStrMap()
		if err != nil {
			return nil, fmt.Errorf("reading a forecast from redis: %w", err)
		}
		out, answers = append(out, fields), answers[n:]
	}
	return out, nil
}

// Forget drops records of a series. See Store.
func (r Redis) Forget(ctx context.Context, s Series, replicas []string) error {
	c, err := r.Client(ctx)
	if err == nil {
		err = c.Do(ctx, c.B().Hdel().Key(seriesKey(s)).Field(replicas...).Build()).Error()
	}
	if err != nil {
		return fmt.Errorf("dropping forecasts in redis: %w", err)
	}
	return nil
}
