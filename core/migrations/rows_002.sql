-- One row or more in every table of schema version 2, as version 2 wrote them.
INSERT INTO hot VALUES (1, 9, 4, 2, 3, 60, 1000, 1000, 1000, 6, 4, 1, 2, 40, 1, 0, 1, 0, 0, 1, 11, 5, 400, 800);
INSERT INTO session VALUES (1, x'000102030405060708090a0b0c0d0e0f', 'kitchen', 0, 'mqtt://host:1883', 5, 1, 1, 77,
  604800, 1, 900, 0, 0, '', 1,
  x'0102', 0, 0, 0, NULL, 0, 2);
INSERT INTO outbox VALUES (3, 'home/hall', x'6f6e', NULL, 2, NULL, NULL, NULL);
INSERT INTO outbox VALUES (5, 'home/hall', x'6f6666', x'0000010a746578742f706c61696e000001016101620000', 13, 5000, 'light', NULL);
INSERT INTO parked VALUES (4, 'home/hall', x'6f6e', NULL, 34, NULL, NULL, 155, 970);
INSERT INTO skipped_pid VALUES (33);
INSERT INTO released VALUES (3, 1);
INSERT INTO verdict VALUES (2, 4, 0, 950, NULL);
INSERT INTO idem VALUES ('order-1', 5, 604801000);
INSERT INTO topic VALUES (1, 'home/door', 2, 961, NULL, NULL, NULL);
INSERT INTO inbox_by_topic VALUES (1, 1), (1, 2);
INSERT INTO inbox VALUES (1, 1, x'31', NULL, 1, 960), (2, 1, x'32', NULL, 1, 961), (3, 1, x'33', NULL, 2, 962);
INSERT INTO received_qos2 VALUES (40, 7, 0);
INSERT INTO consumer VALUES ('default', '["home/#"]', 1, 'pause', NULL, NULL, 0, NULL, NULL);
INSERT INTO consumer_done VALUES ('default', 2);
INSERT INTO subscription VALUES ('home/#', NULL, 1, 1, 4, 1, 1);
INSERT INTO gap VALUES (1, 'home/#', 'session_lost', 940, NULL, 2, NULL);
INSERT INTO mailbox VALUES (1, x'00', 980);
INSERT INTO incident VALUES (1, 990, 'restored', 'another device');
INSERT INTO driver VALUES (1, 'connected', '{"turns":9}', 999);
