-- Tables whose checks change are made anew, because SQLite changes none; nobody else writes meanwhile.
DROP VIEW balances;
CREATE TABLE old_tx AS SELECT * FROM ledger_tx;
CREATE TABLE old_entries AS SELECT * FROM ledger_entries;
CREATE TABLE old_grants AS SELECT * FROM credit_grants;
CREATE TABLE old_usage AS SELECT * FROM usage_logs;
DROP TABLE credit_grants;
DROP TABLE ledger_entries;
DROP TABLE ledger_tx;
DROP TABLE usage_logs;

-- overdraft: how far below zero admission may let the balance go. held: the sum of the account's rows in holds. drawn_to: the
-- balance that the grants' remaining amounts stand for; another balance was left by a version that knows no draws. status: the
-- requests of a suspended account are refused; what it was served is charged, and money may be added.
ALTER TABLE accounts ADD COLUMN overdraft BIGINT NOT NULL DEFAULT 0 CHECK (overdraft >= 0);
ALTER TABLE accounts ADD COLUMN held BIGINT NOT NULL DEFAULT 0 CHECK (held >= 0);
ALTER TABLE accounts ADD COLUMN drawn_to BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN status TEXT NOT NULL DEFAULT 'Active' CHECK (status IN ('Active', 'Suspended'));

CREATE TABLE ledger_tx (
  idem_key   TEXT PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind <> ''),
  created_at BIGINT NOT NULL,
  reverses   TEXT REFERENCES ledger_tx (idem_key),
  reason     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX ledger_tx_created_at ON ledger_tx (created_at);
INSERT INTO ledger_tx (idem_key, kind, created_at) SELECT idem_key, kind, created_at FROM old_tx;

CREATE TABLE ledger_entries (
  tx      TEXT NOT NULL REFERENCES ledger_tx (idem_key),
  account TEXT NOT NULL,
  amount  BIGINT NOT NULL CHECK (amount <> 0),
  PRIMARY KEY (tx, account)
);
CREATE INDEX ledger_entries_account ON ledger_entries (account);
INSERT INTO ledger_entries (tx, account, amount) SELECT tx, account, amount FROM old_entries;
CREATE VIEW balances AS
  SELECT account, CAST(SUM(amount) AS BIGINT) AS balance FROM ledger_entries GROUP BY account;

-- remaining: what no draw has taken; NULL: granted by a version that knows no draws. pending: not yet effective, so that the
-- account does not have it. Lower priorities are drawn first. expires_at 0: never. live: something remains; indexes ask for it,
-- because it seldom changes, so that a draw need not touch them.
CREATE TABLE credit_grants (
  idem_key     TEXT PRIMARY KEY REFERENCES ledger_tx (idem_key),
  account      TEXT NOT NULL REFERENCES accounts (id),
  kind         TEXT NOT NULL CHECK (kind <> ''),
  amount       BIGINT NOT NULL CHECK (amount > 0),
  reason       TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  remaining    BIGINT CHECK (remaining >= 0 AND remaining <= amount),
  source       TEXT NOT NULL DEFAULT '',
  priority     BIGINT NOT NULL DEFAULT 10,
  effective_at BIGINT NOT NULL DEFAULT 0,
  expires_at   BIGINT NOT NULL DEFAULT 0,
  pending      BOOLEAN NOT NULL DEFAULT FALSE,
  live         BOOLEAN NOT NULL GENERATED ALWAYS AS (remaining IS NULL OR remaining > 0) STORED
);
INSERT INTO credit_grants (idem_key, account, kind, amount, reason, created_at) SELECT idem_key, account, kind, amount, reason, created_at FROM old_grants;
CREATE INDEX credit_grants_account ON credit_grants (account);
CREATE UNIQUE INDEX credit_grants_source ON credit_grants (source) WHERE source <> '';
CREATE INDEX credit_grants_live ON credit_grants (account) WHERE live;
CREATE INDEX credit_grants_expires_at ON credit_grants (expires_at) WHERE expires_at > 0 AND live AND NOT pending;
CREATE INDEX credit_grants_effective_at ON credit_grants (effective_at) WHERE pending;

CREATE TABLE grant_draws (
  tx        TEXT NOT NULL REFERENCES ledger_tx (idem_key),
  grant_key TEXT NOT NULL REFERENCES credit_grants (idem_key),
  amount    BIGINT NOT NULL CHECK (amount > 0),
  PRIMARY KEY (tx, grant_key)
);
CREATE INDEX grant_draws_grant ON grant_draws (grant_key);

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

-- provider_cost is what the provider asks; orphan_charge and floor are of requests that nobody finished; usage is the whole
-- usage as JSON; rolled_daily tells rows that are counted in usage_daily. provider_price is the version of what the provider
-- asks, empty: price_version; disconnect is how the stream of a client that left ended (cancelled, drained).
CREATE TABLE usage_logs (
  request_id            TEXT PRIMARY KEY,
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
  disconnect            TEXT NOT NULL DEFAULT ''
);
CREATE INDEX usage_logs_account ON usage_logs (account, finished_at);
INSERT INTO usage_logs (request_id, account, key_id, model, provider, backend, upstream_id, input_tokens, cache_read_tokens, cache_write_tokens,
    cache_write_1h_tokens, output_tokens, reasoning_tokens, searches, lines, price_version, cost, charged, held, evidence, status, stream, started_at,
    finished_at, rolled_up, provider_cost, rolled_daily)
  SELECT request_id, account, key_id, model, provider, backend, upstream_id, input_tokens, cache_read_tokens, cache_write_tokens,
    cache_write_1h_tokens, output_tokens, reasoning_tokens, searches, lines, price_version, cost, charged, held, evidence, status, stream, started_at,
    finished_at, rolled_up, cost, TRUE FROM old_usage;
DROP TABLE old_usage;
DROP TABLE old_grants;
DROP TABLE old_entries;
DROP TABLE old_tx;

-- From now on an answer that costs nothing has its transaction, too, which is how it is known when it comes again.
INSERT INTO ledger_tx (idem_key, kind, created_at)
  SELECT 'settle:' || request_id, 'free', finished_at FROM usage_logs WHERE TRUE ON CONFLICT DO NOTHING;
INSERT INTO usage_daily (day, account, key_id, model, provider, requests, input_tokens, output_tokens, cost, charged, provider_cost)
  SELECT finished_at / 86400000000 * 86400, account, key_id, model, provider, COUNT(*),
    CAST(SUM(input_tokens + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT),
    CAST(SUM(cost) AS BIGINT), CAST(SUM(charged) AS BIGINT), CAST(SUM(provider_cost) AS BIGINT)
  FROM usage_logs GROUP BY finished_at / 86400000000 * 86400, account, key_id, model, provider;

CREATE TRIGGER ledger_tx_no_update BEFORE UPDATE ON ledger_tx
BEGIN
  SELECT RAISE(ABORT, 'ledger_tx is append-only');
END;
CREATE TRIGGER ledger_tx_no_delete BEFORE DELETE ON ledger_tx
BEGIN
  SELECT RAISE(ABORT, 'ledger_tx is append-only');
END;
CREATE TRIGGER ledger_entries_no_update BEFORE UPDATE ON ledger_entries
BEGIN
  SELECT RAISE(ABORT, 'ledger_entries is append-only');
END;
CREATE TRIGGER ledger_entries_no_delete BEFORE DELETE ON ledger_entries
BEGIN
  SELECT RAISE(ABORT, 'ledger_entries is append-only');
END;
CREATE TRIGGER grant_draws_no_update BEFORE UPDATE ON grant_draws
BEGIN
  SELECT RAISE(ABORT, 'grant_draws is append-only');
END;
CREATE TRIGGER grant_draws_no_delete BEFORE DELETE ON grant_draws
BEGIN
  SELECT RAISE(ABORT, 'grant_draws is append-only');
END;
CREATE TRIGGER price_versions_no_update BEFORE UPDATE ON price_versions
BEGIN
  SELECT RAISE(ABORT, 'price_versions is append-only');
END;
CREATE TRIGGER price_versions_no_delete BEFORE DELETE ON price_versions
BEGIN
  SELECT RAISE(ABORT, 'price_versions is append-only');
END;

-- meter: what is one key to its owner is counted as one: all keys of an object, and those that were rotated from one another, which
-- have first_digest in common, that of the first; empty: it is the first. Replicas of the version before know neither.
ALTER TABLE api_keys ADD COLUMN first_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN meter TEXT GENERATED ALWAYS AS (CASE WHEN object_name <> '' THEN source || ' ' || cluster_uid || ' ' || object_name
  WHEN first_digest <> '' THEN first_digest ELSE digest END) VIRTUAL;
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
