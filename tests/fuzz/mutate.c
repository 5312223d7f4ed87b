/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded damage: each sample is altered in a thousand ways (or as many as the first argument says) and read again,
 * in this process. No crash, no hang, no refusal without words; a store under a MAC that is accepted holds what it
 * held.
 *
 * mutate [COUNT [SEED]]   one TAP line a sample; a failure names the mutant, and `mutate NUMBER+1 SEED` ends with it
 *
 * A mutant that crashes or takes ten seconds is named by the signal handler.
 */
#include "trial.h"

#include "file/kdb.h"
#include "file/pem_scan.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SAFETY_STOP 60 /* seconds for one mutant; a machine under load included */
#define MUTANTS_A_CONTEXT 25 /* the derivation budget is a context's */

static const struct sample {
	const char *file;
	bool mac; /* an accepted mutant must not hold anything else */
} samples[] = {
	{ "der-certificate.der", false },
	{ "der-clear-key.der", false },
	{ "der-request.der", false },
	{ "der-sealed-key.der", false },
	{ "jceks-equal-halves-of-salt.jceks", true },
	{ "jceks-java-keys-secrets-and-trust.jceks", true },
	{ "jceks-objects-of-all-sorts.jceks", true },
	{ "jks-capitals-and-equal-aliases.jks", true },
	{ "jks-certificates-of-other-types.jks", true },
	{ "jks-java-two-keys-and-trust.jks", true },
	{ "jks-version-1.jks", true },
	{ "kdb-crls.crl", true },
	{ "kdb-every-kind-of-record.kdb", true },
	{ "kdb-requests.rdb", true },
	{ "kdb-signer-and-personal.kdb", true },
	{ "kdb-version-4.kdb", true },
	{ "p12-ber-in-pieces.p12", true },
	{ "p12-clear-key-in-an-encrypted-part.p12", true },
	{ "p12-encrypted-without-mac.p12", false },
	{ "p12-every-kind-of-bag.p12", true },
	{ "p12-gnutls.p12", true },
	{ "p12-java-trust-without-password.p12", false },
	{ "p12-java-two-keys-a-secret-and-trust.p12", true },
	{ "p12-openssl-aes.p12", true },
	{ "p12-openssl-certificates-only.p12", true },
	{ "p12-openssl-clear-under-a-mac.p12", true },
	{ "p12-openssl-no-mac.p12", false },
	{ "p12-openssl-rc2-and-3des.p12", true },
	{ "p12-pbmac1.p12", true },
	{ "p7-two-certificates.p7b", false },
	{ "pem-key-and-chain.pem", false },
	{ "pem-sealed-key-of-1996.pem", false },
	{ "pem-sealed-key.pem", false },
	{ "pem-trusted-certificate.pem", false },
	{ "pem-with-bag-attributes.pem", false },
};

/* ---- dice ---- */

static uint64_t dice;

/* xorshift64*: the same everywhere for the same seed. */
static uint32_t roll(uint32_t sides)
{
	dice ^= dice >> 12;
	dice ^= dice << 25;
	dice ^= dice >> 27;
	return sides ? (uint32_t)((dice * 2685821657736338717ULL) >> 33) % sides : 0;
}

/* ---- damage ---- */

static void flip_bits(struct ks_buffer *bytes)
{
	for (uint32_t left = 1 + roll(8); left; left--)
		bytes->data[roll((uint32_t)bytes->size)] ^= (unsigned char)(1u << roll(8));
}

static void set_bytes(struct ks_buffer *bytes)
{
	for (uint32_t left = 1 + roll(4); left; left--)
		bytes->data[roll((uint32_t)bytes->size)] = (unsigned char)roll(256);
}

static void cut_end(struct ks_buffer *bytes)
{
	bytes->size = roll((uint32_t)bytes->size);
}

static void drop_piece(struct ks_buffer *bytes)
{
	size_t at = roll((uint32_t)bytes->size), size = 1 + roll(64);

	if (size > bytes->size - at)
		size = bytes->size - at;
	memmove(bytes->data + at, bytes->data + at + size, bytes->size - at - size);
	bytes->size -= size;
}

/* A piece of itself, or dice, pushed in somewhere. */
static void push_piece(struct ks_buffer *bytes)
{
	unsigned char piece[256];
	size_t from = roll((uint32_t)bytes->size), at = roll((uint32_t)bytes->size), size = 1 + roll(sizeof(piece) - 1);
	bool own = roll(2);

	if (size > bytes->size - from)
		size = bytes->size - from;
	for (size_t i = 0; i < size; i++)
		piece[i] = own ? bytes->data[from + i] : (unsigned char)roll(256);
	if (!ks_buffer_room(bytes, size))
		return;
	memmove(bytes->data + at + size, bytes->data + at, bytes->size - at);
	memcpy(bytes->data + at, piece, size);
	bytes->size += size;
}

/* Lengths and tags that have broken other readers. */
static void put_nasty(struct ks_buffer *bytes)
{
	static const unsigned char nasty[] = { 0x00, 0x80, 0x81, 0x82, 0x84, 0x88, 0xff, 0x7f,
					       0x1f, 0x24, 0x30, 0xa0, 0x05, '-',  '\n', '=' };

	for (uint32_t left = 1 + roll(3); left; left--)
		bytes->data[roll((uint32_t)bytes->size)] = nasty[roll(sizeof(nasty))];
}

/* A run of one byte: NULs, dashes, nesting. */
static void put_run(struct ks_buffer *bytes)
{
	size_t at = roll((uint32_t)bytes->size), size = 1 + roll(300);
	unsigned char c = roll(2) ? (unsigned char)roll(256) : (unsigned char)"\0-0 \n\x30\xa0\x24"[roll(8)];

	memset(bytes->data + at, c, size < bytes->size - at ? size : bytes->size - at);
}

static void damage(struct ks_buffer *bytes)
{
	static void (*const ways[])(struct ks_buffer * bytes) = { flip_bits,  flip_bits,  set_bytes, cut_end,
								  drop_piece, push_piece, put_nasty, put_run };

	if (bytes->size)
		ways[roll(sizeof(ways) / sizeof(*ways))](bytes);
}

/* PEM: the DER inside a block is damaged and put into base64 again, for otherwise most mutants end at the alphabet. */
static bool damage_inside(struct ks_buffer *out, struct ks_bytes pem)
{
	struct ks_pem_scan scan = { .file = pem };
	struct ks_pem_block block;
	uint32_t skip = roll(3);
	bool found = false;

	while (ks_pem_next(&block, &scan)) {
		ks_auto(buffer) der = ks_buffer_new(1 << 20);
		unsigned char stranger;

		ks_buffer_put(out, block.text.data, block.text.size);
		if (found || skip-- > 0 || block.headers.data || !ks_buffer_room(der, block.body.size + 4) ||
		    ks_pem_decode(der->data, &der->size, block.body, &stranger) < 0) {
			ks_buffer_put(out, block.whole.data, block.whole.size);
			continue;
		}
		found = true;
		damage(der);
		ks_buffer_put(out, block.whole.data, (size_t)(block.body.data - block.whole.data));
		ks_pem_encode(out, ks_buffer_bytes(der));
		ks_buffer_put(out, block.body.data + block.body.size,
			      (size_t)(block.whole.data + block.whole.size - block.body.data - block.body.size));
	}
	return found;
}

/* Key databases: what is behind the HMACs is damaged, and these made again, for otherwise nothing damaged is ever written. */
static bool damage_under_mac(struct ks_buffer *out, struct ks_bytes database, struct ks_ctx *ctx,
			     const struct ks_secret *secret)
{
	const size_t mac = database.data[2] == 6 ? 48 : 20, start = KS_KDB_HEAD + 2 * mac;
	const char *digest = mac == 48 ? "SHA384" : "SHA1";
	ks_auto(buffer) slots = ks_buffer_new(database.size * 2);

	ks_buffer_put(slots, database.data + start, database.size - start);
	damage(slots);
	if (!ks_buffer_room(slots, database.size))
		return false;
	slots->size = database.size - start;
	ks_buffer_put(out, database.data, start);
	ks_buffer_put(out, slots->data, slots->size);
	return ks_kdb_mac(out->data + KS_KDB_HEAD, ctx, digest, secret, KS_BYTES(out->data, KS_KDB_HEAD), KS_NONE) ==
		       0 &&
	       ks_kdb_mac(out->data + KS_KDB_HEAD + mac, ctx, digest, secret, KS_BYTES(out->data, KS_KDB_HEAD + mac),
			  ks_buffer_bytes(slots)) == 0;
}

/* *sound: its integrity is in order, whatever it holds. */
static struct ks_buffer *mutant_of(bool *sound, const struct ks_buffer *sample, const struct ks_codec *codec,
				   struct ks_ctx *ctx, const struct ks_secret *secret)
{
	struct ks_buffer *mutant = ks_buffer_new(sample->size * 2 + 65536);

	*sound = codec == &ks_codec_kdb && roll(2);
	if (*sound && damage_under_mac(mutant, ks_buffer_bytes(sample), ctx, secret))
		return mutant;
	if (codec == &ks_codec_pem && roll(2) && damage_inside(mutant, ks_buffer_bytes(sample)))
		return mutant;
	mutant->size = 0;
	ks_buffer_put(mutant, sample->data, sample->size);
	for (uint32_t times = 1 + roll(2); times; times--)
		damage(mutant);
	if (codec == &ks_codec_jks || codec == &ks_codec_jceks)
		*sound = roll(2) && trial_mend(mutant, ctx, secret);
	return mutant;
}

/* ---- running ---- */

static const char *volatile running_file = "";
static volatile unsigned running_number;

static void tell(int signal_number)
{
	char text[256];
	int size = snprintf(text, sizeof(text), "Bail out! signal %d at mutant %u of %s\n", signal_number,
			    running_number, running_file);

	if (size > 0 && write(STDOUT_FILENO, text, (size_t)size) < 0)
		_exit(98);
	_exit(99);
}

static struct ks_ctx *fresh_context(struct ks_secret **secret)
{
	struct ks_settings settings = { .max_iterations = 2000000 };
	struct ks_ctx *ctx = NULL;

	if (ks_ctx_new(&ctx, &settings) < 0 || ks_secret_new(secret, ctx) < 0 ||
	    ks_secret_append(*secret, ctx, "sample", 6) < 0)
		abort();
	return ctx;
}

static void end_context(struct ks_ctx *ctx, struct ks_secret *secret)
{
	ks_secret_free(secret);
	if (ks_ctx_free(ctx) < 0)
		abort();
}

static struct ks_buffer *read_sample(const char *name)
{
	struct ks_buffer *buffer = ks_buffer_new(1 << 24);
	ks_auto_mem char *path = NULL;
	unsigned char chunk[4096];
	FILE *file;
	size_t got;

	if (asprintf(&path, "%s/tests/data/%s", getenv("KEYSTOW_SOURCE"), name) < 0)
		abort();
	file = fopen(path, "rb");
	if (!file)
		abort();
	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		ks_buffer_put(buffer, chunk, got);
	fclose(file);
	return buffer;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* What is wrong with how this mutant was taken; NULL = nothing. */
static const char *judge(const struct sample *sample, const struct trial *good, const struct trial *trial)
{
	if (trial->broken)
		return trial->broken;
	if (sample->mac && trial->status == 0 && memcmp(trial->content, good->content, sizeof(good->content)) != 0)
		return "a store under a MAC was accepted with other content";
	return NULL;
}

static const char *run_sample(const struct sample *sample, unsigned count, uint64_t seed, unsigned *accepted,
			      double *slowest)
{
	ks_auto(buffer) bytes = read_sample(sample->file);
	const struct ks_codec *codec = trial_codec(ks_buffer_bytes(bytes));
	struct ks_secret *secret = NULL;
	struct ks_ctx *ctx = fresh_context(&secret);
	struct trial good = trial_run(ctx, codec, ks_buffer_bytes(bytes), secret);
	const char *wrong = good.status < 0 ? "the sample itself is refused" : good.broken;

	running_file = sample->file;
	for (unsigned n = 0; !wrong && n < count; n++) {
		ks_auto(buffer) mutant = NULL;
		struct trial trial;
		double start;
		bool sound;

		dice = seed ^ ((uint64_t)n + 1) * 0x9e3779b97f4a7c15ULL;
		if (n % MUTANTS_A_CONTEXT == MUTANTS_A_CONTEXT - 1) {
			end_context(ctx, ks_take(secret));
			ctx = fresh_context(&secret);
		}
		mutant = mutant_of(&sound, bytes, codec, ctx, secret);
		running_number = n;
		alarm(SAFETY_STOP);
		start = now();
		trial = trial_run(ctx, roll(4) ? codec : NULL, ks_buffer_bytes(mutant), secret);
		if (now() - start > *slowest)
			*slowest = now() - start;
		*accepted += trial.status == 0;
		wrong = sound ? trial.broken : judge(sample, &good, &trial);
	}
	alarm(0);
	end_context(ctx, secret);
	return wrong;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 20261121;
	int failures = 0;

	signal(SIGALRM, tell);
	signal(SIGSEGV, tell);
	signal(SIGBUS, tell);
	signal(SIGABRT, tell);
	printf("1..%zu\n", sizeof(samples) / sizeof(*samples));
	for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
		unsigned accepted = 0;
		double slowest = 0;
		const char *wrong = run_sample(&samples[i], count, seed, &accepted, &slowest);

		printf("%s %zu - %u mutants of %s\n", wrong ? "not ok" : "ok", i + 1, count, samples[i].file);
		printf("# %u were accepted, the slowest took %.3f s\n", accepted, slowest);
		if (wrong)
			printf("# mutant %u: %s\n", running_number, wrong);
		fflush(stdout);
		failures += wrong != NULL;
	}
	return failures != 0;
}
