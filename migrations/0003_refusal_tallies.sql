-- Refusals that come too fast share a row of the operation log, and records whose clock was far off say so.
-- Expands only: constant defaults and a nullable column rewrite nothing, and what the previous version inserts is right.

-- As in 0002: rather than hold up every commit behind a long reader of these tables, give up and be run again.
SET LOCAL lock_timeout = '2s';

ALTER TABLE operation_logs
  -- Where the refused record came from.
  ADD COLUMN source text,
  -- Decisions that the row stands for: sum(count) is how many there were. Above 1 only for refusals; device_id is then
  -- empty where they are of several devices, and sequence 0.
  ADD COLUMN count bigint NOT NULL DEFAULT 1,
  -- Not validated: every row there is has the default, and to look at them all would hold up the service.
  ADD CONSTRAINT operation_logs_count CHECK (count >= 1) NOT VALID;

-- Arrival minus timestamp_ms, where that was past the tolerance at admission; null within it, and before this migration.
ALTER TABLE audit_records ADD COLUMN clock_skew_ms bigint;
