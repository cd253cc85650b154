-- Replicas of the version before go on settling while this runs and after it: tables are locked in the order in which they
-- lock them, and every new column has a default that says "not counted by them".
LOCK TABLE accounts, usage_logs, ledger_tx, ledger_entries, credit_grants IN ACCESS EXCLUSIVE MODE;

-- overdraft: how far below zero admission may let the balance go. held: the sum of the account's rows in holds. drawn_to: the
-- balance that the grants' remaining amounts stand for; another balance was left by a version that knows no draws. status: the
-- requests of a suspended account are refused; what it was served is charged, and money may be added.
ALTER TABLE accounts ADD COLUMN overdraft BIGINT NOT NULL DEFAULT 0 CHECK (overdraft >= 0);
ALTER TABLE accounts ADD COLUMN held BIGINT NOT NULL DEFAULT 0 CHECK (held >= 0);
ALTER TABLE accounts ADD COLUMN drawn_to BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN status TEXT NOT NULL DEFAULT 'Active' CHECK (status IN ('Active', 'Suspended'));

ALTER TABLE ledger_tx DROP CONSTRAINT ledger_tx_kind_check;
ALTER TABLE ledger_tx ADD CONSTRAINT ledger_tx_kind_check CHECK (kind <> '');
ALTER TABLE ledger_tx ADD COLUMN reverses TEXT REFERENCES ledger_tx (idem_key);
ALTER TABLE ledger_tx ADD COLUMN reason TEXT NOT NULL DEFAULT '';
CREATE INDEX ledger_tx_created_at ON ledger_tx (created_at);

-- remaining: what no draw has taken; NULL: granted by a version that knows no draws. pending: not yet effective, so that the
-- account does not have it. Lower priorities are drawn first. expires_at 0: never. live: something remains; indexes ask for it,
-- because it seldom changes, so that a draw need not touch them.
ALTER TABLE credit_grants DROP CONSTRAINT credit_grants_kind_check;
ALTER TABLE credit_grants ADD CONSTRAINT credit_grants_kind_check CHECK (kind <> '');
ALTER TABLE credit_grants ADD COLUMN remaining BIGINT CHECK (remaining >= 0 AND remaining <= amount);
ALTER TABLE credit_grants ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE credit_grants ADD COLUMN priority BIGINT NOT NULL DEFAULT 10;
ALTER TABLE credit_grants ADD COLUMN effective_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credit_grants ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credit_grants ADD COLUMN pending BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE credit_grants ADD COLUMN live BOOLEAN NOT NULL GENERATED ALWAYS AS (remaining IS NULL OR remaining > 0) STORED;
CREATE UNIQUE INDEX credit_grants_source ON credit_grants (source) WHERE source <> '';
CREATE INDEX credit_grants_live ON credit_grants (account) WHERE live;
CREATE INDEX credit_grants_expires_at ON credit_grants (expires_at) WHERE expires_at > 0 AND live AND NOT pending;
CREATE INDEX credit_grants_effective_at ON credit_grants (effective_at) WHERE pending;

-- Entries and draws are written in the transaction of what they name, which nothing may update or delete, and far more often
-- than anything else. To look each of those up again is dearer than to write it: `layers ledger check` does it instead.
ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_tx_fkey;
CREATE TABLE grant_draws (
  tx        TEXT NOT NULL, -- of ledger_tx
  grant_key TEXT NOT NULL, -- of credit_grants
  amount    BIGINT NOT NULL CHECK (amount > 0),
  PRIMARY KEY (tx, grant_key)
);
CREATE INDEX grant_draws_grant ON grant_draws (grant_key);
CREATE TRIGGER grant_draws_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON grant_draws
  FOR EACH STATEMENT EXECUTE FUNCTION layers_append_only();

-- Reservations that admission makes here while Redis cannot be reached. record is the settlement of a finished request, orphan
-- what to settle where nobody finishes it; both as JSON, empty: none. overdraft is what its request may go below zero.
CREATE TABLE holds (
  request_id TEXT PRIMARY KEY,
  account    TEXT NOT NULL REFERENCES accounts (id),
  amount     BIGINT NOT NULL CHECK (amount >= 0),
  owner      TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  finished   BOOLEAN NOT NULL DEFAULT FALSE,
  record     TEXT NOT NULL DEFAULT '',
  orphan     TEXT NOT NULL DEFAULT '',
  key_digest TEXT NOT NULL DEFAULT '',
  overdraft  BIGINT NOT NULL DEFAULT 0 CHECK (overdraft >= 0),
  created_at BIGINT NOT NULL
);
CREATE INDEX holds_owner ON holds (owner);
CREATE INDEX holds_expires_at ON holds (expires_at);
CREATE INDEX holds_account ON holds (account);

-- Which request has a name that its caller chose (Idempotency-Key), until when, while Redis cannot be reached.
CREATE TABLE claims (
  account    TEXT NOT NULL,
  name       TEXT NOT NULL,
  request_id TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (account, name)
);
CREATE INDEX claims_expires_at ON claims (expires_at);

CREATE TABLE price_versions (
  version    TEXT PRIMARY KEY,
  components TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TRIGGER price_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_versions
  FOR EACH STATEMENT EXECUTE FUNCTION layers_append_only();

-- day is the beginning of a day (UTC) in Unix seconds, by when requests finished.
CREATE TABLE usage_daily (
  day           BIGINT NOT NULL,
  account       TEXT NOT NULL,
  key_id        TEXT NOT NULL,
  model         TEXT NOT NULL,
  provider      TEXT NOT NULL,
  requests      BIGINT NOT NULL,
  input_tokens  BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cost          BIGINT NOT NULL,
  charged       BIGINT NOT NULL,
  provider_cost BIGINT NOT NULL,
  PRIMARY KEY (account, day, key_id, model, provider)
);
CREATE INDEX usage_daily_day ON usage_daily (day);

-- Rows that every settlement changes find room for their next version beside them.
ALTER TABLE accounts SET (fillfactor = 60);
ALTER TABLE credit_grants SET (fillfactor = 60);
ALTER TABLE key_windows SET (fillfactor = 60);
ALTER TABLE usage_daily SET (fillfactor = 60);

-- usage_logs by month of finished_at. A row is once for each request because ledger_tx has the request's settlement once.
-- provider_cost is what the provider asks; orphan_charge and floor are of requests that nobody finished; usage is the whole
-- usage as JSON; rolled_daily tells rows that are counted in usage_daily. provider_price is the version of what the provider
-- asks, empty: price_version; disconnect is how the stream of a client that left ended (cancelled, drained).
ALTER TABLE usage_logs RENAME TO usage_logs_0003;
ALTER INDEX usage_logs_pkey RENAME TO usage_logs_0003_pkey;
CREATE TABLE usage_logs (
  request_id            TEXT NOT NULL,
  account               TEXT NOT NULL,
  key_id                TEXT NOT NULL,
  model                 TEXT NOT NULL,
  provider              TEXT NOT NULL,
  backend               TEXT NOT NULL,
  upstream_id           TEXT NOT NULL,
  input_tokens          BIGINT NOT NULL,
  cache_read_tokens     BIGINT NOT NULL,
  cache_write_tokens    BIGINT NOT NULL,
  cache_write_1h_tokens BIGINT NOT NULL DEFAULT 0,
  output_tokens         BIGINT NOT NULL,
  reasoning_tokens      BIGINT NOT NULL,
  searches              BIGINT NOT NULL DEFAULT 0,
  lines                 TEXT NOT NULL,
  price_version         TEXT NOT NULL,
  cost                  BIGINT NOT NULL,
  charged               BIGINT NOT NULL,
  held                  BIGINT NOT NULL,
  evidence              TEXT NOT NULL CHECK (evidence IN ('reported', 'estimated', 'free', 'orphan')),
  status                BIGINT NOT NULL,
  stream                BOOLEAN NOT NULL,
  started_at            BIGINT NOT NULL,
  finished_at           BIGINT NOT NULL,
  rolled_up             BOOLEAN NOT NULL DEFAULT FALSE,
  provider_cost         BIGINT NOT NULL DEFAULT 0,
  orphan_charge         TEXT NOT NULL DEFAULT '',
  floor                 BIGINT NOT NULL DEFAULT 0,
  usage                 TEXT NOT NULL DEFAULT '',
  rolled_daily          BOOLEAN NOT NULL DEFAULT FALSE,
  provider_price        TEXT NOT NULL DEFAULT '',
  disconnect            TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (request_id, finished_at)
) PARTITION BY RANGE (finished_at);
CREATE INDEX usage_logs_account ON usage_logs (account, finished_at);
CREATE TABLE usage_logs_default PARTITION OF usage_logs DEFAULT;

-- Makes the partitions of so many months from the one of an instant (microseconds) on, and answers how many were missing. It
-- runs with the rights of whoever migrated, because gateways have none to make tables. Rows that came before their month
-- had a partition move into it.
CREATE FUNCTION layers_usage_partitions(since BIGINT, months INTEGER) RETURNS INTEGER
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  home TEXT := (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'usage_logs'::regclass);
  first TIMESTAMP := date_trunc('month', TIMESTAMP 'epoch' + since / 1000000 * INTERVAL '1 second');
  month TIMESTAMP;
  low BIGINT;
  high BIGINT;
  part TEXT;
  made INTEGER := 0;
BEGIN
  IF months NOT BETWEEN 1 AND 120 THEN
    RAISE EXCEPTION 'partitions of % months', months;
  END IF;
  PERFORM pg_advisory_xact_lock(119165904319091);
  FOR i IN 0 .. months - 1 LOOP
    month := first + i * INTERVAL '1 month';
    part := 'usage_logs_' || to_char(month, 'YYYY_MM');
    low := CAST(EXTRACT(EPOCH FROM month) AS BIGINT) * 1000000;
    high := CAST(EXTRACT(EPOCH FROM month + INTERVAL '1 month') AS BIGINT) * 1000000;
    CONTINUE WHEN to_regclass(format('%I.%I', home, part)) IS NOT NULL;
    EXECUTE format('LOCK TABLE %I.usage_logs_default IN ACCESS EXCLUSIVE MODE', home);
    EXECUTE format('CREATE TABLE %I.%I (LIKE %I.usage_logs INCLUDING ALL)', home, part, home);
    EXECUTE format('WITH moved AS (DELETE FROM %I.usage_logs_default WHERE finished_at >= %s AND finished_at < %s RETURNING *) '
      'INSERT INTO %I.%I SELECT * FROM moved', home, low, high, home, part);
    EXECUTE format('ALTER TABLE %I.usage_logs ATTACH PARTITION %I.%I FOR VALUES FROM (%s) TO (%s)', home, home, part, low, high);
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

-- With the rights of its owner, a function must not find tables by a path that its caller chose.
DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION layers_usage_partitions(BIGINT, INTEGER) SET search_path = %I, pg_temp',
    (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'usage_logs'::regclass));
END $$;

SELECT layers_usage_partitions(month, 1) FROM (SELECT DISTINCT CAST(EXTRACT(EPOCH FROM date_trunc('month', TIMESTAMP 'epoch' +
  finished_at / 1000000 * INTERVAL '1 second')) AS BIGINT) * 1000000 AS month FROM usage_logs_0003) AS m;
INSERT INTO usage_logs (request_id, account, key_id, model, provider, backend, upstream_id, input_tokens, cache_read_tokens, cache_write_tokens,
    cache_write_1h_tokens, output_tokens, reasoning_tokens, searches, lines, price_version, cost, charged, held, evidence, status, stream, started_at,
    finished_at, rolled_up, provider_cost, rolled_daily)
  SELECT request_id, account, key_id, model, provider, backend, upstream_id, input_tokens, cache_read_tokens, cache_write_tokens,
    cache_write_1h_tokens, output_tokens, reasoning_tokens, searches, lines, price_version, cost, charged, held, evidence, status, stream, started_at,
    finished_at, rolled_up, cost, TRUE FROM usage_logs_0003;
DROP TABLE usage_logs_0003;

-- From now on an answer that costs nothing has its transaction, too, which is how it is known when it comes again.
INSERT INTO ledger_tx (idem_key, kind, created_at)
  SELECT 'settle:' || request_id, 'free', finished_at FROM usage_logs ON CONFLICT DO NOTHING;
INSERT INTO usage_daily (day, account, key_id, model, provider, requests, input_tokens, output_tokens, cost, charged, provider_cost)
  SELECT finished_at / 86400000000 * 86400, account, key_id, model, provider, COUNT(*),
    CAST(SUM(input_tokens + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT),
    CAST(SUM(cost) AS BIGINT), CAST(SUM(charged) AS BIGINT), CAST(SUM(provider_cost) AS BIGINT)
  FROM usage_logs GROUP BY finished_at / 86400000000 * 86400, account, key_id, model, provider;

-- meter: what is one key to its owner is counted as one: all keys of an object, and those that were rotated from one another, which
-- have first_digest in common, that of the first; empty: it is the first. Replicas of the version before know neither.
ALTER TABLE api_keys ADD COLUMN first_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN meter TEXT GENERATED ALWAYS AS (CASE WHEN object_name <> '' THEN source || ' ' || cluster_uid || ' ' || object_name
  WHEN first_digest <> '' THEN first_digest ELSE digest END) STORED;
CREATE INDEX api_keys_meter ON api_keys (meter);
WITH RECURSIVE chain (id, first) AS (
  SELECT id, digest FROM api_keys WHERE rotated_from IS NULL UNION ALL SELECT k.id, c.first FROM api_keys k JOIN chain c ON k.rotated_from = c.id)
UPDATE api_keys SET first_digest = (SELECT first FROM chain WHERE chain.id = api_keys.id) WHERE rotated_from IS NOT NULL;

-- Accounts of whose change Redis must hear, by gateway, and their versions then; whoever has told it takes them away.
CREATE TABLE changed_accounts (
  gateway_uid TEXT NOT NULL,
  account     TEXT NOT NULL,
  version     BIGINT NOT NULL,
  PRIMARY KEY (gateway_uid, account)
);
