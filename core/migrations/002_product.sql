-- Schema version 2: an outbox with policies, reading without a connection, restored and damaged files.

-- device_token: what the app said this device is called when the store was last driven; another one means a copy.
-- held: the outbox waits for the app's word (a restored store). copied_through_*: what came with the copy, by lane.
-- suspect_id, strikes: the message that seems to close every link, and how many links it has closed.
-- indexed_through: inbox rows up to here stand in inbox_by_topic and in topic.last_*.
ALTER TABLE session ADD COLUMN device_token BLOB;
ALTER TABLE session ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN copied_through_0 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN copied_through_1 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN suspect_id INTEGER;
ALTER TABLE session ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN indexed_through INTEGER NOT NULL DEFAULT 0;

-- supersede: a newer message with the same key replaces this one while it waits.
-- flags: 32 park; 64 sent with less than was asked for, 128 sent as QoS 1, both until the session is lost.
-- after_ord: an urgent message in flight stands behind the normal ones up to here, in the order first sent.
ALTER TABLE outbox ADD COLUMN supersede TEXT;
ALTER TABLE outbox ADD COLUMN after_ord INTEGER;
CREATE INDEX outbox_supersede ON outbox (supersede) WHERE supersede IS NOT NULL;

-- Counted like the lanes' rows, so that no count(*) is needed.
ALTER TABLE hot ADD COLUMN parked_messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hot ADD COLUMN parked_bytes INTEGER NOT NULL DEFAULT 0;

-- boot, boot_ms: the machine's boot at the last commit (0: the system does not say), and how long it had been up.
-- held_until_ms: until then, on the store clock, no message goes for its age alone: the wall clock has jumped.
ALTER TABLE hot ADD COLUMN boot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hot ADD COLUMN boot_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hot ADD COLUMN held_until_ms INTEGER NOT NULL DEFAULT 0;

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
CREATE INDEX parked_supersede ON parked (supersede) WHERE supersede IS NOT NULL;

-- Packet identifiers of messages that were sent, and then parked or refused: the broker may hold them until the session is lost.
CREATE TABLE skipped_pid (
  pid               INTEGER PRIMARY KEY
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

-- last_*: the topic's newest message up to session.indexed_through; last_at_ms also counts when the broker says the same
-- again. last_payload, last_props, last_flags stand only once that message has left the inbox.
ALTER TABLE topic ADD COLUMN last_seq INTEGER;
ALTER TABLE topic ADD COLUMN last_at_ms INTEGER;
ALTER TABLE topic ADD COLUMN last_payload BLOB;
ALTER TABLE topic ADD COLUMN last_props BLOB;
ALTER TABLE topic ADD COLUMN last_flags INTEGER;
CREATE INDEX topic_kept ON topic (last_at_ms, length(last_payload)) WHERE last_payload IS NOT NULL;
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
