/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys under names that files may have, and the programs in turn.
 *
 * A key is addressed by its label, because people can read it; by its id where another key has the same label.
 */
#include "register_inside.h"

#include "certificate.h"
#include "text.h"
#include "token.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LONGEST_FILE 1000000
#define LONGEST_NAME 64

const char *const ks_program_words[] = {
	[KS_FOR_JAVA] = "java",   [KS_FOR_NSS] = "nss",   [KS_FOR_P11_KIT] = "p11-kit", [KS_FOR_OPENSSL] = "openssl",
	[KS_FOR_NGINX] = "nginx", [KS_FOR_CURL] = "curl", [KS_FOR_SSH] = "ssh",         [KS_PROGRAMS] = NULL,
};

static void (*const makers[])(struct making *making) = {
	[KS_FOR_JAVA] = ks_glue_java,       [KS_FOR_NSS] = ks_glue_nss,     [KS_FOR_P11_KIT] = ks_glue_p11_kit,
	[KS_FOR_OPENSSL] = ks_glue_openssl, [KS_FOR_NGINX] = ks_glue_nginx, [KS_FOR_CURL] = ks_glue_curl,
	[KS_FOR_SSH] = ks_glue_ssh,
};

void ks_glue_free(struct ks_glue *glue)
{
	if (!glue)
		return;
	for (size_t i = 0; i < glue->file_count; i++) {
		free(glue->files[i].name);
		ks_buffer_free(glue->files[i].text);
	}
	for (size_t i = 0; i < glue->line_count; i++)
		free(glue->lines[i].text);
	free(glue->files);
	free(glue->lines);
	free(glue->name);
	free(glue);
}

/* ---- files and lines ---- */

static bool file_is_there(const struct ks_glue *glue, const char *name)
{
	for (size_t i = 0; i < glue->file_count; i++) {
		if (strcmp(glue->files[i].name, name) == 0)
			return true;
	}
	return false;
}

/* New string; NULL after a failure, which is kept. */
static char *formatted(struct making *making, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
static char *formatted(struct making *making, const char *format, va_list arguments)
{
	char *text = NULL;

	if (making->rc == 0 && vasprintf(&text, format, arguments) < 0) {
		making->rc = ks_nomem(making->ctx);
		text = NULL;
	}
	return text;
}

struct ks_buffer *ks_glue_file(struct making *making, const char *format, ...)
{
	struct ks_glue *glue = making->glue;
	ks_auto_mem char *name = NULL;
	struct ks_buffer *text;
	va_list arguments;

	va_start(arguments, format);
	name = formatted(making, format, arguments);
	va_end(arguments);
	if (!name || file_is_there(glue, name))
		return NULL;
	text = ks_buffer_new(LONGEST_FILE);
	if (!text ||
	    ks_array_grow(&glue->files, &glue->file_capacity, glue->file_count + 1, sizeof(*glue->files)) < 0) {
		ks_buffer_free(text);
		making->rc = ks_nomem(making->ctx);
		return NULL;
	}
	glue->files[glue->file_count++] = (struct ks_glue_file){ ks_take(name), text };
	return text;
}

void ks_glue_say(struct making *making, enum ks_glue_kind kind, const char *format, ...)
{
	struct ks_glue *glue = making->glue;
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = formatted(making, format, arguments);
	va_end(arguments);
	if (!text)
		return;
	if (ks_array_grow(&glue->lines, &glue->line_capacity, glue->line_count + 1, sizeof(*glue->lines)) < 0) {
		free(text);
		making->rc = ks_nomem(making->ctx);
		return;
	}
	glue->lines[glue->line_count++] = (struct ks_glue_line){ making->program, kind, text };
}

const struct glue_key *ks_glue_example(struct making *making)
{
	const struct glue_key *first = making->key_count ? &making->keys[0] : NULL;

	for (size_t i = 0; i < making->key_count; i++) {
		const struct glue_key *key = &making->keys[i];

		if (key->entry->certificate &&
		    (key->item->key.type == KS_KEY_RSA || key->item->key.type == KS_KEY_EC)) {
			first = key;
			break;
		}
	}
	if (making->key_count > 1 && !making->others_told)
		ks_glue_say(making, KS_GLUE_NOTE, "lines are told for the key %s; %zu more likewise", first->name,
			    making->key_count - 1);
	making->others_told = true;
	return first;
}

char *ks_glue_path(struct making *making, const char *name, const char *ending)
{
	ks_auto_mem char *path = NULL;
	char *word = NULL;

	if (asprintf(&path, "%s/%s%s", making->wish->folder, name, ending) < 0)
		path = NULL;
	word = path ? ks_text_word(path) : NULL;
	if (!word)
		making->rc = making->rc ? making->rc : ks_nomem(making->ctx);
	return word;
}

void ks_glue_quoted(struct ks_buffer *out, const char *text)
{
	ks_buffer_text(out, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			ks_buffer_text(out, "\\");
		ks_buffer_put(out, text, 1);
	}
	ks_buffer_text(out, "\"");
}

void ks_glue_quoted_path(struct ks_buffer *out, const struct making *making, const char *name, const char *ending)
{
	ks_auto_mem char *path = NULL;

	if (asprintf(&path, "%s/%s%s", making->wish->folder, name, ending) < 0)
		path = NULL;
	ks_glue_quoted(out, path ? path : "");
}

/* ---- names ---- */

/* `label` as a file may be called everywhere: what is not a letter, a digit or one of . _ - becomes _. */
static char *plain_name(struct ks_bytes label, const char *otherwise)
{
	size_t size = label.size < LONGEST_NAME ? label.size : LONGEST_NAME;
	char *name = size ? calloc(1, size + 1) : strdup(otherwise);

	for (size_t i = 0; name && i < size; i++) {
		char c = (char)label.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		name[i] = c;
		if (!letter && (i == 0 || !strchr("._-", c) || !c))
			name[i] = '_';
	}
	return name;
}

static bool name_is_taken(const struct making *making, const char *name)
{
	for (size_t i = 0; i < making->key_count; i++) {
		if (strcasecmp(making->keys[i].name, name) == 0)
			return true;
	}
	return false;
}

/* A second key of that name is told apart by the beginning of its id, a third with the same by a number. */
static char *free_name(const struct making *making, const struct ks_item *item)
{
	char digits[2 * 4 + 1] = "";
	char *name = plain_name(item->label, "key"), *longer = NULL;
	const struct ks_bytes begin = { item->id.data, item->id.size < 4 ? item->id.size : 4 };

	if (!name || !name_is_taken(making, name))
		return name;
	ks_hex(digits, begin);
	if (asprintf(&longer, "%s-%s", name, digits) < 0)
		longer = NULL;
	if (longer && (!*digits || name_is_taken(making, longer))) {
		free(longer);
		if (asprintf(&longer, "%s-%s%zu", name, digits, making->key_count + 1) < 0)
			longer = NULL;
	}
	free(name);
	return longer;
}

/* ---- the keys ---- */

/* Without a login a public key stands for its private one, which may not be seen; with one it is alone. */
static bool is_key(const struct ks_store *store, const struct ks_entry *entry)
{
	const struct ks_item *key = entry->key;

	return key && (key->kind == KS_PRIVATE_KEY || (key->kind == KS_PUBLIC_KEY && !(store->mode & KS_LOGIN)));
}

static struct ks_bytes spki_of(const struct ks_entry *entry, const struct ks_item *item)
{
	struct ks_certificate_facts facts;

	if (item->spki.data)
		return item->spki;
	if (item->kind == KS_PUBLIC_KEY)
		return item->der;
	if (entry->public_key)
		return entry->public_key->der;
	if (entry->certificate && ks_certificate_facts(&facts, entry->certificate->der) == 0)
		return facts.spki;
	return KS_NONE;
}

/* Without a login only the public halves are seen; the address is that of the private key all the same. */
static char *private_address(struct making *making, const struct ks_item *item, bool label_is_its_own)
{
	struct ks_item as_private = *item;
	unsigned by = KS_BY_KIND | KS_BY_LABEL | (item->label.size && label_is_its_own ? 0 : KS_BY_ID);
	char *address = NULL;

	as_private.kind = KS_PRIVATE_KEY;
	return ks_object_address(&address, making->address, &as_private, by) == 0 ? address : NULL;
}

static int add_key(struct making *making, const struct ks_entry *entry, bool label_is_its_own)
{
	ks_auto_mem char *name = free_name(making, entry->key);
	ks_auto_mem char *uri = private_address(making, entry->key, label_is_its_own);

	if (!name || !uri)
		return ks_nomem(making->ctx);
	making->keys[making->key_count++] = (struct glue_key){
		.entry = entry,
		.item = entry->key,
		.name = ks_take(name),
		.uri = ks_take(uri),
		.spki = spki_of(entry, entry->key),
	};
	return 0;
}

/* Tokens list their objects in any order; files keep their names. */
static int by_label_and_id(const void *one, const void *other)
{
	const struct ks_item *left = (*(const struct ks_entry *const *)one)->key;
	const struct ks_item *right = (*(const struct ks_entry *const *)other)->key;
	int order = ks_bytes_compare(left->label, right->label);

	return order ? order : ks_bytes_compare(left->id, right->id);
}

static size_t list_keys(const struct ks_entry **list, const struct ks_store *store)
{
	const struct ks_entry *entry;
	size_t count = 0;

	for (size_t i = 0; (entry = ks_store_entry_at(store, i)); i++) {
		if (is_key(store, entry))
			list[count++] = entry;
	}
	qsort(list, count, sizeof(*list), by_label_and_id);
	return count;
}

static int find_keys(struct making *making)
{
	const struct ks_store *store = making->store;
	size_t count = ks_store_entry_count(store);
	ks_auto_mem const struct ks_entry **list = ks_array(count + 1, sizeof(*list));
	const struct ks_entry *meant = NULL;
	int rc = 0;

	making->keys = ks_array(count + 1, sizeof(*making->keys));
	if (!making->keys || !list)
		return ks_nomem(making->ctx);
	if (ks_where_names_entry(store->where)) {
		rc = ks_store_entry(&meant, store, store->where);
		if (rc == 0 && !is_key(store, meant))
			rc = ks_fail(making->ctx, KS_ENOTFOUND, "%s is no key", ks_where_text(store->where));
	}
	count = rc == 0 ? list_keys(list, store) : 0;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		bool shared = (i > 0 && ks_bytes_equal(list[i - 1]->key->label, list[i]->key->label)) ||
			      (i + 1 < count && ks_bytes_equal(list[i + 1]->key->label, list[i]->key->label));

		if (!meant || meant == list[i])
			rc = add_key(making, list[i], !shared);
	}
	return rc;
}

/*
 * The token's address as it was typed, without an entry and without a query. A label is written as the token has it: keystow finds
 * "walnut (UserPIN)" as walnut too, other programs do not.
 */
static int token_address(char **out, const struct ks_where *where, const struct ks_token *token)
{
	const char *text = ks_where_text(where);
	ks_auto_mem char *bare = strndup(text, strcspn(text, "?#"));
	P11KitUri *uri = ks_p11kit.uri_new();
	CK_TOKEN_INFO *info;
	int rc = KS_ENOMEM;

	if (bare && uri && ks_p11kit.uri_parse(bare, P11_KIT_URI_FOR_ANY, uri) == P11_KIT_URI_OK) {
		info = ks_p11kit.uri_get_token_info(uri);
		ks_p11kit.uri_clear_attributes(uri);
		if (info->label[0]) {
			memset(info->label, ' ', sizeof(info->label));
			memcpy(info->label, token->label, strnlen(token->label, sizeof(info->label)));
		}
		rc = ks_p11kit.uri_format(uri, P11_KIT_URI_FOR_ANY, out) == P11_KIT_URI_OK ? 0 : KS_ENOMEM;
	}
	ks_p11kit.uri_free(uri);
	return rc;
}

static void make_all(struct making *making)
{
	for (size_t i = 0; i < KS_PROGRAMS; i++) {
		making->program = (enum ks_program)i;
		if (making->rc < 0 || !(making->wish->programs & (1u << i)))
			continue;
		makers[i](making);
		ks_glue_limits(making);
	}
	for (size_t i = 0; making->rc == 0 && i < making->glue->file_count; i++) {
		if (making->glue->files[i].text->status)
			making->rc = ks_nomem(making->ctx);
	}
}

int ks_glue_make(struct ks_glue **out, struct ks_store *store, const struct ks_token *token,
		 const struct ks_glue_wish *wish)
{
	ks_auto(glue) glue = calloc(1, sizeof(*glue));
	ks_auto_mem char *address = NULL;
	struct making making = { .ctx = store->ctx, .store = store, .token = token, .wish = wish, .glue = glue };
	int rc = glue ? token_address(&address, store->where, token) : KS_ENOMEM;

	if (rc == 0 && !(glue->name = plain_name(ks_bytes_of(token->label), "token")))
		rc = KS_ENOMEM;
	if (rc < 0)
		return ks_nomem(store->ctx);
	making.address = address;
	rc = find_keys(&making);
	if (rc == 0) {
		make_all(&making);
		rc = making.rc;
	}
	for (size_t i = 0; i < making.key_count; i++) {
		free(making.keys[i].name);
		free(making.keys[i].uri);
	}
	free(making.keys);
	if (rc < 0)
		return rc;
	*out = ks_take(glue);
	return 0;
}
