-- The registry, the ledger and the operation log.
-- Forward-only. Runs in one transaction, as the owner of the schema.

-- Append-only for everyone, the owner included.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
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
-- may create nothing, can ask for it.
CREATE FUNCTION ensure_operation_log_partitions(months_ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
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
    IF to_regclass(quote_ident(name)) IS NULL THEN
      -- Made apart and then attached: CREATE ... PARTITION OF would lock out every insert.
      EXECUTE format('CREATE TABLE %I (LIKE operation_logs INCLUDING ALL)', name);
      PERFORM protect_from_truncate(name);
      EXECUTE format('ALTER TABLE operation_logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
                     month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
    END IF;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION ensure_operation_log_partitions(integer) FROM PUBLIC;
SELECT ensure_operation_log_partitions(3);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_records FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON operation_logs FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON equivocations FOR EACH ROW EXECUTE FUNCTION refuse_change();
SELECT protect_from_truncate(name)
FROM unnest(ARRAY['audit_records', 'operation_logs', 'operation_logs_default', 'equivocations']) AS name;
