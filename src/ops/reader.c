/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs and the rules that they go by, one row each. tests/peers/reader_test.py asks the real program about all of them but
 * these: two private keys of one id, and a public key alone, for Java and NSS; a key without label and id for libp11; that libp11 and
 * ssh open no PKCS#12 file.
 */
#include "reader.h"

#include "alias.h"
#include "certificate.h"
#include "text.h"

#include <openssl/obj_mac.h>

#include <stdio.h>
#include <string.h>

/* What a store is for a program; bits. */
enum form { TOKEN = 1, P12 = 2, PEM = 4, DER = 8, P7 = 16, JKS = 32, OF_ALL = 31 };
enum program { JAVA = 1, NSS = 2, OPENSSL = 4, LIBP11 = 8, SSH = 16, GNUTLS = 32 };

struct ks_reader {
	enum program bit;
	const char *name, *title;
	unsigned opens; /* forms */
	const char *instead; /* where to copy what it does not open */
};

static const struct ks_reader readers[] = {
	{ JAVA, "java", "Java", TOKEN | P12 | JKS, "p12:NEW.p12" },
	{ NSS, "nss", "NSS", TOKEN | P12 | PEM | DER, "p12:NEW.p12" },
	{ OPENSSL, "openssl", "OpenSSL", OF_ALL | JKS, "pem:NEW.pem" },
	{ LIBP11, "openssl-engine", "OpenSSL's pkcs11 engine", TOKEN, "pkcs11:token=LABEL" },
	{ SSH, "ssh", "OpenSSH", TOKEN | PEM, "pem:NEW.pem" },
	{ GNUTLS, "gnutls", "GnuTLS", OF_ALL, "pem:NEW.pem" },
};
#define READERS (sizeof(readers) / sizeof(readers[0]))

const struct ks_reader *ks_reader_nth(size_t n)
{
	return n < READERS ? &readers[n] : NULL;
}

const char *ks_reader_name(const struct ks_reader *reader)
{
	return reader->name;
}

const char *ks_reader_title(const struct ks_reader *reader)
{
	return reader->title;
}

int ks_reader_named(const struct ks_reader **out, struct ks_ctx *ctx, const char *name)
{
	const char *names[READERS + 1] = { NULL };
	ks_auto_mem char *shown = ks_text_show(ks_bytes_of(name));
	const char *near;
	char list[128] = "";

	for (size_t i = 0; i < READERS; i++) {
		if (strcmp(readers[i].name, name) == 0) {
			*out = &readers[i];
			return 0;
		}
		names[i] = readers[i].name;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "", names[i]);
	}
	near = ks_nearest(name, names);
	return ks_hint(
		ctx,
		ks_fail(ctx, KS_EUSAGE, "keystow does not know what a program \"%.100s\" reads", shown ? shown : "?"),
		"%s%s%sthe words are %s", near ? "did you mean " : "", near ? near : "", near ? "? " : "", list);
}

/* ---- what a rule looks at ---- */

struct look {
	const struct ks_reader *reader;
	const struct ks_survey *survey;
	const struct ks_facts *facts;
	struct ks_store *store;
	const struct ks_entry *entry;
	struct ks_item *key; /* private key, or NULL */
	struct ks_bytes spki; /* of the entry */
	struct ks_keyspec spec;
};

static enum form form_of(const struct ks_facts *facts)
{
	static const struct {
		const char *format;
		enum form form;
	} forms[] = { { "pkcs11", TOKEN }, { "pkcs12", P12 }, { "jks", JKS }, { "jceks", JKS },
		      { "pem", PEM },      { "der", DER },    { "pkcs7", P7 } };

	for (size_t i = 0; facts->format && i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (strcmp(facts->format, forms[i].format) == 0)
			return forms[i].form;
	}
	return 0;
}

/* A stranger's certificate under the same id is another matter. */
static bool no_certificate(const struct look *look)
{
	return look->key && look->key->id.size && !look->entry->certificate &&
	       !ks_survey_id(look->survey, look->key->id, KS_CERTIFICATE).count;
}

static bool key_without_certificate(const struct look *look)
{
	return look->key && !look->entry->certificate;
}

/* Java makes an alias lower case before it looks for it. */
static bool has_capitals(const struct look *look)
{
	struct ks_bytes label = ks_entry_label(look->entry), alias;

	return ks_alias_of(&alias, label, look->store->items) == 0 && !ks_bytes_equal(label, alias);
}

static bool no_id(const struct look *look)
{
	return look->key && !look->key->id.size;
}

static bool ids_differ(const struct look *look)
{
	return look->key && look->entry->certificate && look->key->id.size &&
	       !ks_bytes_equal(look->key->id, look->entry->certificate->id);
}

static bool id_shared(const struct look *look)
{
	return look->key && ks_span_mixed(ks_survey_id(look->survey, look->key->id, KS_PRIVATE_KEY));
}

/* A certificate of another key has the key's id. */
static bool wrong_certificate(const struct look *look)
{
	struct ks_span span =
		look->key ? ks_survey_id(look->survey, look->key->id, KS_CERTIFICATE) : (struct ks_span){ NULL, 0 };

	return span.count && look->spki.data &&
	       (ks_span_mixed(span) || !ks_bytes_equal(span.first[0]->spki, look->spki));
}

static bool edwards_key(const struct look *look)
{
	return look->key && (look->spec.type == KS_KEY_ED25519 || look->spec.type == KS_KEY_ED448);
}

static bool curve_of_nist(const struct ks_keyspec *spec)
{
	return spec->curve == NID_X9_62_prime256v1 || spec->curve == NID_secp384r1 || spec->curve == NID_secp521r1;
}

static bool other_curve(const struct look *look)
{
	return look->key && look->spec.type == KS_KEY_EC && !curve_of_nist(&look->spec);
}

static bool key_alone(const struct look *look)
{
	return look->entry->key && look->entry->key->kind == KS_PUBLIC_KEY && !look->entry->certificate;
}

static bool private_key(const struct look *look)
{
	return look->key != NULL;
}

static bool certificate_alone(const struct look *look)
{
	return !look->key && look->entry->certificate;
}

static bool not_trusted(const struct look *look)
{
	return certificate_alone(look) && !ks_item_is_anchor(look->entry->certificate);
}

/* Halves without ids belong together for ssh when they are called alike. */
static bool no_public_half(const struct look *look)
{
	return look->key && !look->entry->public_key && !look->entry->certificate &&
	       (look->key->id.size || !ks_survey_label(look->survey, look->key->label, KS_PUBLIC_KEY).count);
}

static bool public_half_unknown(const struct look *look)
{
	return look->key && !look->spki.data;
}

static bool labels_differ(const struct look *look)
{
	return look->key && look->entry->certificate && look->key->label.size &&
	       !ks_bytes_equal(look->key->label, look->entry->certificate->label);
}

static bool no_label(const struct look *look)
{
	return !ks_entry_label(look->entry).size;
}

static bool certificate_unnamed(const struct look *look)
{
	return look->entry->certificate && !look->entry->certificate->label.size;
}

static bool nameless(const struct look *look)
{
	return look->key && !look->key->id.size && !look->key->label.size;
}

static bool alias_shared(const struct look *look)
{
	struct ks_bytes label = ks_entry_label(look->entry);
	size_t count = ks_survey_label(look->survey, label, KS_PRIVATE_KEY).count;

	if (!label.size)
		return false;
	if (count > 1 || !not_trusted(look))
		count += look->key ? 0 : ks_survey_label(look->survey, label, KS_CERTIFICATE).count;
	return count > 1;
}

static bool pbmac1(const struct look *look)
{
	return look->facts->mac && strncmp(look->facts->mac, "PBMAC1", 6) == 0;
}

static bool no_mac(const struct look *look)
{
	return !look->facts->mac;
}

#define JAVA_ROUNDS 5000000
static bool many_rounds(const struct look *look)
{
	return look->facts->mac_iterations > JAVA_ROUNDS || look->facts->kdf_iterations > JAVA_ROUNDS;
}

static bool strange_password(const struct look *look)
{
	const struct ks_secret *secret = ks_set_secret(look->store->items);

	for (size_t i = 0; secret && i < ks_secret_size(secret); i++) {
		if ((unsigned char)ks_secret_bytes(secret)[i] >= 0x80)
			return true;
	}
	return false;
}

/* libp11 up to 0.4.13 gives up its whole list at a private key that is neither RSA nor EC. */
static bool engine_blinded(const struct look *look)
{
	return look->key && ks_survey_key_types(look->survey) & (1U << KS_KEY_ED25519 | 1U << KS_KEY_ED448);
}

/* ---- the rules ---- */

#define PAIR_ANEW "keystow lint STORE --fix"

static const struct rule {
	unsigned readers, forms;
	enum ks_sight sight; /* what becomes of the entry; KS_USED = a remark */
	const char *code;
	bool (*applies)(const struct look *look);
	const char *text;
	const char *next; /* STORE stands for the address; NULL = nothing is to be done */
} rules[] = {
	/* Java: SunPKCS11 pairs by CKA_ID alone, and lists nothing else but what CKA_TRUSTED marks. */
	{ JAVA, TOKEN, KS_UNSEEN, "no-certificate", no_certificate,
	  "no certificate belongs to the key, and Java shows a key only together with one",
	  "ask for one: keystow enroll, or keystow request and keystow install" },
	{ JAVA, TOKEN, KS_UNSEEN, "no-id", no_id,
	  "the private key has no id, and Java pairs key and certificate by their id", PAIR_ANEW },
	{ JAVA, TOKEN, KS_UNSEEN, "id-differs", ids_differ,
	  "key and certificate have different ids, and Java pairs them by their id", PAIR_ANEW },
	{ JAVA | NSS, TOKEN, KS_SEEN, "wrong-certificate", wrong_certificate,
	  "a certificate of another key has this key's id, and may be taken for its own", PAIR_ANEW },
	{ JAVA | NSS, TOKEN, KS_SEEN, "id-shared", id_shared,
	  "another private key has the same id, and may be taken for this one", PAIR_ANEW },
	{ JAVA, TOKEN, KS_SEEN, "key-type", edwards_key,
	  "SunPKCS11 of Java 17 shows an Ed25519 key and cannot use it (unknown key type)",
	  "make a key of type p256 for Java, or keep this one in a file" },
	{ JAVA, TOKEN, KS_UNSEEN, "not-trusted", not_trusted,
	  "Java shows a certificate without key only when its token marks it as trusted",
	  "put it into a PKCS#12 file for Java: keystow copy" },
	{ JAVA | NSS, TOKEN, KS_UNSEEN, "public-key", key_alone,
	  "a public key without private key and certificate is not shown", NULL },
	{ JAVA, TOKEN, KS_USED, "alias", labels_differ,
	  "Java calls the entry by its certificate's label, which is not the key's", PAIR_ANEW },
	/* Java: PKCS#12. */
	{ JAVA, P12, KS_UNSEEN, "pbmac1", pbmac1, "Java 17 does not know PBMAC1, which guards the file",
	  "keystow copy STORE p12:NEW.p12 writes one that it reads" },
	{ JAVA, P12, KS_UNSEEN, "rounds", many_rounds,
	  "Java refuses files with more than 5,000,000 rounds of key derivation",
	  "keystow copy STORE p12:NEW.p12 writes one that it reads" },
	{ JAVA, P12, KS_UNSEEN, "not-trusted", not_trusted,
	  "Java shows a certificate without key only when the file marks it as trusted",
	  "keystow merge CERTIFICATE STORE puts it there as trusted" },
	{ JAVA, P12, KS_UNSEEN, "alias-shared", alias_shared,
	  "another entry has the same label, or one that differs in case alone, and Java shows one of them",
	  "keystow rename gives one of them another" },
	{ JAVA, P12 | JKS, KS_SEEN, "no-certificate", key_without_certificate,
	  "no certificate belongs to the key, and Java cannot use it without",
	  "ask for one: keystow enroll, or keystow request and keystow install" },
	{ JAVA, P12 | JKS, KS_SEEN, "curve", other_curve, "Java 17 supports only the curves P-256, P-384 and P-521",
	  "make a key of type p256 for Java" },
	{ JAVA, P12, KS_USED, "alias", no_label, "the entry has no label, so Java calls it by a number",
	  "keystow rename gives it one" },
	{ JAVA, P12, KS_USED, "password", strange_password,
	  "the password has characters beyond ASCII, which Java takes for a wrong one", "keystow passwd STORE" },
	/* Java: its own kinds. */
	{ JAVA, JKS, KS_SEEN, "alias-shared", alias_shared,
	  "another entry has the same label, or one that differs in case alone, and Java finds one of them",
	  "keystow rename gives one of them another" },
	{ JAVA, JKS, KS_SEEN, "alias-case", has_capitals,
	  "its alias has capital letters, and Java looks for it in lower case (keytool -list stops there)",
	  "keystow rename gives it one in lower case" },
	/* NSS: a certificate is what a program chooses, and its key is the one with the same CKA_ID. */
	{ NSS, TOKEN, KS_UNSEEN, "no-certificate", no_certificate,
	  "no certificate belongs to the key, and programs on NSS choose keys by their certificate (certutil -K shows "
	  "it)",
	  "ask for one: keystow enroll, or keystow request and keystow install" },
	{ NSS, TOKEN, KS_SEEN, "no-id", no_id,
	  "the private key has no id, so NSS shows the certificate as one without a key", PAIR_ANEW },
	{ NSS, TOKEN, KS_SEEN, "id-differs", ids_differ,
	  "key and certificate have different ids, so NSS shows the certificate as one without a key", PAIR_ANEW },
	{ NSS, TOKEN, KS_SEEN, "key-type", edwards_key,
	  "NSS 3.87 lists an Ed25519 key as one of no type, and cannot use it", "make a key of type p256 for NSS" },
	{ NSS, TOKEN, KS_USED, "no-label", certificate_unnamed,
	  "the certificate has no label, so NSS shows it as (NULL)", "keystow rename gives it one" },
	{ NSS, P12, KS_UNSEEN, "pbmac1", pbmac1, "pk12util of NSS 3.87 does not know PBMAC1, which guards the file",
	  "keystow copy STORE p12:NEW.p12 writes one that it reads" },
	{ NSS, P12, KS_UNSEEN, "no-mac", no_mac, "pk12util refuses a file without MAC",
	  "keystow passwd STORE gives it one" },
	{ NSS, P12, KS_UNSEEN, "key-type", edwards_key, "pk12util of NSS 3.87 cannot import an Ed25519 key",
	  "make a key of type p256 for NSS" },
	{ NSS, P12, KS_UNSEEN, "no-certificate", key_without_certificate, "pk12util imports no key without certificate",
	  "ask for one: keystow enroll, or keystow request and keystow install" },
	{ NSS, PEM | DER, KS_UNSEEN, "private-key", private_key, "NSS takes private keys only from PKCS#12 files",
	  "keystow copy STORE p12:NEW.p12, then pk12util -i NEW.p12" },
	/* OpenSSL: with keystow's provider there is nothing that it cannot use. */
	{ OPENSSL, TOKEN, KS_SEEN, "halves", public_half_unknown,
	  "nothing tells the key's public half, without which keystow's provider cannot use it",
	  "give the key's public key or certificate on the token the same id" },
	{ OPENSSL, P12, KS_USED, "pbmac1", pbmac1,
	  "the openssl program knows PBMAC1, which guards the file, from 3.4 on; keystow's provider reads it before",
	  NULL },
	{ LIBP11, TOKEN, KS_UNSEEN, "key-type", engine_blinded,
	  "because of an Ed25519 key on the token libp11 up to 0.4.13 finds no private key on it at all, and crashes",
	  "keep Ed25519 keys on a token of their own, or use keystow's provider" },
	{ LIBP11, TOKEN, KS_UNSEEN, "no-id", nameless, "the key has neither label nor id, so nothing can name it",
	  "keystow rename gives it a label" },
	/* OpenSSH: public keys and certificates of the token, of three kinds. */
	{ SSH, TOKEN, KS_UNSEEN, "halves", no_public_half,
	  "ssh finds a key by its public key or certificate, and there is neither",
	  "keystow install puts a certificate beside it" },
	{ SSH, TOKEN, KS_UNSEEN, "key-type", edwards_key, "ssh 9.2 skips Ed25519 keys of tokens",
	  "make a key of type p256 for ssh, or keep this one in a file" },
	{ SSH, TOKEN | PEM, KS_SEEN, "curve", other_curve, "ssh supports only the curves P-256, P-384 and P-521",
	  "make a key of type p256 for ssh" },
	{ SSH, PEM, KS_UNSEEN, "key-type", edwards_key, "ssh 9.2 reads Ed25519 keys only in OpenSSH's own format",
	  "ssh-keygen makes one in its own format" },
	{ SSH, TOKEN | PEM, KS_UNSEEN, "certificate", certificate_alone,
	  "ssh makes nothing of an X.509 certificate without key", NULL },
	{ GNUTLS, OF_ALL, KS_SEEN, "curve", other_curve, "GnuTLS 3.7 supports only the curves P-256, P-384 and P-521",
	  "make a key of type p256 for GnuTLS" },
};

/* ---- one entry ---- */

/* `next` with STORE replaced by the address as a shell takes it. */
static char *next_for(const char *next, const struct ks_store *store)
{
	const char *at = next ? strstr(next, "STORE") : NULL;
	ks_auto_mem char *word = at ? ks_text_word(ks_where_text(store->where)) : NULL;
	char *text = NULL;

	if (!at)
		return strdup(next ? next : "");
	if (!word || asprintf(&text, "%.*s%s%s", (int)(at - next), next, word, at + strlen("STORE")) < 0)
		return NULL;
	return text;
}

static int tell(const struct look *look, struct ks_findings *out, int status, const char *code, const char *next,
		const char *text)
{
	ks_auto_mem char *hint = next_for(next, look->store);
	int rc = hint ? ks_finding_tell(out, status, look->reader->name, hint, "%s", text) : KS_ENOMEM;

	if (rc < 0)
		return ks_nomem(look->store->ctx);
	out->findings[out->count - 1].code = code;
	return 0;
}

/* The program does not open such stores at all. */
static int shut(const struct look *look, struct ks_findings *out)
{
	ks_auto_mem char *text = NULL, *next = NULL;
	const char *title = look->store->engine->title;

	if (asprintf(&text, "%s does not read a %s", look->reader->title, title) < 0 ||
	    asprintf(&next, "keystow copy STORE %s", look->reader->instead) < 0)
		return ks_nomem(look->store->ctx);
	return tell(look, out, KS_NO_INVALID, "format", next, text);
}

static void look_at(struct look *look)
{
	const struct ks_entry *entry = look->entry;
	struct ks_certificate_facts facts;

	look->key = entry->key && entry->key->kind == KS_PRIVATE_KEY ? entry->key : NULL;
	if (entry->key) {
		look->spki = entry->key->kind == KS_PUBLIC_KEY ? entry->key->der : entry->key->spki;
		look->spec = entry->key->key;
	}
	if (!look->spki.data && entry->public_key)
		look->spki = entry->public_key->der;
	if (entry->certificate && ks_certificate_facts(&facts, entry->certificate->der) == 0) {
		look->spki = look->spki.data ? look->spki : facts.spki;
		look->spec = look->spec.type == KS_KEY_UNKNOWN ? facts.key : look->spec;
	}
}

int ks_reader_look(enum ks_sight *sight, struct ks_findings *out, const struct ks_reader *reader,
		   struct ks_store *store, const struct ks_survey *survey, const struct ks_entry *entry)
{
	struct look look = { .reader = reader,
			     .survey = survey,
			     .facts = ks_set_facts_of(store->items),
			     .store = store,
			     .entry = entry };
	enum form form = form_of(look.facts);
	int rc = 0;

	*sight = KS_USED;
	look_at(&look);
	if (form && !(reader->opens & form)) {
		*sight = KS_UNSEEN;
		return shut(&look, out);
	}
	for (size_t i = 0; rc == 0 && i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *rule = &rules[i];

		if (!(rule->readers & reader->bit) || !(rule->forms & form) || !rule->applies(&look))
			continue;
		rc = tell(&look, out, rule->sight == KS_USED ? 0 : KS_NO_INVALID, rule->code, rule->next, rule->text);
		*sight = rule->sight > *sight ? rule->sight : *sight;
	}
	return rc;
}
