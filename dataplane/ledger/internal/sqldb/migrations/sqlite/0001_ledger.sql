CREATE TABLE settings (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);

-- The balance is the sum of the account's entries, kept here so that admission reads one row. System accounts ("system/...")
-- appear only in entries: one row that every request locks is the end of throughput.
CREATE TABLE accounts (
  id         TEXT PRIMARY KEY CHECK (id NOT LIKE 'system/%'),
  balance    BIGINT NOT NULL DEFAULT 0,
  version    BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL
);

CREATE TABLE ledger_tx (
  idem_key   TEXT PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind IN ('grant', 'settle')),
  created_at BIGINT NOT NULL
);

CREATE TABLE ledger_entries (
  tx      TEXT NOT NULL REFERENCES ledger_tx (idem_key),
  account TEXT NOT NULL,
  amount  BIGINT NOT NULL CHECK (amount <> 0),
  PRIMARY KEY (tx, account)
);
CREATE INDEX ledger_entries_account ON ledger_entries (account);

CREATE VIEW balances AS
  SELECT account, CAST(SUM(amount) AS BIGINT) AS balance FROM ledger_entries GROUP BY account;

CREATE TABLE credit_grants (
  idem_key   TEXT PRIMARY KEY REFERENCES ledger_tx (idem_key),
  account    TEXT NOT NULL REFERENCES accounts (id),
  kind       TEXT NOT NULL CHECK (kind IN ('promo', 'manual')),
  amount     BIGINT NOT NULL CHECK (amount > 0),
  reason     TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX credit_grants_account ON credit_grants (account);

CREATE TABLE usage_logs (
  request_id         TEXT PRIMARY KEY,
  account            TEXT NOT NULL,
  key_id             TEXT NOT NULL,
  model              TEXT NOT NULL,
  provider           TEXT NOT NULL,
  backend            TEXT NOT NULL,
  upstream_id        TEXT NOT NULL,
  input_tokens       BIGINT NOT NULL,
  cache_read_tokens  BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  output_tokens      BIGINT NOT NULL,
  reasoning_tokens   BIGINT NOT NULL,
  lines              TEXT NOT NULL,
  price_version      TEXT NOT NULL,
  cost               BIGINT NOT NULL,
  charged            BIGINT NOT NULL,
  held               BIGINT NOT NULL,
  evidence           TEXT NOT NULL CHECK (evidence IN ('reported', 'estimated', 'free')),
  status             BIGINT NOT NULL,
  stream             BOOLEAN NOT NULL,
  started_at         BIGINT NOT NULL,
  finished_at        BIGINT NOT NULL
);

CREATE TABLE api_keys (
  id          TEXT PRIMARY KEY,
  digest      TEXT NOT NULL UNIQUE,
  key_prefix  TEXT NOT NULL,
  name        TEXT NOT NULL,
  account     TEXT NOT NULL REFERENCES accounts (id),
  tier        TEXT NOT NULL,
  policy      TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'revoked')),
  is_active   BOOLEAN NOT NULL GENERATED ALWAYS AS (state = 'active') STORED,
  version     BIGINT NOT NULL,
  source      TEXT NOT NULL,
  cluster_uid TEXT NOT NULL,
  gateway_uid TEXT NOT NULL,
  object_uid  TEXT NOT NULL,
  object_name TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL
);
CREATE INDEX api_keys_object ON api_keys (source, cluster_uid, object_name) WHERE state <> 'revoked';

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
