CREATE TABLE consumer (
  name              TEXT    PRIMARY KEY,
  filters           TEXT    NOT NULL,
  cursor            INTEGER NOT NULL
, lag_policy TEXT NOT NULL DEFAULT 'pause', lag_messages INTEGER, lag_ms INTEGER, skipped INTEGER NOT NULL DEFAULT 0, skipped_from INTEGER, skipped_through INTEGER) STRICT, WITHOUT ROWID;

CREATE TABLE consumer_done (
  name              TEXT    NOT NULL,
  seq               INTEGER NOT NULL,
  PRIMARY KEY (name, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE driver (
  one               INTEGER PRIMARY KEY CHECK (one = 1),
  connection        TEXT    NOT NULL,
  metrics           TEXT    NOT NULL,
  at_ms             INTEGER NOT NULL
) STRICT;

CREATE TABLE gap (
  id                INTEGER PRIMARY KEY,
  filter            TEXT    NOT NULL,
  cause             TEXT    NOT NULL,
  from_ms           INTEGER NOT NULL,
  to_ms             INTEGER,
  after_seq         INTEGER NOT NULL
, bytes INTEGER) STRICT;

CREATE INDEX gap_open ON gap (filter, cause) WHERE to_ms IS NULL;

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
, parked_messages INTEGER NOT NULL DEFAULT 0, parked_bytes INTEGER NOT NULL DEFAULT 0, boot INTEGER NOT NULL DEFAULT 0, boot_ms INTEGER NOT NULL DEFAULT 0, held_until_ms INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE idem (
  key               TEXT    PRIMARY KEY,
  id                INTEGER NOT NULL,
  until_ms          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idem_until ON idem (until_ms);

CREATE TABLE inbox (
  seq               INTEGER PRIMARY KEY,
  tid               INTEGER NOT NULL,
  payload           BLOB    NOT NULL,
  props             BLOB,
  flags             INTEGER NOT NULL,
  received_ms       INTEGER NOT NULL
) STRICT;

CREATE TABLE inbox_by_topic (
  tid               INTEGER NOT NULL,
  seq               INTEGER NOT NULL,
  PRIMARY KEY (tid, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE incident (
  id                INTEGER PRIMARY KEY,
  at_ms             INTEGER NOT NULL,
  kind              TEXT    NOT NULL,
  detail            TEXT    NOT NULL
) STRICT;

CREATE TABLE mailbox (
  mid               INTEGER PRIMARY KEY AUTOINCREMENT,
  request           BLOB    NOT NULL,
  at_ms             INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
  id                INTEGER PRIMARY KEY,
  topic             TEXT    NOT NULL,
  payload           BLOB    NOT NULL,
  props             BLOB,
  flags             INTEGER NOT NULL,
  expires_ms        INTEGER
, supersede TEXT, after_ord INTEGER) STRICT;

CREATE INDEX outbox_expires ON outbox (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE INDEX outbox_supersede ON outbox (supersede) WHERE supersede IS NOT NULL;

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

CREATE TABLE received_qos2 (
  pid               INTEGER PRIMARY KEY,
  content           INTEGER NOT NULL,
  completed         INTEGER NOT NULL
) STRICT;

CREATE TABLE released (
  id                INTEGER PRIMARY KEY,
  ord               INTEGER NOT NULL
) STRICT;

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
, device_token BLOB, held INTEGER NOT NULL DEFAULT 0, copied_through_0 INTEGER NOT NULL DEFAULT 0, copied_through_1 INTEGER NOT NULL DEFAULT 0, suspect_id INTEGER, strikes INTEGER NOT NULL DEFAULT 0, indexed_through INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE skipped_pid (
  pid               INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE subscription (
  filter            TEXT    PRIMARY KEY,
  sub_id            INTEGER,
  wanted            INTEGER NOT NULL,
  qos               INTEGER NOT NULL,
  options           INTEGER NOT NULL,
  granted           INTEGER,
  granted_epoch     INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE topic (
  tid               INTEGER PRIMARY KEY,
  name              TEXT    NOT NULL UNIQUE
, last_seq INTEGER, last_at_ms INTEGER, last_payload BLOB, last_props BLOB, last_flags INTEGER) STRICT;

CREATE INDEX topic_kept ON topic (last_at_ms, length(last_payload)) WHERE last_payload IS NOT NULL;

CREATE TABLE verdict (
  id                INTEGER PRIMARY KEY,
  outcome           INTEGER NOT NULL,
  detail            INTEGER NOT NULL,
  at_ms             INTEGER NOT NULL
, other_id INTEGER) STRICT;
