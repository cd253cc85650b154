package ledger

import "context"

// KeysBySource finds the live rows of one cluster: what a sweep compares with the objects that are declared.
func (s *store) KeysBySource(ctx context.Context, source, clusterUID string) ([]Key, error) {
	const where = "source = $1 AND cluster_uid = $2 AND state <> 'revoked' ORDER BY object_name, created_at, id"
	keys, err := selectKeys(ctx, s.db, where, source, clusterUID)
	return keys, wrap("listing keys", err)
}
