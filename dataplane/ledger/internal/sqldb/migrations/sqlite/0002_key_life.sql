-- People, for whoever asks whose a key is; the ledger itself pays by account.
CREATE TABLE users (
  id         TEXT PRIMARY KEY,
  email      TEXT UNIQUE,
  name       TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL
);

-- scopes and models are JSON arrays of strings, empty: all. expires_at is in microseconds, 0: never; is_active says only that
-- the key is neither disabled nor revoked, because a stored column does not see the clock.
ALTER TABLE api_keys ADD COLUMN user_id TEXT REFERENCES users (id);
ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN models TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN cap_amount BIGINT NOT NULL DEFAULT 0 CHECK (cap_amount >= 0);
ALTER TABLE api_keys ADD COLUMN cap_period TEXT NOT NULL DEFAULT '' CHECK (cap_period IN ('', 'Day', 'Month'));
ALTER TABLE api_keys ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN rotation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN rotated_from TEXT REFERENCES api_keys (id);
CREATE UNIQUE INDEX api_keys_rotated_from ON api_keys (rotated_from);
CREATE INDEX api_keys_account ON api_keys (account);
CREATE INDEX api_keys_user ON api_keys (user_id);

-- What each key was charged in each day and month (UTC) by when its requests finished; start and ends in Unix seconds.
CREATE TABLE key_windows (
  key_id TEXT NOT NULL,
  period TEXT NOT NULL CHECK (period IN ('Day', 'Month')),
  start  BIGINT NOT NULL,
  ends   BIGINT NOT NULL,
  spent  BIGINT NOT NULL,
  PRIMARY KEY (key_id, period, start)
);

-- As on PostgreSQL, where it tells the rows of gateways of the version before; here there is one process, so none.
ALTER TABLE usage_logs ADD COLUMN rolled_up BOOLEAN NOT NULL DEFAULT TRUE;
INSERT INTO key_windows (key_id, period, start, ends, spent)
  SELECT key_id, 'Day', day * 86400, day * 86400 + 86400, SUM(charged)
    FROM (SELECT key_id, finished_at / 86400000000 AS day, charged FROM usage_logs WHERE charged > 0 AND key_id <> '') AS u
    GROUP BY key_id, day;
INSERT INTO key_windows (key_id, period, start, ends, spent)
  SELECT key_id, 'Month', CAST(strftime('%s', month) AS BIGINT), CAST(strftime('%s', month, '+1 month') AS BIGINT), SUM(spent)
    FROM (SELECT key_id, datetime(start, 'unixepoch', 'start of month') AS month, spent FROM key_windows) AS d
    GROUP BY key_id, month;

-- Keys' rows that Redis must hear of; whoever has told it takes them away.
CREATE TABLE outbox (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  digest      TEXT NOT NULL,
  account     TEXT NOT NULL,
  gateway_uid TEXT NOT NULL,
  created_at  BIGINT NOT NULL
);
CREATE INDEX outbox_created_at ON outbox (created_at);
