-- Who changed the registry, what and when, in the operation log; gateways; proofs of possession.
-- Forward-only and expanding: what ran before runs on. In one transaction, as the owner of the schema.

-- Behind a long reader of the log, such as eds audit, the locks below would wait, and every commit behind them. Rather give
-- up, and be run again.
SET LOCAL lock_timeout = '2s';

-- Names in client certificates that may speak for a device besides its own id.
CREATE TABLE device_gateways (
  device_id text        NOT NULL REFERENCES devices (id),
  identity  text        NOT NULL CHECK (octet_length(identity) BETWEEN 1 AND 255),
  added_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (device_id, identity)
);
-- Rows may go, since no record is verified with them. A TRUNCATE would take them past the log.
SELECT protect_from_truncate('device_gateways');

-- Ed25519 over the device's id, the scheme and the key, by the key itself: src/record/possession.ts.
ALTER TABLE device_keys ADD COLUMN proof bytea CHECK (octet_length(proof) = 64);
CREATE TRIGGER proof_kept BEFORE UPDATE ON device_keys FOR EACH ROW
  WHEN (OLD.proof IS NOT NULL AND NEW.proof IS DISTINCT FROM OLD.proof)
  EXECUTE FUNCTION refuse_change('proof');

-- One row of the log. The actor is what the client says of itself, behind it stands the role that Postgres knows.
CREATE FUNCTION log_registry_change(device text, change text, detail text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  said text := left(regexp_replace(current_setting('edgesentry.actor', true), '[[:cntrl:]]', '?', 'g'), 255);
BEGIN
  INSERT INTO operation_logs (id, decision, device_id, sequence, code, message, actor, created_at)
  VALUES (gen_random_uuid(), 'Registry', device, 0, change, detail,
          coalesce(nullif(said, '') || ' (role ' || session_user || ')', 'role ' || session_user),
          -- Not the transaction's: its changes have an order.
          clock_timestamp());
END $$;

-- Each of these says in words what a change was. They run as the owner, so that whoever may write the registry need not be
-- allowed to write the log.
CREATE FUNCTION log_device_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM log_registry_change(NEW.id, 'device_registered',
      'registered' || coalesce(', site ' || NEW.site, '') || CASE WHEN NEW.enabled THEN '' ELSE ', suspended' END);
    RETURN NULL;
  END IF;
  IF NEW.site IS DISTINCT FROM OLD.site THEN
    PERFORM log_registry_change(NEW.id, 'site_changed',
      'site ' || coalesce(OLD.site, 'none') || ' -> ' || coalesce(NEW.site, 'none'));
  END IF;
  IF NEW.enabled <> OLD.enabled THEN
    PERFORM log_registry_change(NEW.id, CASE WHEN NEW.enabled THEN 'device_resumed' ELSE 'device_suspended' END,
      CASE WHEN NEW.enabled THEN 'resumed' ELSE 'suspended' END);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION registry_time(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'none')
$$;

CREATE FUNCTION log_device_key_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  key text := NEW.scheme || ':' || left(encode(NEW.public_key, 'hex'), 16);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM log_registry_change(NEW.device_id, 'key_added',
      key || ' from ' || registry_time(NEW.valid_from)
      || CASE WHEN NEW.valid_until IS NULL THEN '' ELSE ' until ' || registry_time(NEW.valid_until) END
      || CASE WHEN NEW.proof IS NULL THEN '' ELSE ', proven' END
      || CASE WHEN NEW.revoked_at IS NULL THEN '' ELSE ', revoked' END);
    RETURN NULL;
  END IF;
  IF (NEW.valid_from, NEW.valid_until) IS DISTINCT FROM (OLD.valid_from, OLD.valid_until) THEN
    PERFORM log_registry_change(NEW.device_id, 'key_validity_changed',
      key
      || CASE WHEN NEW.valid_from = OLD.valid_from THEN ''
              ELSE ' from ' || registry_time(OLD.valid_from) || ' -> ' || registry_time(NEW.valid_from) END
      || CASE WHEN NEW.valid_until IS NOT DISTINCT FROM OLD.valid_until THEN ''
              ELSE ' until ' || registry_time(OLD.valid_until) || ' -> ' || registry_time(NEW.valid_until) END);
  END IF;
  IF NEW.proof IS DISTINCT FROM OLD.proof THEN
    PERFORM log_registry_change(NEW.device_id, 'key_proven', key);
  END IF;
  IF NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
    PERFORM log_registry_change(NEW.device_id, 'key_revoked', key);
  END IF;
  RETURN NULL;
END $$;

-- Moves the device's revision as well, by device_changed, so that a removal is obeyed as a revocation is.
CREATE FUNCTION device_gateway_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    UPDATE devices SET updated_at = clock_timestamp() WHERE id = OLD.device_id;
    PERFORM log_registry_change(OLD.device_id, 'gateway_removed', OLD.identity);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    UPDATE devices SET updated_at = clock_timestamp() WHERE id = NEW.device_id;
    PERFORM log_registry_change(NEW.device_id, 'gateway_added', NEW.identity);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER registry_logged AFTER INSERT OR UPDATE ON devices
  FOR EACH ROW EXECUTE FUNCTION log_device_change();
CREATE TRIGGER registry_logged AFTER INSERT OR UPDATE ON device_keys
  FOR EACH ROW EXECUTE FUNCTION log_device_key_change();
CREATE TRIGGER device_gateway_changed AFTER INSERT OR UPDATE OR DELETE ON device_gateways
  FOR EACH ROW EXECUTE FUNCTION device_gateway_changed();

-- The schema's own tables and functions and no others, whatever the caller's search_path.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['log_device_change', 'log_device_key_change', 'device_gateway_changed'] LOOP
    EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION log_registry_change(text, text, text) FROM PUBLIC;

-- Pods of the new version read gateways with the role that migration 1 has been granted to: whoever reads keys reads these.
DO $$
DECLARE
  reader regrole;
BEGIN
  FOR reader IN
    SELECT DISTINCT a.grantee FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = 'device_keys'::regclass AND a.privilege_type = 'SELECT' AND a.grantee NOT IN (0, c.relowner)
  LOOP
    EXECUTE format('GRANT SELECT ON device_gateways TO %s', reader);
  END LOOP;
END $$;

-- Last, since it locks the log. Null for decisions on records.
ALTER TABLE operation_logs ADD COLUMN actor text;
-- NOT VALID: a scan of the log would hold up commits, and can find nothing. Every row there is has passed the narrower
-- check, and has no actor. New rows are checked.
ALTER TABLE operation_logs DROP CONSTRAINT operation_logs_decision_check;
ALTER TABLE operation_logs
  ADD CONSTRAINT operation_logs_decision_check CHECK (decision IN ('Accepted', 'Rejected', 'Registry')) NOT VALID,
  ADD CONSTRAINT operation_logs_actor_check CHECK ((decision = 'Registry') = (actor IS NOT NULL)) NOT VALID;
