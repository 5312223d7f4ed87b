/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a CA puts into a certificate, and which wishes it grants.
 *
 * A wish outside the profile is refused with the sentence that says which one, never dropped: a certificate that
 * silently lacks a name is found out by the users of the server, months later.
 */
#include "profile.h"

#include "certificate.h"
#include "der.h"
#include "disk.h"
#include "ini.h"
#include "text.h"

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <string.h>

KS_FREES_SSL(X509_EXTENSION)

static inline void ks_CONF_freep(CONF **conf)
{
	NCONF_free(*conf);
}

#define LONGEST_PROFILE 65536
#define LONGEST_VALIDITY 36500 /* days */

static const struct built_in {
	const char *name, *title, *key_usage, *extended_usage, *names, *key;
	unsigned days;
	bool is_ca, needs_name;
} built_ins[] = {
	{ "client", "people and programs that log in", "critical,digitalSignature", "clientAuth", "dns email uri upn",
	  "p256", 365, false, false },
	{ "server", "servers that people and programs connect to", "critical,digitalSignature,keyEncipherment",
	  "serverAuth", "dns ip uri", "p256", 365, false, true },
	{ "mutual", "programs that are server and client to each other", "critical,digitalSignature,keyEncipherment",
	  "serverAuth,clientAuth", "dns ip email uri", "p256", 365, false, false },
	{ "ca", "a CA below this one, which may sign for end entities only", "critical,keyCertSign,cRLSign", NULL, "",
	  "p256", 1825, true, false },
	{ "mq", "IBM MQ queue managers and their clients", "critical,digitalSignature,keyEncipherment",
	  "serverAuth,clientAuth", "dns ip email uri", "rsa:2048", 365, false, false },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

const char *ks_profile_nth(size_t n)
{
	return n < COUNT(built_ins) ? built_ins[n].name : NULL;
}

void ks_profile_free(struct ks_profile *profile)
{
	if (!profile)
		return;
	free(profile->name);
	free(profile->title);
	free(profile->key_usage);
	free(profile->extended_usage);
	free(profile->allowed_names);
	free(profile->extensions);
	free(profile);
}

/* ---- finding ---- */

static const struct built_in *built_in_named(const char *name)
{
	for (size_t i = 0; i < COUNT(built_ins); i++) {
		if (strcmp(built_ins[i].name, name) == 0)
			return &built_ins[i];
	}
	return NULL;
}

/* A name is a file name in profiles/, so it may not wander. */
static bool name_plain(const char *name)
{
	return name[0] && name[0] != '.' && strlen(name) <= 64 &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

static int not_found(struct ks_ctx *ctx, const char *name)
{
	const char *names[COUNT(built_ins) + 1] = { NULL }, *near;
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(name));
	int rc = ks_fail(ctx, KS_ENOTFOUND, "there is no profile \"%s\"", shown ? shown : "");

	for (size_t i = 0; i < COUNT(built_ins); i++)
		names[i] = built_ins[i].name;
	near = ks_nearest(name, names);
	if (near)
		return ks_hint(ctx, rc, "did you mean \"%s\"?", near);
	return ks_hint(ctx, rc,
		       "built in are client, server, mutual, ca and mq; others are files in the CA's profiles/ folder");
}

static char *copy_of(const char *text)
{
	return text ? strdup(text) : NULL;
}

static int from_built_in(struct ks_profile *profile, struct ks_ctx *ctx, const struct built_in *row)
{
	profile->title = copy_of(row->title);
	profile->key_usage = copy_of(row->key_usage);
	profile->extended_usage = copy_of(row->extended_usage);
	profile->allowed_names = copy_of(row->names);
	profile->days = row->days;
	profile->is_ca = row->is_ca;
	profile->needs_name = row->needs_name;
	if (!profile->title || !profile->key_usage || !profile->allowed_names ||
	    (row->extended_usage && !profile->extended_usage))
		return ks_nomem(ctx);
	return ks_keyspec_parse(&profile->key, ctx, row->key);
}

/* ---- a profile of the CA's own ---- */

struct policy {
	char *title, *key_usage, *extended_usage, *names, *days, *ca, *needs_name, *key;
};

static const struct ks_ini_row policy_rows[] = {
	{ "profile", "title", offsetof(struct policy, title) },
	{ "profile", "key-usage", offsetof(struct policy, key_usage) },
	{ "profile", "extended-usage", offsetof(struct policy, extended_usage) },
	{ "profile", "names", offsetof(struct policy, names) },
	{ "profile", "days", offsetof(struct policy, days) },
	{ "profile", "ca", offsetof(struct policy, ca) },
	{ "profile", "needs-name", offsetof(struct policy, needs_name) },
	{ "profile", "key", offsetof(struct policy, key) },
	{ NULL, NULL, 0 },
};

static void policy_clear(struct policy *policy)
{
	for (const struct ks_ini_row *row = policy_rows; row->section; row++)
		free(*(char **)((char *)policy + row->place));
}

static void replace(char **have, char **wanted)
{
	if (!*wanted)
		return;
	free(*have);
	*have = ks_take(*wanted);
}

static int take_flag(bool *out, struct ks_ctx *ctx, const char *key, const char *value)
{
	if (!value)
		return 0;
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return ks_fail(ctx, KS_ECONFIG, "\"%s\" is yes or no", key);
	*out = strcmp(value, "yes") == 0;
	return 0;
}

static int take_days(unsigned *out, struct ks_ctx *ctx, const char *value)
{
	char *end;
	unsigned long days;

	if (!value)
		return 0;
	days = strtoul(value, &end, 10);
	if (*end || !strchr("123456789", value[0]) || !value[0] || days > LONGEST_VALIDITY)
		return ks_fail(ctx, KS_ECONFIG, "\"days\" is a number from 1 to %d", LONGEST_VALIDITY);
	*out = (unsigned)days;
	return 0;
}

static int take_policy(struct ks_profile *profile, struct ks_ctx *ctx, struct policy *policy)
{
	int rc = take_days(&profile->days, ctx, policy->days);

	if (rc == 0)
		rc = take_flag(&profile->is_ca, ctx, "ca", policy->ca);
	if (rc == 0)
		rc = take_flag(&profile->needs_name, ctx, "needs-name", policy->needs_name);
	if (rc == 0 && policy->key)
		rc = ks_keyspec_parse(&profile->key, ctx, policy->key);
	if (rc < 0)
		return rc;
	replace(&profile->title, &policy->title);
	replace(&profile->key_usage, &policy->key_usage);
	replace(&profile->extended_usage, &policy->extended_usage);
	replace(&profile->allowed_names, &policy->names);
	if (profile->extended_usage && !profile->extended_usage[0])
		free(ks_take(profile->extended_usage));
	if (!profile->key_usage || !profile->key_usage[0])
		return ks_fail(ctx, KS_ECONFIG, "\"key-usage\" is missing");
	if (profile->is_ca != (strstr(profile->key_usage, "keyCertSign") != NULL))
		return ks_fail(ctx, KS_ECONFIG,
			       "keyCertSign in \"key-usage\" goes with \"ca = yes\", and only with it");
	return 0;
}

/* Everything in the file is tried once now, so that a mistake in it is told before anything is signed. */
static int try_out(struct ks_ctx *ctx, const struct ks_profile *profile)
{
	ks_auto(buffer) scratch = ks_buffer_new(LONGEST_PROFILE);

	return scratch ? ks_profile_put(scratch, ctx, profile, &profile->key) : ks_nomem(ctx);
}

static int read_file(struct ks_profile *profile, struct ks_ctx *ctx, const char *path, struct ks_bytes text)
{
	struct ks_ini ini = { path, policy_rows, "extensions" };
	struct policy policy = { 0 };
	struct ks_bytes raw = KS_NONE;
	int rc = ks_ini_read(&policy, &raw, ctx, &ini, text);

	if (rc == 0)
		rc = ks_while(ctx, take_policy(profile, ctx, &policy), "%s", path);
	policy_clear(&policy);
	if (rc == 0 && raw.size && !(profile->extensions = strndup((const char *)raw.data, raw.size)))
		return ks_nomem(ctx);
	return rc < 0 ? rc : ks_while(ctx, try_out(ctx, profile), "%s", path);
}

/* A file without a built-in of its name starts from nothing but the ordinary key and a year. */
static int from_file(struct ks_profile *profile, struct ks_ctx *ctx, const char *path, const struct built_in *base)
{
	static const struct built_in empty = { .title = "", .key_usage = "", .names = "", .key = "p256", .days = 365 };
	ks_auto(buffer) text = NULL;
	int rc = ks_disk_read(&text, ctx, path);

	if (rc == KS_ENOTFOUND) {
		ks_forgive(ctx);
		return base ? from_built_in(profile, ctx, base) : not_found(ctx, profile->name);
	}
	if (rc == 0 && text->size > LONGEST_PROFILE)
		rc = ks_fail(ctx, KS_ELIMIT, "%s is longer than %d bytes", path, LONGEST_PROFILE);
	if (rc == 0)
		rc = from_built_in(profile, ctx, base ? base : &empty);
	return rc < 0 ? rc : read_file(profile, ctx, path, ks_buffer_bytes(text));
}

int ks_profile_find(struct ks_profile **out, struct ks_ctx *ctx, const char *dir, const char *name)
{
	ks_auto(profile) profile = calloc(1, sizeof(*profile));
	ks_auto_mem char *path = NULL;
	const struct built_in *base = built_in_named(name);
	int rc;

	if (!name_plain(name))
		return not_found(ctx, name);
	if (!profile || !(profile->name = strdup(name)))
		return ks_nomem(ctx);
	if (!dir)
		rc = base ? from_built_in(profile, ctx, base) : not_found(ctx, name);
	else if (asprintf(&path, "%s/profiles/%s", dir, name) < 0)
		rc = ks_nomem(ctx);
	else
		rc = from_file(profile, ctx, path, base);
	if (rc < 0)
		return rc;
	*out = ks_take(profile);
	return 0;
}

/* ---- what it puts into a certificate ---- */

static int put_encoded(struct ks_buffer *out, struct ks_ctx *ctx, X509_EXTENSION *extension)
{
	unsigned char *der = NULL;
	int size = i2d_X509_EXTENSION(extension, &der);

	if (size < 0)
		return ks_fail_openssl(ctx, KS_ENOMEM, "an extension cannot be encoded");
	ks_buffer_put(out, der, (size_t)size);
	OPENSSL_free(der);
	return out->status < 0 ? ks_fail(ctx, out->status, "the certificate's extensions do not fit") : 0;
}

static int put_from(struct ks_buffer *out, struct ks_ctx *ctx, CONF *conf, const char *name, const char *value)
{
	ks_auto_ssl(X509_EXTENSION) extension = NULL;
	X509V3_CTX how;

	X509V3_set_ctx(&how, NULL, NULL, NULL, NULL, 0);
	if (conf)
		X509V3_set_nconf(&how, conf);
	extension = X509V3_EXT_nconf(conf, &how, name, value);
	if (!extension) {
		ks_auto_mem char *shown = ks_text_show(ks_bytes_of(value));

		return ks_fail_openssl(ctx, KS_ECONFIG, "the extension %s = %s cannot be understood", name,
				       shown ? shown : "");
	}
	return put_encoded(out, ctx, extension);
}

int ks_extension_put(struct ks_buffer *out, struct ks_ctx *ctx, const char *name, const char *value)
{
	return put_from(out, ctx, NULL, name, value);
}

/* These follow from the key, the request and the policy; a second opinion in the file would contradict them. */
static bool is_ours(const char *name)
{
	static const int ours[] = { NID_basic_constraints,      NID_key_usage,
				    NID_ext_key_usage,          NID_subject_alt_name,
				    NID_subject_key_identifier, NID_authority_key_identifier };
	int nid = OBJ_txt2nid(name);

	for (size_t i = 0; i < COUNT(ours); i++) {
		if (nid == ours[i])
			return true;
	}
	return false;
}

static int put_own(struct ks_buffer *out, struct ks_ctx *ctx, CONF *conf)
{
	STACK_OF(CONF_VALUE) *rows = NCONF_get_section(conf, "extensions");
	int rc = 0;

	for (int i = 0; rc == 0 && i < sk_CONF_VALUE_num(rows); i++) {
		const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);

		if (is_ours(row->name))
			return ks_fail(ctx, KS_ECONFIG,
				       "%s does not belong under [extensions]: the policy above it and the request "
				       "decide it",
				       row->name);
		rc = put_from(out, ctx, conf, row->name, row->value);
	}
	return rc;
}

static int put_extensions(struct ks_buffer *out, struct ks_ctx *ctx, const char *text)
{
	static const char section[] = "[extensions]\n";
	__attribute__((cleanup(ks_CONF_freep))) CONF *conf = NCONF_new_ex(ks_crypto(ctx), NULL);
	ks_auto_ssl(BIO) lines = BIO_new(BIO_s_mem());
	long line = 0;

	if (!conf || !lines || BIO_puts(lines, section) <= 0 || BIO_puts(lines, text) < 0)
		return ks_nomem(ctx);
	if (NCONF_load_bio(conf, lines, &line) <= 0)
		return ks_fail_openssl(ctx, KS_ECONFIG, "line %ld under [extensions] cannot be understood", line - 1);
	return put_own(out, ctx, conf);
}

/* Is `word` one of the comma separated words of `list`? */
static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	while (list && *list) {
		list += strspn(list, ", \t");
		if (strncmp(list, word, length) == 0 && strchr(", \t", list[length]))
			return true;
		list += strcspn(list, ", \t");
	}
	return false;
}

/* The key usage without keyEncipherment, for keys that encipher nothing. */
static char *usage_for(const struct ks_profile *profile, const struct ks_keyspec *key)
{
	static const char word[] = "keyEncipherment";
	char *usage = strdup(profile->key_usage), *at;
	size_t before;

	if (!usage || key->type == KS_KEY_RSA || key->type == KS_KEY_UNKNOWN || !has_word(usage, word))
		return usage;
	at = strstr(usage, word);
	before = (size_t)(at - usage);
	while (before && strchr(", \t", usage[before - 1]))
		before--;
	memmove(usage + before, at + sizeof(word) - 1, strlen(at + sizeof(word) - 1) + 1);
	return usage;
}

int ks_profile_put(struct ks_buffer *out, struct ks_ctx *ctx, const struct ks_profile *profile,
		   const struct ks_keyspec *key)
{
	ks_auto_mem char *usage = usage_for(profile, key);
	int rc;

	if (!usage)
		return ks_nomem(ctx);
	rc = ks_extension_put(out, ctx, "basicConstraints",
			      profile->is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
	if (rc == 0)
		rc = ks_extension_put(out, ctx, "keyUsage", usage);
	if (rc == 0 && profile->extended_usage)
		rc = ks_extension_put(out, ctx, "extendedKeyUsage", profile->extended_usage);
	if (rc == 0 && profile->extensions)
		rc = put_extensions(out, ctx, profile->extensions);
	return rc;
}

/* ---- what it grants ---- */

static int refused(struct ks_ctx *ctx, const struct ks_profile *profile, const char *what)
{
	int rc = ks_fail(ctx, KS_EPROFILE, "the profile %s does not allow %s", profile->name, what);

	return ks_hint(
		ctx, rc,
		"make the request without it, choose another profile, or write one into the CA's profiles/ folder");
}

static int refused_text(struct ks_ctx *ctx, const struct ks_profile *profile, const char *before, const char *what)
{
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(what));
	char text[512];

	snprintf(text, sizeof(text), "%s %.400s", before, shown ? shown : "");
	return refused(ctx, profile, text);
}

static int names_granted(struct ks_ctx *ctx, const struct ks_profile *profile, const struct ks_request *request)
{
	char text[512];

	for (size_t i = 0; i < request->names.count; i++) {
		const struct ks_altname *name = &request->names.names[i];

		if (has_word(profile->allowed_names, name->kind))
			continue;
		snprintf(text, sizeof(text), "the alternative name %s:", name->kind);
		return refused_text(ctx, profile, text, name->value);
	}
	if (profile->needs_name && request->names.count == 0)
		return ks_hint(ctx,
			       ks_fail(ctx, KS_EPROFILE,
				       "the profile %s needs an alternative name, and none is asked for",
				       profile->name),
			       "add one: --san dns:www.example.org");
	return 0;
}

static int usage_granted(struct ks_ctx *ctx, const struct ks_profile *profile, const struct ks_request *request,
			 struct ks_bytes value)
{
	static const char *const bits[] = { "digitalSignature", "nonRepudiation", "keyEncipherment",
					    "dataEncipherment", "keyAgreement",   "keyCertSign",
					    "cRLSign",          "encipherOnly",   "decipherOnly" };
	ks_auto_mem char *usage = usage_for(profile, &request->key);
	struct ks_der asked;

	if (!usage)
		return ks_nomem(ctx);
	if (ks_der_only(&asked, value, KS_DER_BITS) < 0 || asked.content.size < 1 || asked.content.size > 3)
		return ks_fail(ctx, KS_EDAMAGED, "the request is damaged: its keyUsage");
	for (size_t i = 0; i < COUNT(bits); i++) {
		if (1 + i / 8 < asked.content.size && (asked.content.data[1 + i / 8] & (0x80 >> i % 8)) &&
		    !has_word(usage, bits[i]))
			return refused_text(ctx, profile, "the key usage", bits[i]);
	}
	return 0;
}

/* Is the purpose with that OID among the profile's, by whatever word it is written there? */
static bool purpose_allowed(const struct ks_profile *profile, const ASN1_OBJECT *purpose)
{
	char dotted[128];
	int nid = OBJ_obj2nid(purpose);

	if (nid != NID_undef &&
	    (has_word(profile->extended_usage, OBJ_nid2sn(nid)) || has_word(profile->extended_usage, OBJ_nid2ln(nid))))
		return true;
	return OBJ_obj2txt(dotted, sizeof(dotted), purpose, 1) > 0 && has_word(profile->extended_usage, dotted);
}

static int purposes_granted(struct ks_ctx *ctx, const struct ks_profile *profile, struct ks_bytes value)
{
	const unsigned char *at = value.data;
	EXTENDED_KEY_USAGE *asked = d2i_EXTENDED_KEY_USAGE(NULL, &at, (long)value.size);
	char name[128];
	int rc = 0;

	if (!asked)
		return ks_fail_openssl(ctx, KS_EDAMAGED, "the request is damaged: its extendedKeyUsage");
	for (int i = 0; rc == 0 && i < sk_ASN1_OBJECT_num(asked); i++) {
		const ASN1_OBJECT *purpose = sk_ASN1_OBJECT_value(asked, i);

		if (purpose_allowed(profile, purpose))
			continue;
		OBJ_obj2txt(name, sizeof(name), purpose, 0);
		rc = refused_text(ctx, profile, "the purpose", name);
	}
	EXTENDED_KEY_USAGE_free(asked);
	return rc;
}

/* A certificate carries the identifier that all its verifiers compute; another one in the request is said, not obeyed. */
static int key_id_compare(struct ks_ctx *ctx, const struct ks_request *request, struct ks_bytes value)
{
	unsigned char id[20];
	struct ks_der asked;

	if (ks_der_only(&asked, value, KS_DER_OCTETS) < 0 || ks_spki_id(id, request->spki) < 0)
		return ks_fail(ctx, KS_EDAMAGED, "the request is damaged: its subjectKeyIdentifier");
	if (!ks_bytes_equal(asked.content, KS_BYTES(id, sizeof(id))))
		ks_notice(ctx, KS_EPROFILE, NULL, NULL,
			  "the request names its key in a way of its own; the certificate uses SHA-1 of "
			  "the public key (RFC 5280)");
	return 0;
}

/* keyUsage and extendedKeyUsage among the extensions asked for; the request's reader has checked their outer shape. */
static int usages_granted(struct ks_ctx *ctx, const struct ks_profile *profile, const struct ks_request *request)
{
	struct ks_der all, one, oid, critical, value;
	struct ks_bytes rest, parts;
	int rc = 0;

	if (!request->extensions.data || ks_der_only(&all, request->extensions, KS_DER_SEQUENCE) < 0)
		return 0;
	rest = all.content;
	while (rc == 0 && ks_der_next(&one, &rest) == 0) {
		parts = one.content;
		if (ks_der_expect(&oid, &parts, KS_DER_OID) < 0)
			continue;
		ks_der_maybe(&critical, &parts, KS_DER_BOOLEAN);
		if (ks_der_expect(&value, &parts, KS_DER_OCTETS) < 0)
			continue;
		if (ks_der_is(oid.content, "\x55\x1d\x0f"))
			rc = usage_granted(ctx, profile, request, value.content);
		else if (ks_der_is(oid.content, "\x55\x1d\x25"))
			rc = purposes_granted(ctx, profile, value.content);
		else if (ks_der_is(oid.content, "\x55\x1d\x0e"))
			rc = key_id_compare(ctx, request, value.content);
	}
	return rc;
}

int ks_profile_grants(struct ks_ctx *ctx, const struct ks_profile *profile, const struct ks_request *request)
{
	struct ks_der subject;
	int rc;

	if (request->wants_ca && !profile->is_ca)
		return refused(ctx, profile, "a certificate for a CA");
	if (request->unknown)
		return refused_text(ctx, profile, "the extension", request->unknown[0]);
	if (ks_der_only(&subject, request->subject, KS_DER_SEQUENCE) < 0 ||
	    (subject.content.size == 0 && (request->names.count == 0 || profile->is_ca)))
		return refused(ctx, profile, "a certificate without a subject");
	rc = names_granted(ctx, profile, request);
	return rc < 0 ? rc : usages_granted(ctx, profile, request);
}
