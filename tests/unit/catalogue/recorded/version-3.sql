PRAGMA application_id=1702389091;
PRAGMA user_version=3;
BEGIN TRANSACTION;
CREATE TABLE acceptances (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    pattern TEXT NOT NULL,
    reason TEXT NOT NULL,
    expires REAL,
    created REAL NOT NULL,
    UNIQUE (kind, pattern)
);
INSERT INTO "acceptances" VALUES(1,'path','/opt/acc*','ours',NULL,1764520000.0);
INSERT INTO "acceptances" VALUES(2,'id','0123456789abcdef','until then',4102444800.0,1764520001.0);
INSERT INTO "acceptances" VALUES(3,'id','a385c51b05c3cfa7','long',NULL,1764520002.0);
CREATE TABLE findings (
    id TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    path TEXT NOT NULL,
    interpreter TEXT NOT NULL,
    content BLOB NOT NULL,
    first_seen REAL NOT NULL,
    last_seen REAL NOT NULL,
    sightings INTEGER NOT NULL,
    manager TEXT NOT NULL,
    package TEXT NOT NULL,
    digest TEXT NOT NULL,
    record TEXT NOT NULL
);
INSERT INTO "findings" VALUES('1e3002626a8daac3','new_path','/opt/open','',X'6464646464646464646464646464646464646464646464646464646464646464',1764510000.0,1764510000.0,1,'','','','{"pid": 7, "argv": null}');
INSERT INTO "findings" VALUES('eb74528e82035f51','content_changed','/opt/accepted','/bin/sh',X'6565656565656565656565656565656565656565656565656565656565656565',1764510001.0,1764510001.0,1,'','','','{"pid": 8, "argv": null}');
INSERT INTO "findings" VALUES('05a0cb8e49df65b5','new_path','/usr/bin/packaged','',X'6666666666666666666666666666666666666666666666666666666666666666',1764510002.0,1764510002.0,1,'dpkg','tool','match','{"pid": 9, "argv": null}');
INSERT INTO "findings" VALUES('a385c51b05c3cfa7','new_path','/long\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflon\x005eff39d69e18da71\x00\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xff','',X'6767676767676767676767676767676767676767676767676767676767676767',1764510003.0,1764510003.0,1,'','','','{"pid": 10, "argv": null}');
CREATE TABLE identities (
    file BLOB NOT NULL,
    rest BLOB NOT NULL,
    program INTEGER NOT NULL REFERENCES programs ON DELETE CASCADE,
    UNIQUE (file, rest)
);
INSERT INTO "identities" VALUES(X'00000000000000650080000100000007',X'17979CFE362A0001000000000000004E',1);
INSERT INTO "identities" VALUES(X'000000000000006E0080000100000007',X'17979CFE362A000A0000000000000057',6);
INSERT INTO "identities" VALUES(X'000000000000006F0080000100000007',X'17979CFE362A000B0000000000000058',7);
INSERT INTO "identities" VALUES(X'00000000000000700080000100000007',X'17979CFE362A000C0000000000000059',8);
INSERT INTO "identities" VALUES(X'00000000000000710080000100000007',X'17979CFE362A000D000000000000005A',9);
CREATE TABLE keys (
    key BLOB NOT NULL UNIQUE,
    path TEXT NOT NULL,
    interpreter TEXT NOT NULL,
    stdin_type TEXT NOT NULL,
    watched INTEGER NOT NULL,
    program INTEGER REFERENCES programs ON DELETE CASCADE
);
INSERT INTO "keys" VALUES(X'6B657931000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000','/usr/bin/learnt','','null',0,1);
INSERT INTO "keys" VALUES(X'6B657932000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000','/srv/run','/bin/sh','pipe',1,NULL);
INSERT INTO "keys" VALUES(X'6B657933000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000','/long\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflon\x005eff39d69e18da71\x00\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xff','/long\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflon\x005eff39d69e18da71\x00\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xff','null',0,9);
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "meta" VALUES('accepted_file','/etc/exec_exporter/accepted.yml');
INSERT INTO "meta" VALUES('hash_key',X'000102030405060708090A0B0C0D0E0F');
INSERT INTO "meta" VALUES('key_format','0000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO "meta" VALUES('learning_ended',1764500000.0);
INSERT INTO "meta" VALUES('learning_seconds',86400.5);
INSERT INTO "meta" VALUES('lost',0);
CREATE TABLE programs (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    content BLOB NOT NULL,
    origin TEXT NOT NULL,
    baseline INTEGER NOT NULL,
    first_seen REAL NOT NULL,
    last_seen REAL NOT NULL,
    seq INTEGER NOT NULL, size INTEGER,
    UNIQUE (path, content)
);
INSERT INTO "programs" VALUES(1,'/usr/bin/learnt',X'6161616161616161616161616161616161616161616161616161616161616161','learnt',1,1764400000.0,1764400000.0,1,NULL);
INSERT INTO "programs" VALUES(2,'/usr/bin/seeded',X'6262626262626262626262626262626262626262626262626262626262626262','seeded',1,1764400001.0,1764400001.0,2,NULL);
INSERT INTO "programs" VALUES(3,'/usr/bin/imported',X'6363636363636363636363636363636363636363636363636363636363636363','imported',1,1764400002.0,1764400002.0,3,NULL);
INSERT INTO "programs" VALUES(4,'/usr/bin/unread',X'0000000000001000','learnt',1,1764400003.0,1764400003.0,4,4096);
INSERT INTO "programs" VALUES(5,'/opt/name\xff\x0a',X'','learnt',1,1764400004.0,1764400004.0,5,NULL);
INSERT INTO "programs" VALUES(6,'/opt/open',X'6464646464646464646464646464646464646464646464646464646464646464','found',0,1764510000.0,1764510000.0,6,NULL);
INSERT INTO "programs" VALUES(7,'/opt/accepted',X'6565656565656565656565656565656565656565656565656565656565656565','found',1,1764510001.0,1764510001.0,7,NULL);
INSERT INTO "programs" VALUES(8,'/usr/bin/packaged',X'6666666666666666666666666666666666666666666666666666666666666666','found',0,1764510002.0,1764510002.0,8,NULL);
INSERT INTO "programs" VALUES(9,'/long\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflon\x005eff39d69e18da71\x00\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xfflong\xff',X'6767676767676767676767676767676767676767676767676767676767676767','found',0,1764510003.0,1764510003.0,9,NULL);
CREATE TABLE totals (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "totals" VALUES('content_changed',1);
INSERT INTO "totals" VALUES('new_path',3);
CREATE INDEX programs_by_content ON programs (content);
CREATE INDEX programs_by_age ON programs (baseline, seq);
CREATE INDEX identities_by_program ON identities (program);
CREATE INDEX keys_by_program ON keys (program);
CREATE INDEX findings_by_age ON findings (first_seen);
CREATE INDEX programs_by_size ON programs (path, size);
COMMIT;
