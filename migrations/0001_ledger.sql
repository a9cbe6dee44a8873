-- The registry, the ledger and the operation log.
-- Forward-only. Runs in one transaction, as the owner of the schema.

-- Append-only for everyone, the owner included. Its argument names the columns, where others may change.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP || coalesce(' of ' || TG_ARGV[0], '')
    USING ERRCODE = 'restrict_violation';
END $$;
-- Partitions do not inherit a trigger on TRUNCATE, so each one needs its own.
CREATE FUNCTION protect_from_truncate(tablename text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', tablename);
END $$;

CREATE SEQUENCE device_revision;

CREATE TABLE devices (
  id          text        PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 255),
  site        text        CHECK (octet_length(site) <= 255),
  enabled     boolean     NOT NULL DEFAULT true,
  -- Changes with every change of the device or of its keys: admission commits only what was judged under the current one.
  revision    bigint      NOT NULL DEFAULT nextval('device_revision'),
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- The pods' periodic re-read asks for what changed lately.
CREATE INDEX devices_updated_at ON devices (updated_at);

CREATE TABLE device_keys (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  device_id   text        NOT NULL REFERENCES devices (id),
  public_key  bytea       NOT NULL CHECK (octet_length(public_key) = 32),
  scheme      text        NOT NULL CHECK (scheme IN ('payload-v1', 'record-v2')),
  valid_from  timestamptz NOT NULL DEFAULT clock_timestamp(),
  valid_until timestamptz CHECK (valid_until > valid_from),
  revoked_at  timestamptz,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT device_keys_once UNIQUE (device_id, public_key, scheme)
);

-- Whoever changes a device or a key, by whatever client: the revision moves, and every pod is told.
CREATE FUNCTION device_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.revision := nextval('device_revision');
  NEW.updated_at := clock_timestamp();
  PERFORM pg_notify('edgesentry_device', NEW.id);
  RETURN NEW;
END $$;
CREATE TRIGGER device_changed BEFORE INSERT OR UPDATE ON devices FOR EACH ROW EXECUTE FUNCTION device_changed();

CREATE FUNCTION device_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE devices SET updated_at = clock_timestamp() WHERE id = NEW.device_id;
  RETURN NULL;
END $$;
CREATE TRIGGER device_key_changed AFTER INSERT OR UPDATE ON device_keys FOR EACH ROW EXECUTE FUNCTION device_key_changed();

-- Records are re-checked with the keys as of their acceptance, and there is no history of a key's times. So what they
-- say of the past stays: neither may a record lose the key that it was accepted under, nor another gain one.
CREATE FUNCTION keep_key_history() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  -- Not the transaction's: it may have begun long ago.
  moment timestamptz := statement_timestamp();
  -- Clocks differ: a pod may count a key before we would. See planDevices.
  begin_margin CONSTANT interval := '1 minute';
  -- Half of the slack between a revocation and a commit in flight that the audit allows.
  revoked_margin CONSTANT interval := '30 seconds';
BEGIN
  IF NEW.valid_from <> OLD.valid_from AND (OLD.valid_from <= moment + begin_margin OR NEW.valid_from < moment) THEN
    RAISE EXCEPTION 'device_keys: valid_from can move only a minute before it comes, and not into the past'
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.valid_until IS DISTINCT FROM OLD.valid_until
     AND (OLD.revoked_at IS NOT NULL OR OLD.valid_until <= moment OR NEW.valid_until < moment) THEN
    RAISE EXCEPTION 'device_keys: valid_until can move only while the key counts, and not into the past'
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.revoked_at IS DISTINCT FROM OLD.revoked_at
     AND (OLD.revoked_at IS NOT NULL OR NEW.revoked_at NOT BETWEEN moment - revoked_margin AND clock_timestamp()) THEN
    RAISE EXCEPTION 'device_keys: revoked_at is set once, to clock_timestamp()' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER history_kept BEFORE UPDATE ON device_keys FOR EACH ROW EXECUTE FUNCTION keep_key_history();
CREATE TRIGGER identity_kept BEFORE UPDATE ON device_keys FOR EACH ROW
  WHEN ((NEW.id, NEW.device_id, NEW.public_key, NEW.scheme, NEW.created_at)
        IS DISTINCT FROM (OLD.id, OLD.device_id, OLD.public_key, OLD.scheme, OLD.created_at))
  EXECUTE FUNCTION refuse_change('id, device_id, public_key, scheme or created_at');
CREATE TRIGGER identity_kept BEFORE UPDATE ON devices FOR EACH ROW
  WHEN ((NEW.id, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.created_at))
  EXECUTE FUNCTION refuse_change('id or created_at');
CREATE TRIGGER append_only BEFORE DELETE ON devices FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE DELETE ON device_keys FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Partitioned by hash of the device: the only partitioning under which the fence below stays global.
CREATE TABLE audit_records (
  device_id        text        NOT NULL,
  sequence         bigint      NOT NULL CHECK (sequence >= 1),
  timestamp_ms     bigint      NOT NULL CHECK (timestamp_ms >= 0),
  payload_hash     bytea       NOT NULL CHECK (octet_length(payload_hash) = 32),
  signature        bytea       NOT NULL CHECK (octet_length(signature) = 64),
  prev_record_hash bytea       NOT NULL CHECK (octet_length(prev_record_hash) = 32),
  object_ref       text        NOT NULL,
  record_hash      bytea       NOT NULL CHECK (octet_length(record_hash) = 32),
  object_key       text        COLLATE "C" NOT NULL,
  -- Null when the object is the payload.
  object_offset    bigint      CHECK (object_offset >= 0),
  payload_bytes    bigint      NOT NULL CHECK (payload_bytes >= 0),
  ingested_at      timestamptz NOT NULL DEFAULT now(),
  -- The replay fence between replicas.
  CONSTRAINT audit_records_fence UNIQUE (device_id, sequence)
) PARTITION BY HASH (device_id);

DO $$ BEGIN
  FOR part IN 0..15 LOOP
    EXECUTE format('CREATE TABLE audit_records_p%s PARTITION OF audit_records FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
                   lpad(part::text, 2, '0'), part);
    PERFORM protect_from_truncate('audit_records_p' || lpad(part::text, 2, '0'));
  END LOOP;
END $$;
-- Time-range queries: rows are inserted in the order of time, so a block range index of a few pages serves.
CREATE INDEX audit_records_ingested_at ON audit_records USING brin (ingested_at);

-- A record that claims a used sequence, kept for its signature.
CREATE TABLE equivocations (
  device_id   text        NOT NULL,
  sequence    bigint      NOT NULL,
  record_hash bytea       NOT NULL CHECK (octet_length(record_hash) = 32),
  -- The record's postcard encoding.
  record      bytea       NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (device_id, sequence, record_hash)
);

-- Partitioned by month, so that its retention is a DROP TABLE.
CREATE TABLE operation_logs (
  id         uuid        NOT NULL,
  decision   text        NOT NULL CHECK (decision IN ('Accepted', 'Rejected')),
  device_id  text        NOT NULL,
  sequence   bigint      NOT NULL,
  code       text,
  message    text        NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (created_at);
CREATE INDEX operation_logs_device ON operation_logs (device_id, created_at);
-- Catches what no month's partition takes, so that a missed upkeep costs no verdict.
CREATE TABLE operation_logs_default PARTITION OF operation_logs DEFAULT;

-- Makes the partitions of this month and of `months_ahead` more. Runs as the owner, so that the service's role, which
-- may create nothing, can ask for it. A month that cannot be made is a warning and stays with the default partition: once
-- that holds a row of the month, Postgres refuses it a partition of its own, and the months behind it must not wait.
CREATE FUNCTION ensure_operation_log_partitions(months_ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  -- First day, in UTC whatever the session's time zone.
  month timestamp;
  name  text;
BEGIN
  IF months_ahead NOT BETWEEN 0 AND 24 THEN
    RAISE EXCEPTION 'months_ahead must be between 0 and 24, got %', months_ahead;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('edgesentry operation_logs partitions', 0));
  FOR ahead IN 0..months_ahead LOOP
    month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead);
    name := 'operation_logs_' || to_char(month, 'YYYY_MM');
    CONTINUE WHEN to_regclass(format('%I.%I', current_schema(), name)) IS NOT NULL;
    BEGIN
      -- Made apart and then attached: CREATE ... PARTITION OF would lock out every insert.
      EXECUTE format('CREATE TABLE %I (LIKE operation_logs INCLUDING ALL)', name);
      PERFORM protect_from_truncate(name);
      EXECUTE format('ALTER TABLE operation_logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
                     month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'partition % not made: %', name, SQLERRM USING ERRCODE = SQLSTATE;
    END;
  END LOOP;
END $$;
-- The schema's own tables and no others: a caller's temporary table would otherwise come first.
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION ensure_operation_log_partitions(integer) SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION ensure_operation_log_partitions(integer) FROM PUBLIC;
SELECT ensure_operation_log_partitions(3);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_records FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON operation_logs FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON equivocations FOR EACH ROW EXECUTE FUNCTION refuse_change();
SELECT protect_from_truncate(name)
FROM unnest(ARRAY['devices', 'device_keys', 'audit_records', 'operation_logs', 'operation_logs_default',
                  'equivocations']) AS name;
