-- Refusals that come too fast share a row of the operation log, and records whose clock was far off say so.
-- Expands only: constant defaults and a nullable column rewrite nothing, and what the previous version inserts is right.

-- As in 0002: rather than hold up every commit behind a long reader of these tables, give up and be run again.
SET LOCAL lock_timeout = '2s';

-- The tables in the order in which a commit locks them, or the two could wait for each other.

-- Arrival minus timestamp_ms, where that was past the tolerance at admission; null within it, and before this migration.
ALTER TABLE audit_records ADD COLUMN clock_skew_ms bigint;

ALTER TABLE operation_logs
  -- Where the refused record came from.
  ADD COLUMN source text,
  -- Decisions that the row stands for: sum(count) is how many there were. Above 1 only for refusals; device_id is then
  -- empty where they are of several devices, and sequence 0.
  ADD COLUMN count bigint NOT NULL DEFAULT 1,
  -- Not validated: every row there is has the default, and to look at them all would hold up the service.
  ADD CONSTRAINT operation_logs_count CHECK (count >= 1) NOT VALID,
  ADD CONSTRAINT operation_logs_shared CHECK (decision = 'Rejected' OR count = 1) NOT VALID;

-- What no pod can bound alone: of a payload-v1 record, whose signature covers the payload only, anybody who has seen it can
-- make claims without end by changing its time. The first ones of a place are kept: sixteen that contradict each other prove
-- what a million would. Two commits at once may keep a few more.
CREATE FUNCTION limit_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  claims_max CONSTANT integer := 16;
BEGIN
  IF (SELECT count(*) FROM equivocations e WHERE e.device_id = NEW.device_id AND e.sequence = NEW.sequence) < claims_max THEN
    RETURN NEW;
  END IF;
  RETURN NULL;
END $$;
-- The schema's own table, whatever the caller's search_path.
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION limit_evidence() SET search_path = %I, pg_temp', current_schema());
END $$;
CREATE TRIGGER evidence_limited BEFORE INSERT ON equivocations FOR EACH ROW EXECUTE FUNCTION limit_evidence();
