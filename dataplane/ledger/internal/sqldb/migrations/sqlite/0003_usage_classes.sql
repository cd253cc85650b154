-- Tokens written to a prompt cache that is kept for an hour (cache_write_tokens excludes them), and uses of the provider's
-- web search: both have prices of their own.
ALTER TABLE usage_logs ADD COLUMN cache_write_1h_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_logs ADD COLUMN searches BIGINT NOT NULL DEFAULT 0;
