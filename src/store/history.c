/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What merge remembers of a store, in a small text file that is believed only as far as it goes.
 *
 *	keystow-history 1
 *	store HEX			SHA-256 of the store as merge left it
 *	bundle HEX NAME			digest and name of the bundle; bytes beyond printable ASCII as %XX
 *	added COUNT
 *	HEX				one line each, ascending
 *	end
 *
 * Two generations stand in one file, the newer first, because rollback takes the store back by one. Any line that is not as it has
 * to be makes the whole file worthless, and merge then removes nothing.
 */
#include "history.h"

#include "file/file.h"
#include "folder.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define HEADER "keystow-history 1\n"
#define SUFFIX ".keystow"
#define GENERATIONS 2
#define MOST_ADDED 1000000
#define LONGEST_NAME 4096
#define HEX (2 * KS_SHA256)

int ks_record_new(struct ks_record **out, struct ks_ctx *ctx)
{
	struct ks_record *record = calloc(1, sizeof(*record));

	if (!record)
		return ks_nomem(ctx);
	*out = record;
	return 0;
}

void ks_record_free(struct ks_record *record)
{
	if (!record)
		return;
	free(record->bundle);
	free(record->added);
	free(record);
}

static int digest_order(const void *a, const void *b)
{
	return memcmp(a, b, KS_SHA256);
}

bool ks_record_has(const struct ks_record *record, const unsigned char sha256[KS_SHA256])
{
	return record->added_count && bsearch(sha256, record->added, record->added_count, KS_SHA256, digest_order);
}

/* ---- reading ---- */

/* The next line without its end; false when there is none, or it does not end. */
static bool take_line(struct ks_bytes *line, struct ks_bytes *rest)
{
	const unsigned char *end = rest->size ? memchr(rest->data, '\n', rest->size) : NULL;

	if (!end)
		return false;
	*line = KS_BYTES(rest->data, (size_t)(end - rest->data));
	*rest = KS_BYTES(end + 1, rest->size - line->size - 1);
	return true;
}

/* A line that starts with that word and a blank; what follows is left in *line. */
static bool take_word(struct ks_bytes *line, struct ks_bytes *rest, const char *word)
{
	size_t size = strlen(word);

	if (!take_line(line, rest) || line->size <= size || memcmp(line->data, word, size) != 0 || line->data[size] != ' ')
		return false;
	*line = KS_BYTES(line->data + size + 1, line->size - size - 1);
	return true;
}

/* Lower-case digits only, so that one record has one spelling. */
static bool read_digest(unsigned char out[KS_SHA256], struct ks_bytes text)
{
	char digits[HEX + 1];

	if (text.size != HEX)
		return false;
	memcpy(digits, text.data, HEX);
	digits[HEX] = '\0';
	return strspn(digits, "0123456789abcdef") == HEX && ks_unhex(out, KS_SHA256, digits) == KS_SHA256;
}

static bool read_name(char **out, struct ks_bytes text)
{
	char *name = text.size <= LONGEST_NAME ? malloc(text.size + 1) : NULL;
	size_t size = 0;

	if (!name)
		return false;
	*out = name;
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = text.data[i];

		if (c == '%') {
			const char digits[] = { (char)(i + 1 < text.size ? text.data[i + 1] : 0),
						(char)(i + 2 < text.size ? text.data[i + 2] : 0), '\0' };

			if (ks_unhex(&c, 1, digits) != 1 || c == '\0')
				return false;
			i += 2;
		} else if (c <= ' ' || c >= 0x7f) {
			return false;
		}
		name[size++] = (char)c;
	}
	name[size] = '\0';
	return true;
}

static bool read_count(size_t *out, struct ks_bytes text)
{
	size_t count = 0;

	if (text.size == 0 || text.size > 7)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		count = count * 10 + (size_t)(text.data[i] - '0');
	}
	*out = count;
	return count <= MOST_ADDED;
}

static bool read_added(struct ks_record *record, struct ks_bytes *rest)
{
	struct ks_bytes line;
	size_t count;

	/* A count larger than what is left could hold is not believed far enough to allocate for it. */
	if (!take_word(&line, rest, "added") || !read_count(&count, line) || count > rest->size / (HEX + 1))
		return false;
	record->added = ks_array(count, KS_SHA256);
	if (!record->added)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!take_line(&line, rest) || !read_digest(record->added[i], line))
			return false;
		if (i && memcmp(record->added[i - 1], record->added[i], KS_SHA256) >= 0)
			return false;
	}
	record->added_count = count;
	return take_line(&line, rest) && ks_bytes_are(line, "end");
}

/* One generation; NULL when it is not as it has to be. */
static struct ks_record *read_record(struct ks_bytes *rest)
{
	ks_auto(record) record = calloc(1, sizeof(*record));
	struct ks_bytes line;

	if (!record || !take_word(&line, rest, "store") || !read_digest(record->store_digest, line))
		return NULL;
	if (!take_word(&line, rest, "bundle") || line.size < HEX + 1 || line.data[HEX] != ' ')
		return NULL;
	if (!read_digest(record->bundle_digest, KS_BYTES(line.data, HEX)) ||
	    !read_name(&record->bundle, KS_BYTES(line.data + HEX + 1, line.size - HEX - 1)))
		return NULL;
	return read_added(record, rest) ? ks_take(record) : NULL;
}

struct generations {
	struct ks_record *records[GENERATIONS];
};

static void generations_free(struct generations *all)
{
	for (size_t i = 0; i < GENERATIONS; i++)
		ks_record_free(all->records[i]);
}
#define auto_generations __attribute__((cleanup(generations_free))) struct generations

static bool parse(struct generations *out, struct ks_bytes text)
{
	const size_t header = sizeof(HEADER) - 1;

	if (text.size < header || memcmp(text.data, HEADER, header) != 0)
		return false;
	text = KS_BYTES(text.data + header, text.size - header);
	for (size_t i = 0; i < GENERATIONS && (i == 0 || text.size); i++) {
		out->records[i] = read_record(&text);
		if (!out->records[i])
			return false;
	}
	return text.size == 0;
}

/* ---- where it is kept ---- */

static struct ks_disk *disk_of(struct ks_store *store)
{
	return store->engine->codec ? ((struct ks_file *)store->state)->disk : NULL;
}

/* A token's file in the state folder; by serial when the address has it, so that a token that is renamed keeps its history. */
static int token_file(char **out, struct ks_store *store)
{
	const char *folder = ks_settings(store->ctx)->state_dir;
	const CK_TOKEN_INFO *token = ks_p11kit.uri_get_token_info(store->where->uri);
	unsigned char digest[KS_SHA256];
	char name[33];

	if (!folder)
		return KS_ENOTFOUND;
	if (token->serialNumber[0])
		ks_sha256(digest, KS_BYTES(token->serialNumber, sizeof(token->serialNumber)));
	else
		ks_sha256(digest, ks_bytes_of(store->where->text));
	ks_hex(name, KS_BYTES(digest, 16));
	if (asprintf(out, "%s/merged-%s%s", folder, name, SUFFIX) < 0) {
		*out = NULL;
		return ks_nomem(store->ctx);
	}
	return 0;
}

static int read_text(struct ks_buffer **out, struct ks_store *store)
{
	struct ks_disk *disk = disk_of(store);
	ks_auto_mem char *path = NULL;
	int rc;

	if (disk)
		return ks_disk_read_beside(out, disk, SUFFIX);
	rc = token_file(&path, store);
	return rc < 0 ? rc : ks_disk_read(out, store->ctx, path);
}

/* KS_ENOTFOUND: there is none, or none that can be believed (which is said). */
static int read_generations(struct generations *out, struct ks_store *store)
{
	ks_auto(buffer) text = NULL;
	int rc = read_text(&text, store);

	if (rc == KS_ENOTFOUND)
		return ks_fail(store->ctx, KS_ENOTFOUND, "nothing is remembered of an earlier merge into %s", store->where->text);
	if (rc < 0)
		return rc;
	if (parse(out, ks_buffer_bytes(text)))
		return 0;
	generations_free(out);
	*out = (struct generations){ 0 };
	ks_notice(store->ctx, KS_EDAMAGED, store->where->text, "merge --adopt takes the certificates of the bundle as its own again",
		  "what was remembered of earlier merges is damaged and not used");
	return ks_fail(store->ctx, KS_ENOTFOUND, "what was remembered of merges into %s is damaged", store->where->text);
}

int ks_history_digest(unsigned char out[KS_SHA256], struct ks_store *store)
{
	size_t count = 0;
	ks_auto_mem unsigned char(*digests)[KS_SHA256] = ks_array(ks_set_count(store->items), KS_SHA256);

	if (!digests)
		return ks_nomem(store->ctx);
	for (size_t i = 0; i < ks_set_count(store->items); i++) {
		struct ks_item *item = ks_set_at(store->items, i);

		if (item->kind == KS_CERTIFICATE)
			memcpy(digests[count++], ks_item_sha256(item), KS_SHA256);
	}
	qsort(digests, count, KS_SHA256, digest_order);
	ks_sha256(out, KS_BYTES(digests, count * KS_SHA256));
	return 0;
}

static int digest_now(unsigned char out[KS_SHA256], struct ks_store *store)
{
	struct ks_disk *disk = disk_of(store);

	if (!disk)
		return ks_history_digest(out, store);
	memcpy(out, ks_disk_digest(disk), KS_SHA256);
	return 0;
}

/* The generation that tells of a store with that digest; GENERATIONS when none does. */
static size_t generation_of(const struct generations *all, const unsigned char digest[KS_SHA256])
{
	for (size_t i = 0; i < GENERATIONS; i++) {
		if (all->records[i] && memcmp(all->records[i]->store_digest, digest, KS_SHA256) == 0)
			return i;
	}
	return GENERATIONS;
}

int ks_history_read(struct ks_record **out, struct ks_store *store)
{
	auto_generations all = { 0 };
	unsigned char digest[KS_SHA256];
	size_t n;
	int rc = read_generations(&all, store);

	if (rc == 0)
		rc = digest_now(digest, store);
	if (rc < 0)
		return rc;
	n = generation_of(&all, digest);
	*out = ks_take(all.records[n < GENERATIONS ? n : 0]);
	if (n < GENERATIONS)
		return 0;
	return ks_fail(store->ctx, KS_ECHANGED, "%s was changed since the last merge", store->where->text);
}

/* ---- other changes than merges ---- */

/* What the user renames or replaces is his from then on. */
static void disown(struct ks_record *record, struct ks_item *item)
{
	unsigned char(*place)[KS_SHA256];
	size_t behind;

	if (item->kind != KS_CERTIFICATE || !ks_record_has(record, ks_item_sha256(item)))
		return;
	place = bsearch(item->sha256, record->added, record->added_count, KS_SHA256, digest_order);
	behind = record->added_count - (size_t)(place - record->added) - 1;
	memmove(place, place + 1, behind * KS_SHA256);
	record->added_count--;
}

int ks_history_carry(struct ks_record **out, struct ks_store *store, const struct ks_plan *plan)
{
	ks_auto(record) record = NULL;
	int rc = ks_history_read(&record, store);

	if (rc == KS_ENOTFOUND || rc == KS_ECHANGED) {
		ks_forgive(store->ctx);
		return 0;
	}
	for (size_t i = 0; rc == 0 && i < plan->count; i++) {
		if (plan->changes[i].what == KS_RENAME || plan->changes[i].what == KS_REPLACE)
			disown(record, plan->changes[i].have);
	}
	if (rc == 0)
		*out = ks_take(record);
	return rc;
}

/* ---- writing ---- */

static void put_name(struct ks_buffer *out, const char *name)
{
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (c <= ' ' || c >= 0x7f || c == '%')
			ks_buffer_format(out, "%%%02x", c);
		else
			ks_buffer_put(out, name, 1);
	}
}

static void put_digest(struct ks_buffer *out, const char *before, const unsigned char digest[KS_SHA256], const char *behind)
{
	char text[HEX + 1];

	ks_hex(text, KS_BYTES(digest, KS_SHA256));
	ks_buffer_text(out, before);
	ks_buffer_put(out, text, HEX);
	ks_buffer_text(out, behind);
}

static void put_record(struct ks_buffer *out, const struct ks_record *record, const unsigned char digest[KS_SHA256])
{
	put_digest(out, "store ", digest, "\n");
	put_digest(out, "bundle ", record->bundle_digest, " ");
	put_name(out, record->bundle ? record->bundle : "");
	ks_buffer_format(out, "\nadded %zu\n", record->added_count);
	for (size_t i = 0; i < record->added_count; i++)
		put_digest(out, "", record->added[i], "\n");
	ks_buffer_text(out, "end\n");
}

static int write_text(struct ks_store *store, struct ks_bytes text)
{
	struct ks_disk *disk = disk_of(store);
	ks_auto_mem char *path = NULL;
	int rc;

	if (disk)
		return ks_disk_write_beside(disk, SUFFIX, text);
	rc = token_file(&path, store);
	if (rc == KS_ENOTFOUND) {
		ks_notice(store->ctx, KS_ENOTFOUND, store->where->text, NULL,
			  "without a state folder the next merge does not know what this one added, and removes nothing");
		return 0;
	}
	if (rc == 0)
		rc = ks_folder_above(store->ctx, path, 0700);
	return rc < 0 ? rc : ks_disk_write(store->ctx, path, text, true, true);
}

/* The generation before is the one that tells of the store as it is now, else the newest there is. */
static const struct ks_record *record_before(const struct generations *all, struct ks_store *store)
{
	unsigned char digest[KS_SHA256];
	size_t n = digest_now(digest, store) < 0 ? GENERATIONS : generation_of(all, digest);

	return all->records[n < GENERATIONS ? n : 0];
}

int ks_history_write(struct ks_store *store, const struct ks_record *record, const unsigned char digest[KS_SHA256])
{
	auto_generations all = { 0 };
	const struct ks_record *before;
	ks_auto(buffer) text = ks_buffer_new(ks_settings(store->ctx)->max_file);
	int rc = read_generations(&all, store);

	if (!text)
		return ks_nomem(store->ctx);
	if (rc < 0 && rc != KS_ENOTFOUND)
		return rc;
	ks_forgive(store->ctx);
	before = record_before(&all, store);
	ks_buffer_text(text, HEADER);
	put_record(text, record, digest);
	if (before && memcmp(before->store_digest, digest, KS_SHA256) != 0)
		put_record(text, before, before->store_digest);
	if (text->status)
		return ks_fail(store->ctx, text->status, "there is too much to remember of %s", store->where->text);
	return write_text(store, ks_buffer_bytes(text));
}
