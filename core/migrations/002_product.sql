-- Schema version 2: an outbox with policies, reading without a connection, restored and damaged files.

-- device_token: what the app said this device is called when the store was last driven; another one means a copy.
-- held: the outbox waits for the app's word (a restored store).
-- suspect_id, strikes: the message that seems to close every link, and how many links it has closed.
-- indexed_through: inbox rows up to here stand in inbox_by_topic and in topic.last_*.
ALTER TABLE session ADD COLUMN device_token BLOB;
ALTER TABLE session ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN suspect_id INTEGER;
ALTER TABLE session ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN indexed_through INTEGER NOT NULL DEFAULT 0;

-- supersede: a newer message with the same key replaces this one while it waits.
-- after_ord: an urgent message in flight stands behind the normal ones up to here, in the order first sent.
ALTER TABLE outbox ADD COLUMN supersede TEXT;
ALTER TABLE outbox ADD COLUMN after_ord INTEGER;
CREATE INDEX outbox_supersede ON outbox (supersede) WHERE supersede IS NOT NULL;

-- What the broker cannot take and the app wants kept: no part of a lane any more. reason: the reason code.
CREATE TABLE parked (
  id                INTEGER PRIMARY KEY,
  topic             TEXT    NOT NULL,
  payload           BLOB    NOT NULL,
  props             BLOB,
  flags             INTEGER NOT NULL,
  expires_ms        INTEGER,
  supersede         TEXT,
  reason            INTEGER NOT NULL,
  at_ms             INTEGER NOT NULL
) STRICT;

-- other_id: the message that took the place of this one.
ALTER TABLE verdict ADD COLUMN other_id INTEGER;

-- Keys of messages that an app may hand in twice, on the store clock.
CREATE TABLE idem (
  key               TEXT    PRIMARY KEY,
  id                INTEGER NOT NULL,
  until_ms          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idem_until ON idem (until_ms);

-- last_*: the topic's newest message up to session.indexed_through. last_payload, last_props, last_flags stand only once
-- retention has removed that message.
ALTER TABLE topic ADD COLUMN last_seq INTEGER;
ALTER TABLE topic ADD COLUMN last_at_ms INTEGER;
ALTER TABLE topic ADD COLUMN last_hash INTEGER;
ALTER TABLE topic ADD COLUMN last_payload BLOB;
ALTER TABLE topic ADD COLUMN last_props BLOB;
ALTER TABLE topic ADD COLUMN last_flags INTEGER;
CREATE TABLE inbox_by_topic (
  tid               INTEGER NOT NULL,
  seq               INTEGER NOT NULL,
  PRIMARY KEY (tid, seq)
) STRICT, WITHOUT ROWID;

-- lag_*: how far a consumer may fall behind before it is moved on, and since when it has been told of nothing.
-- skipped_*: what it was moved over.
ALTER TABLE consumer ADD COLUMN lag_policy TEXT NOT NULL DEFAULT 'pause';
ALTER TABLE consumer ADD COLUMN lag_messages INTEGER;
ALTER TABLE consumer ADD COLUMN lag_ms INTEGER;
ALTER TABLE consumer ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE consumer ADD COLUMN skipped_from INTEGER;
ALTER TABLE consumer ADD COLUMN skipped_through INTEGER;

-- bytes: the size of a message that was too large.
ALTER TABLE gap ADD COLUMN bytes INTEGER;
UPDATE gap SET cause = 'qos0_dropped' WHERE cause = 'inbox_full';

-- What other processes want published. AUTOINCREMENT: a number is never given twice.
CREATE TABLE mailbox (
  mid               INTEGER PRIMARY KEY AUTOINCREMENT,
  request           BLOB    NOT NULL,
  at_ms             INTEGER NOT NULL
) STRICT;

-- What befell the store's file: damage, a restored copy.
CREATE TABLE incident (
  id                INTEGER PRIMARY KEY,
  at_ms             INTEGER NOT NULL,
  kind              TEXT    NOT NULL,
  detail            TEXT    NOT NULL
) STRICT;
