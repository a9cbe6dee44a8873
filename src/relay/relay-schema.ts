/** 'edsr': tells our file from any other. */
export const applicationId = 0x65_64_73_72;
export const schemaVersion = 1;

/**
 * `links` is what the relay knows of each device's chain, its highest one the head: those admitted here, and the head
 * that the centre had where the chain did not begin here. It outlives the records, to tell a retry from equivocation.
 * `queue` is what the centre has not taken yet, in the order of arrival; positions are never used again.
 * `totals` counts the queue in the same transaction that changes it.
 * `refused` is the centre's final verdict on a record that is still in the queue, with all of its device behind it.
 * `rejections` is the operation log of what was refused here.
 */
export const schema = `
CREATE TABLE device_keys (
  device_id TEXT NOT NULL, public_key BLOB NOT NULL, scheme TEXT NOT NULL,
  PRIMARY KEY (device_id, public_key, scheme)
) STRICT, WITHOUT ROWID;

CREATE TABLE links (
  device_id TEXT NOT NULL, sequence INTEGER NOT NULL, record_hash BLOB NOT NULL,
  PRIMARY KEY (device_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  device_id TEXT NOT NULL, sequence INTEGER NOT NULL, bytes INTEGER NOT NULL, received_ms INTEGER NOT NULL,
  record BLOB NOT NULL, payload BLOB NOT NULL,
  UNIQUE (device_id, sequence)
) STRICT;

CREATE TABLE totals (records INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
INSERT INTO totals VALUES (0, 0);
CREATE TRIGGER queue_grows AFTER INSERT ON queue BEGIN
  UPDATE totals SET records = records + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER queue_shrinks AFTER DELETE ON queue BEGIN
  UPDATE totals SET records = records - 1, bytes = bytes - OLD.bytes;
END;

CREATE TABLE refused (
  device_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, code TEXT NOT NULL, error TEXT NOT NULL,
  refused_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rejections (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  decision_id TEXT NOT NULL, device_id TEXT NOT NULL, sequence INTEGER NOT NULL, code TEXT NOT NULL,
  message TEXT NOT NULL, evidence BLOB, rejected_ms INTEGER NOT NULL
) STRICT;
`;
