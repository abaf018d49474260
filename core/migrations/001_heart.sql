-- Schema version 1. Append-only: once shipped, a change is a new file. What each table is for: core/src/store/mod.rs.

-- The only row rewritten in every commit. `turn` tells whether a failed commit happened after all; counts stand here
-- because counting rows takes 31 to 55 ms at a million. Lane 0 is normal, lane 1 urgent.
CREATE TABLE hot (
  one               INTEGER PRIMARY KEY CHECK (one = 1),
  turn              INTEGER NOT NULL,
  next_seq          INTEGER NOT NULL,
  next_release      INTEGER NOT NULL,
  inbox_messages    INTEGER NOT NULL,
  inbox_bytes       INTEGER NOT NULL,
  clock_ms          INTEGER NOT NULL,
  wall_ms           INTEGER NOT NULL,
  last_contact_ms   INTEGER NOT NULL,
  next_ord_0        INTEGER NOT NULL,
  sent_through_0    INTEGER NOT NULL,
  verdict_floor_0   INTEGER NOT NULL,
  messages_0        INTEGER NOT NULL,
  bytes_0           INTEGER NOT NULL,
  next_ord_1        INTEGER NOT NULL,
  sent_through_1    INTEGER NOT NULL,
  verdict_floor_1   INTEGER NOT NULL,
  messages_1        INTEGER NOT NULL,
  bytes_1           INTEGER NOT NULL
) STRICT;

-- unanswered: a CONNECT was sent and its CONNACK has not come.
-- unproven: a link began while PUBCOMPs were in doubt, and no PINGRESP has come since.
-- boot_id and clean: a boot that was not clean may have lost commits made without a sync.
CREATE TABLE session (
  one               INTEGER PRIMARY KEY CHECK (one = 1),
  store_id          BLOB    NOT NULL CHECK (length(store_id) = 16),
  client_id         TEXT    NOT NULL,
  client_id_random  INTEGER NOT NULL,
  broker            TEXT,
  protocol          INTEGER CHECK (protocol IN (4, 5)),
  established       INTEGER NOT NULL,
  session_epoch     INTEGER NOT NULL,
  pid_salt          INTEGER NOT NULL,
  expiry_granted_s  INTEGER,
  session_present   INTEGER,
  last_connect_ms   INTEGER,
  unanswered        INTEGER NOT NULL,
  unproven          INTEGER NOT NULL,
  boot_id           TEXT    NOT NULL,
  clean             INTEGER NOT NULL
) STRICT;

-- flags: bits 0-1 QoS, 4 retain, 8 downgrade, 16 maybe_dup.
CREATE TABLE outbox (
  id                INTEGER PRIMARY KEY,
  topic             TEXT    NOT NULL,
  payload           BLOB    NOT NULL,
  props             BLOB,
  flags             INTEGER NOT NULL,
  expires_ms        INTEGER
) STRICT;
CREATE INDEX outbox_expires ON outbox (expires_ms) WHERE expires_ms IS NOT NULL;

-- A table of its own: an update of the outbox row would rewrite the payload.
CREATE TABLE released (
  id                INTEGER PRIMARY KEY,
  ord               INTEGER NOT NULL
) STRICT;

-- Only what was not simply delivered. detail: the reason code if refused, marks if delivered.
CREATE TABLE verdict (
  id                INTEGER PRIMARY KEY,
  outcome           INTEGER NOT NULL,
  detail            INTEGER NOT NULL,
  at_ms             INTEGER NOT NULL
) STRICT;

CREATE TABLE topic (
  tid               INTEGER PRIMARY KEY,
  name              TEXT    NOT NULL UNIQUE
) STRICT;

-- flags: bits 0-1 QoS, 4 retain, 8 dup.
CREATE TABLE inbox (
  seq               INTEGER PRIMARY KEY,
  tid               INTEGER NOT NULL,
  payload           BLOB    NOT NULL,
  props             BLOB,
  flags             INTEGER NOT NULL,
  received_ms       INTEGER NOT NULL
) STRICT;

CREATE TABLE received_qos2 (
  pid               INTEGER PRIMARY KEY,
  content           INTEGER NOT NULL,
  completed         INTEGER NOT NULL
) STRICT;

-- filters: a JSON list; empty: everything.
CREATE TABLE consumer (
  name              TEXT    PRIMARY KEY,
  filters           TEXT    NOT NULL,
  cursor            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE consumer_done (
  name              TEXT    NOT NULL,
  seq               INTEGER NOT NULL,
  PRIMARY KEY (name, seq)
) STRICT, WITHOUT ROWID;

-- options: bit 0 no local, 1 retain as published, 2-3 retain handling. Live only if granted_epoch = session_epoch.
CREATE TABLE subscription (
  filter            TEXT    PRIMARY KEY,
  sub_id            INTEGER,
  wanted            INTEGER NOT NULL,
  qos               INTEGER NOT NULL,
  options           INTEGER NOT NULL,
  granted           INTEGER,
  granted_epoch     INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE gap (
  id                INTEGER PRIMARY KEY,
  filter            TEXT    NOT NULL,
  cause             TEXT    NOT NULL,
  from_ms           INTEGER NOT NULL,
  to_ms             INTEGER,
  after_seq         INTEGER NOT NULL
) STRICT;
CREATE INDEX gap_open ON gap (filter, cause) WHERE to_ms IS NULL;

CREATE TABLE driver (
  one               INTEGER PRIMARY KEY CHECK (one = 1),
  connection        TEXT    NOT NULL,
  metrics           TEXT    NOT NULL,
  at_ms             INTEGER NOT NULL
) STRICT;
