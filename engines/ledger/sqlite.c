/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger in SQLite.
 *
 * One file beside the CA's key, WAL mode, synchronous FULL: when a COMMIT has returned, the row is on the disk.
 * Writers of several processes take turns by BEGIN IMMEDIATE and wait for each other as long as the settings say. The
 * statements keep to what PostgreSQL understands as well ($n places, RETURNING, seconds as integers); only the
 * tables' types and the pragmas are SQLite's.
 */
#include "ledger.h"
#include "sqlite_library.h"

#include "text.h"

#include <openssl/rand.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum statement { INTEND, COMPLETE, FIND_KEY, EACH, STATEMENTS };

struct ks_ledger {
	struct ks_ctx *ctx;
	sqlite3 *db;
	char *shown; /* the path, safe to show */
	sqlite3_stmt *prepared[STATEMENTS];
};

#define COLUMNS                                                                                                        \
	"id, serial, subject, names, profile, spki_sha256, request_sha256, not_before, not_after, created, der, "      \
	"revoked"

static const char *const statements[STATEMENTS] = {
	[INTEND] = "INSERT INTO cert (ca_id, serial, kind, subject, names, profile, spki_sha256, request_sha256, "
		   "not_before, "
		   "not_after, created) VALUES (1, $1, 'x509', $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
	[COMPLETE] = "UPDATE cert SET der = $1 WHERE id = $2 AND der IS NULL",
	[FIND_KEY] = "SELECT " COLUMNS " FROM cert WHERE ca_id = 1 AND spki_sha256 = $1 AND der IS NOT NULL "
		     "ORDER BY id DESC LIMIT 1",
	[EACH] = "SELECT " COLUMNS " FROM cert WHERE ca_id = 1 ORDER BY id",
};

/* Schema 1. ca_id leaves room for a CA's next generation in the same ledger; a serial is unique below one CA. */
static const char *const schema[] = {
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
	"CREATE TABLE ca (id INTEGER PRIMARY KEY, created INTEGER NOT NULL)",
	"CREATE TABLE cert (id INTEGER PRIMARY KEY, ca_id INTEGER NOT NULL REFERENCES ca (id), serial BLOB NOT NULL, "
	"kind TEXT NOT NULL, subject TEXT NOT NULL, names TEXT NOT NULL, profile TEXT NOT NULL, spki_sha256 BLOB NOT "
	"NULL, "
	"request_sha256 BLOB NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, created INTEGER NOT "
	"NULL, "
	"der BLOB, revoked INTEGER NOT NULL DEFAULT 0, UNIQUE (ca_id, serial))",
	"CREATE INDEX cert_not_after ON cert (not_after)",
	"CREATE INDEX cert_subject ON cert (subject)",
	"CREATE INDEX cert_spki ON cert (spki_sha256)",
};

/* ---- failures ---- */

/* SQLite's verdict as a status; a failed write tells the disk's own reason through the system error. */
static int status_of(sqlite3 *db, int code)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return KS_EBUSY;
	case SQLITE_FULL:
		return KS_EFULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return KS_EDAMAGED;
	case SQLITE_NOMEM:
		return KS_ENOMEM;
	case SQLITE_IOERR: {
		int error = ks_sqlite.system_errno(db);

		return error == ENOSPC || error == EDQUOT ? KS_EFULL : KS_EIO;
	}
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return KS_EIO;
	default:
		return KS_EBUG;
	}
}

static int sqlite_failed(struct ks_ledger *ledger, int code, const char *doing)
{
	int status = status_of(ledger->db, code);
	int rc;

	switch (status) {
	case KS_EBUSY:
		rc = ks_fail(ledger->ctx, status, "the ledger %s is in use by another writer for more than %u seconds",
			     ledger->shown, ks_settings(ledger->ctx)->wait_seconds);
		break;
	case KS_EFULL:
		rc = ks_hint(
			ledger->ctx,
			ks_fail(ledger->ctx, status, "the disk is full while %s the ledger %s", doing, ledger->shown),
			"free some room and run it again; what was committed before is safe");
		break;
	case KS_EDAMAGED:
		rc = ks_hint(
			ledger->ctx,
			ks_fail(ledger->ctx, status, "the ledger %s is damaged, or is not a ledger", ledger->shown),
			"restore it from a backup; without it the CA does not know what it has signed");
		break;
	default:
		rc = ks_fail(ledger->ctx, status, "%s the ledger %s does not work", doing, ledger->shown);
	}
	return ks_cause(ledger->ctx, rc, "sqlite: %s", ks_sqlite.errmsg(ledger->db));
}

/* ---- running statements ---- */

static int run(struct ks_ledger *ledger, const char *sql, const char *doing)
{
	int code = ks_sqlite.exec(ledger->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : sqlite_failed(ledger, code, doing);
}

/* The statement, ready to be bound. */
static int ready(sqlite3_stmt **out, struct ks_ledger *ledger, enum statement which)
{
	sqlite3_stmt **prepared = &ledger->prepared[which];
	int code;

	if (!*prepared) {
		code = ks_sqlite.prepare_v3(ledger->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT, prepared, NULL);
		if (code != SQLITE_OK)
			return sqlite_failed(ledger, code, "reading");
	}
	ks_sqlite.reset(*prepared);
	ks_sqlite.clear_bindings(*prepared);
	*out = *prepared;
	return 0;
}

/* One text result of a statement that gives at most one row; *out stays NULL when it gives none. */
static int ask(char **out, struct ks_ledger *ledger, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	const char *text;
	int code, rc = 0;

	code = ks_sqlite.prepare_v2(ledger->db, sql, -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = ks_sqlite.step(statement);
	if (code == SQLITE_ROW) {
		text = (const char *)ks_sqlite.column_text(statement, 0);
		*out = strdup(text ? text : "");
		if (!*out)
			rc = ks_nomem(ledger->ctx);
	} else if (code != SQLITE_DONE) {
		rc = sqlite_failed(ledger, code, "reading");
	}
	ks_sqlite.finalize(statement);
	return rc;
}

/* ---- opening ---- */

static int pragmas_set(struct ks_ledger *ledger)
{
	ks_auto_mem char *mode = NULL;
	int rc;

	ks_sqlite.busy_timeout(ledger->db, (int)(ks_settings(ledger->ctx)->wait_seconds * 1000));
	ks_sqlite.extended_result_codes(ledger->db, 1);
	rc = ask(&mode, ledger, "PRAGMA journal_mode=WAL");
	if (rc < 0)
		return rc;
	if (!mode || strcmp(mode, "wal") != 0)
		return ks_hint(ledger->ctx,
			       ks_fail(ledger->ctx, KS_EIO,
				       "the file system of the ledger %s cannot hold a write-ahead log", ledger->shown),
			       "keep the CA's folder on a local file system");
	return run(ledger, "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF", "opening");
}

/* Two creators take turns here: the second one finds the tables of the first. */
static int tables_make(struct ks_ledger *ledger)
{
	ks_auto_mem char *present = NULL;
	char sql[160];
	int rc = ks_ledger_begin(ledger);

	if (rc == 0)
		rc = ask(&present, ledger, "SELECT name FROM sqlite_master WHERE name = 'meta'");
	if (rc == 0 && present)
		return ks_ledger_commit(ledger);
	for (size_t i = 0; rc == 0 && i < sizeof(schema) / sizeof(schema[0]); i++)
		rc = run(ledger, schema[i], "creating");
	snprintf(sql, sizeof(sql), "INSERT INTO meta (key, value) VALUES ('schema', '%d')", KS_LEDGER_SCHEMA);
	if (rc == 0)
		rc = run(ledger, sql, "creating");
	snprintf(sql, sizeof(sql), "INSERT INTO ca (id, created) VALUES (1, %lld)", (long long)time(NULL));
	if (rc == 0)
		rc = run(ledger, sql, "creating");
	if (rc == 0)
		rc = ks_ledger_commit(ledger);
	if (rc < 0)
		ks_ledger_abort(ledger);
	return rc;
}

/* Schema 1 is the first, so an older one cannot exist, and a newer one is not guessed at. */
static int schema_check(struct ks_ledger *ledger)
{
	ks_auto_mem char *have = NULL, *meta = NULL;
	char *end;
	long number;
	int rc = ask(&meta, ledger, "SELECT name FROM sqlite_master WHERE name = 'meta'");

	if (rc == 0 && meta)
		rc = ask(&have, ledger, "SELECT value FROM meta WHERE key = 'schema'");
	if (rc < 0)
		return rc;
	number = have ? strtol(have, &end, 10) : 0;
	if (number <= 0 || *end)
		return ks_fail(ledger->ctx, KS_EDAMAGED, "%s is a database, but not a ledger of keystow",
			       ledger->shown);
	if (number > KS_LEDGER_SCHEMA)
		return ks_hint(ledger->ctx,
			       ks_fail(ledger->ctx, KS_ENEWER,
				       "the ledger %s has schema %ld, and this keystow knows %d", ledger->shown, number,
				       KS_LEDGER_SCHEMA),
			       "use the keystow that wrote it, or a newer one");
	return 0;
}

static int ledger_start(struct ks_ledger *ledger, const char *path, bool create)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
		    (create ? SQLITE_OPEN_CREATE : 0);
	int code = ks_sqlite.open_v2(path, &ledger->db, flags, NULL);
	int rc;

	if (code != SQLITE_OK)
		return sqlite_failed(ledger, code, "opening");
	/* Before the first byte: SQLite gives its log and index files the mode of the database. */
	if (create && chmod(path, 0600) < 0)
		return ks_fail_errno(ledger->ctx, errno, "protecting the ledger %s", ledger->shown);
	rc = pragmas_set(ledger);
	if (rc == 0 && create)
		rc = tables_make(ledger);
	return rc < 0 ? rc : schema_check(ledger);
}

int ks_ledger_open(struct ks_ledger **out, struct ks_ctx *ctx, const char *path, bool create)
{
	ks_auto(ledger) ledger = calloc(1, sizeof(*ledger));
	int rc;

	if (!ledger || !(ledger->shown = ks_text_show(ks_bytes_of(path))))
		return ks_nomem(ctx);
	ledger->ctx = ctx;
	if (!create && access(path, F_OK) < 0)
		return ks_fail_errno(ctx, errno, "opening the ledger %s", ledger->shown);
	rc = ks_sqlite_load(ctx);
	if (rc == 0)
		rc = ledger_start(ledger, path, create);
	if (rc < 0)
		return rc;
	*out = ks_take(ledger);
	return 0;
}

void ks_ledger_close(struct ks_ledger *ledger)
{
	if (!ledger)
		return;
	for (size_t i = 0; ledger->db && i < STATEMENTS; i++)
		ks_sqlite.finalize(ledger->prepared[i]);
	if (ledger->db)
		ks_sqlite.close(ledger->db);
	free(ledger->shown);
	free(ledger);
}

/* ---- transactions ---- */

int ks_ledger_begin(struct ks_ledger *ledger)
{
	return run(ledger, "BEGIN IMMEDIATE", "writing");
}

int ks_ledger_commit(struct ks_ledger *ledger)
{
	int rc = run(ledger, "COMMIT", "writing");

	if (rc < 0)
		ks_ledger_abort(ledger);
	return rc;
}

void ks_ledger_abort(struct ks_ledger *ledger)
{
	if (!ks_sqlite.get_autocommit(ledger->db))
		ks_sqlite.exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- rows ---- */

static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
	ks_sqlite.bind_text(statement, place, text ? text : "", -1, SQLITE_STATIC);
}

static void intend_bind(sqlite3_stmt *statement, const struct ks_issued *issued)
{
	ks_sqlite.bind_blob(statement, 1, issued->serial, KS_SERIAL, SQLITE_STATIC);
	bind_text(statement, 2, issued->subject);
	bind_text(statement, 3, issued->names);
	bind_text(statement, 4, issued->profile);
	ks_sqlite.bind_blob(statement, 5, issued->spki_sha256, KS_SHA256, SQLITE_STATIC);
	ks_sqlite.bind_blob(statement, 6, issued->request_sha256, KS_SHA256, SQLITE_STATIC);
	ks_sqlite.bind_int64(statement, 7, issued->not_before);
	ks_sqlite.bind_int64(statement, 8, issued->not_after);
	ks_sqlite.bind_int64(statement, 9, issued->created);
}

int ks_ledger_intend(struct ks_ledger *ledger, struct ks_issued *issued)
{
	sqlite3_stmt *statement;
	int code, rc = ready(&statement, ledger, INTEND);

	if (rc < 0)
		return rc;
	if (RAND_bytes_ex(ks_crypto(ledger->ctx), issued->serial, KS_SERIAL, 0) != 1)
		return ks_fail_openssl(ledger->ctx, KS_EIO, "the system gives no random numbers for a serial");
	issued->serial[0] = (unsigned char)(0x40 | (issued->serial[0] & 0x3f));
	intend_bind(statement, issued);
	code = ks_sqlite.step(statement);
	if (code == SQLITE_ROW) {
		issued->id = ks_sqlite.column_int64(statement, 0);
		code = ks_sqlite.step(statement);
	}
	ks_sqlite.reset(statement);
	return code == SQLITE_DONE ? 0 : sqlite_failed(ledger, code, "writing");
}

int ks_ledger_complete(struct ks_ledger *ledger, int64_t id, struct ks_bytes der)
{
	sqlite3_stmt *statement;
	int code, rc = ready(&statement, ledger, COMPLETE);

	if (rc < 0)
		return rc;
	ks_sqlite.bind_blob64(statement, 1, der.data, der.size, SQLITE_STATIC);
	ks_sqlite.bind_int64(statement, 2, id);
	code = ks_sqlite.step(statement);
	ks_sqlite.reset(statement);
	if (code != SQLITE_DONE)
		return sqlite_failed(ledger, code, "writing");
	if (ks_sqlite.changes(ledger->db) != 1)
		return ks_fail(ledger->ctx, KS_EDAMAGED, "row %lld of the ledger %s was complete already, or is gone",
			       (long long)id, ledger->shown);
	return 0;
}

/* A blob of exactly `size` bytes, or false: a row that somebody else changed. */
static bool column_fixed(unsigned char *out, sqlite3_stmt *statement, int column, int size)
{
	if (ks_sqlite.column_bytes(statement, column) != size)
		return false;
	memcpy(out, ks_sqlite.column_blob(statement, column), (size_t)size);
	return true;
}

static char *column_copy(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)ks_sqlite.column_text(statement, column);

	return strdup(text ? text : "");
}

/* The present row of a statement that selects COLUMNS. */
static int row_read(struct ks_issued **out, struct ks_ledger *ledger, sqlite3_stmt *row)
{
	ks_auto(issued) issued = calloc(1, sizeof(*issued));
	int size = ks_sqlite.column_bytes(row, 10);

	if (!issued)
		return ks_nomem(ledger->ctx);
	issued->id = ks_sqlite.column_int64(row, 0);
	if (!column_fixed(issued->serial, row, 1, KS_SERIAL) || !column_fixed(issued->spki_sha256, row, 5, KS_SHA256) ||
	    !column_fixed(issued->request_sha256, row, 6, KS_SHA256))
		return ks_fail(ledger->ctx, KS_EDAMAGED, "row %lld of the ledger %s is damaged", (long long)issued->id,
			       ledger->shown);
	issued->subject = column_copy(row, 2);
	issued->names = column_copy(row, 3);
	issued->profile = column_copy(row, 4);
	issued->not_before = ks_sqlite.column_int64(row, 7);
	issued->not_after = ks_sqlite.column_int64(row, 8);
	issued->created = ks_sqlite.column_int64(row, 9);
	issued->revoked = ks_sqlite.column_int64(row, 11);
	if (size) {
		issued->der = ks_buffer_new((size_t)size);
		if (!issued->der || ks_buffer_put(issued->der, ks_sqlite.column_blob(row, 10), (size_t)size) < 0)
			return ks_nomem(ledger->ctx);
	}
	if (!issued->subject || !issued->names || !issued->profile)
		return ks_nomem(ledger->ctx);
	*out = ks_take(issued);
	return 0;
}

int ks_ledger_find_key(struct ks_issued **out, struct ks_ledger *ledger, const unsigned char spki_sha256[KS_SHA256])
{
	sqlite3_stmt *statement;
	int code, rc = ready(&statement, ledger, FIND_KEY);

	if (rc < 0)
		return rc;
	ks_sqlite.bind_blob(statement, 1, spki_sha256, KS_SHA256, SQLITE_STATIC);
	code = ks_sqlite.step(statement);
	if (code == SQLITE_ROW)
		rc = row_read(out, ledger, statement);
	else if (code == SQLITE_DONE)
		rc = ks_fail(ledger->ctx, KS_ENOTFOUND, "the ledger %s has no certificate for that key", ledger->shown);
	else
		rc = sqlite_failed(ledger, code, "reading");
	ks_sqlite.reset(statement);
	return rc;
}

int ks_ledger_each(struct ks_ledger *ledger, int (*each)(void *user, const struct ks_issued *issued), void *user)
{
	sqlite3_stmt *statement;
	int code = SQLITE_ROW, rc = ready(&statement, ledger, EACH);

	while (rc == 0 && (code = ks_sqlite.step(statement)) == SQLITE_ROW) {
		ks_auto(issued) issued = NULL;

		rc = row_read(&issued, ledger, statement);
		if (rc == 0)
			rc = each(user, issued);
	}
	if (rc == 0 && code != SQLITE_DONE)
		rc = sqlite_failed(ledger, code, "reading");
	if (statement)
		ks_sqlite.reset(statement);
	return rc;
}

void ks_issued_free(struct ks_issued *issued)
{
	if (!issued)
		return;
	free(issued->subject);
	free(issued->names);
	free(issued->profile);
	ks_buffer_free(issued->der);
	free(issued);
}
