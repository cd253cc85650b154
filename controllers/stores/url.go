package stores

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// defaultRedisPort is that of a URL that names none; pgx knows PostgreSQL's.
const defaultRedisPort = 6379

// Ports are the TCP ports of the gateway's stores, sorted, each once; those of a URL that cannot be read are left out.
// Errors are a *Problem, or the API server's.
func (c *Cache) Ports(ctx context.Context, gw *v1alpha1.AIGateway) ([]int32, error) {
	var out []int32
	if s := gw.Spec.Redis; s != nil {
		text, err := c.url(ctx, gw.Namespace, s.URLSecretRef)
		if err != nil {
			return nil, err
		}
		out = append(out, redisPorts(text)...)
	}
	if s := gw.Spec.Ledger; s != nil {
		text, err := c.url(ctx, gw.Namespace, s.URLSecretRef)
		if err != nil {
			return nil, err
		}
		out = append(out, postgresPorts(text)...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func redisPorts(text string) []int32 {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil
	}
	if u.Port() == "" {
		return []int32{defaultRedisPort}
	}
	return port(u.Port())
}

// postgresPorts asks pgx, which knows of several hosts in one URL.
func postgresPorts(text string) []int32 {
	config := postgres(text)
	if config == nil {
		return nil
	}
	out := []int32{int32(config.Port)}
	for _, f := range config.Fallbacks {
		out = append(out, int32(f.Port))
	}
	return out
}

func port(text string) []int32 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil
	}
	return []int32{int32(n)}
}

func postgres(text string) *pgconn.Config {
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return nil
	}
	config, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil
	}
	return config
}

// database says which database a URL means, without its password or user: what a migration is for. Of a URL that is no
// database's it is the scheme: the migration will say what is wrong.
func database(text string) string {
	if path, ok := strings.CutPrefix(text, "sqlite:"); ok {
		return path
	}
	config := postgres(text)
	if config == nil {
		scheme, _, _ := strings.Cut(text, ":")
		return fmt.Sprintf("unknown %.16q", scheme)
	}
	hosts := []string{net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))))
	}
	slices.Sort(hosts)
	return strings.Join(slices.Compact(hosts), ",") + "/" + config.Database
}
