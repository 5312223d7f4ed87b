/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that the openssl program sealed, and keys sealed by us: what opens with which password, and what it costs.
 */
#include "file/key.h"
#include "file/protect.h"

#include <openssl/evp.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* One Ed25519 key under the password "geheim", by openssl 3.0 pkcs8 -topk8. */
static const char clear_key[] = "MC4CAQAwBQYDK2VwBCIEIObIJr6GG0L9MZm4MXNveGzIxQWN+gUAfpy4dtV183kp";

static const struct sealed_key {
	const char *how;
	const char *base64;
} sealed_keys[] = {
	{ "PBES2 AES-256, SHA-256",
	  "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjOJVFYxy5tvgICCAAwDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoE"
	  "ELGH7DoUTvBhlsguAYekkbEEQKPnCK7r6XxLXlnIHqeqvrPKKNiLrhERVlt9q/cv9zRFCbyAwcNZ1gH+e2mCzvzPCB3okhZL9IPh"
	  "o63+0QSoNdw=" },
	{ "PBES2 AES-128, SHA-1",
	  "MIGNMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAjk7LHr9bWlRgICCAAwHQYJYIZIAWUDBAECBBDk9C8Om9cMXjVy8qFz"
	  "Rfr5BEA3WKk7Kj3TLH3cotO5e087VMzb+6l9I8wye/G2A/XlntX0ugIcZPqmxLVYkf90O5BafCOiKiSaIN7s7668DEC7" },
	{ "PBES2 AES-192, SHA-512",
	  "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgBVSN8dkQLOgICCAAwDAYIKoZIhvcNAgsFADAdBglghkgBZQMEARYE"
	  "ECok4FJI2V5xcTbsYjamLz0EQPWsUOTctc8eZCRwGsPbTsVTmNcYdCRc4VfxbWwccHMnzwbpYD4Oi2GtnJJXahC9pwlkYZ20nKH5"
	  "nkO/nVufUbQ=" },
	{ "PBES2 AES-256, SHA-384",
	  "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiwwSjgiZ2y8gICCAAwDAYIKoZIhvcNAgoFADAdBglghkgBZQMEASoE"
	  "EIMQCTikuRGCgCJFAaPiBLoEQIzIEaNROgfs9+yDdFMepgq31E/pAuK7eNeN8Fc0GsHlugvaDe7nlA24gqL2z3T5SfTgXMuEBdqk"
	  "1tv3RHPS4nU=" },
	{ "PBES2 AES-256, SHA-512/256",
	  "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiZg4tKfnCsEQICCAAwDAYIKoZIhvcNAg0FADAdBglghkgBZQMEASoE"
	  "EEDnGjTOQ/Wy0qlmn1maMroEQFa6R3dciOUxQU+ASm1xxFrvlLtoaO5liGRIf2gvrnflhNUEl2+QDYvUmXQ/5L+aHqD498ZNQmtb"
	  "NTOIgz74zZU=" },
	{ "PBES2 Camellia-256",
	  "MIGdMFkGCSqGSIb3DQEFDTBMMCkGCSqGSIb3DQEFDDAcBAhsZdYM3y9tQQICCAAwDAYIKoZIhvcNAgkFADAfBgsqgwiMmks9AQEB"
	  "BAQQlBNh7UMgOaBp2+HDKEWvWgRAWaJ8dWSQWTQCWsS2CLdnKxhRm2vasLq/rHqxrFzXNb7gxN6p5U54xCgyshKKaDiaF1L8qgln"
	  "xqeWw8o7yAy/LA==" },
	{ "PBES2 ARIA-128",
	  "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjvuFcCqRoO/QICCAAwDAYIKoZIhvcNAgkFADAdBgkqgxqMmm4BAQIE"
	  "EMGfenTSk8AJZhpbEyp6jgQEQNSIbaANnr9EnUNZEOF8nb8plUeUXx4PPA7F0ZcVi0SBRFFWNSrc0n4N0PWaSF1ZGzMS5yflWNMk"
	  "Y++fSUJE0tg=" },
	{ "PBES2 SM4",
	  "MIGaMFYGCSqGSIb3DQEFDTBJMCkGCSqGSIb3DQEFDDAcBAgVX52Dk3rzigICCAAwDAYIKoZIhvcNAgkFADAcBggqgRzPVQFoAgQQ"
	  "Kf03caftpEit3V2FYaLLGARALsyOuOj39hsyNomsSPiWUmuT530V/tzmGkrqFrzDUUUm+zIfZkS0ievrzbDFuTiKdm12D7XC9MoE"
	  "1wADAFaS2g==" },
	{ "PBES2 3DES",
	  "MIGKME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAjsvllmTojRGwICCAAwDAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQI"
	  "IRdpaxsiTb0EOCn2rjfywV3lCE2h5/wuA/MVtv/MSrLVD9sSxWhRdKqTIgGrRuG0sIfdRF0Q5OpzbQDHRudCONFY" },
	{ "PBES2 RC2-128",
	  "MIGSMFYGCSqGSIb3DQEFDTBJMCwGCSqGSIb3DQEFDDAfBAhFqWEIxWtvkAICCAACARAwDAYIKoZIhvcNAgkFADAZBggqhkiG9w0D"
	  "AjANAgE6BAh+hbwhJQJvHwQ4V+XyGVbri2ax0HfsAKNbyft+1+mKeKsDsnamAjW7J6HAWNek6qFN7b4bSzWn9S9f3GYlNnK3eqo=" },
	{ "PBES2 RC2-40",
	  "MIGTMFcGCSqGSIb3DQEFDTBKMCwGCSqGSIb3DQEFDDAfBAjETgvN/pEOSAICCAACAQUwDAYIKoZIhvcNAgkFADAaBggqhkiG9w0D"
	  "AjAOAgIAoAQIlj90Cy6AsvEEOAeO/dbNQS40wzqKNAA6mwhtaSwwONPdKT7R91TTb2AstPXZROhIDb/UWGdr2W6+/l3+6ZFC+2j8" },
	{ "PBES2 RC2-64",
	  "MIGSMFYGCSqGSIb3DQEFDTBJMCwGCSqGSIb3DQEFDDAfBAgyUYecWu7UxwICCAACAQgwDAYIKoZIhvcNAgkFADAZBggqhkiG9w0D"
	  "AjANAgF4BAhVGUt6DFhiwgQ4vKlG4dic55UFfVmvrEjXN655D8IV+39HsROWYTKKB15zD6LQX0LbWx6838E/YxIJAATb/6CUP3U=" },
	{ "PBES2 DES",
	  "MIGHMEsGCSqGSIb3DQEFDTA+MCkGCSqGSIb3DQEFDDAcBAhna+aI+NAhlAICCAAwDAYIKoZIhvcNAgkFADARBgUrDgMCBwQIf9cG"
	  "7yVWQsUEOPORH8sK8A/QDUmeKpU07KN03OgQ1BDRAWshd3Tf9EGUcloAx4Ee0QGmWSwMhXdW1u6YVgjPyp7t" },
	{ "PBES2 SEED",
	  "MIGaMFYGCSqGSIb3DQEFDTBJMCkGCSqGSIb3DQEFDDAcBAg6EIjO8bg5hgICCAAwDAYIKoZIhvcNAgkFADAcBggqgxqMmkQBBAQQ"
	  "s6owA8KgYZT2JtobfIx9CgRAt0FKLzkdZA9jb7KDVRM7/Pxbv+QZi5s5zpVXWO4Xfwh/MH69PH4vxhVHPFhqAytsb91hQD/Cl6/L"
	  "Y+Cap8cvhA==" },
	{ "PBES2 scrypt",
	  "MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAjJxRnujuRgMgICBAACAQgCAQEwHQYJYIZIAWUDBAEqBBCExt8z9Hd+"
	  "JV/RHPBg9/vDBEBFdwevnnIDQ8+sa6MT56Y2+d03BQWMYwFBDwlx40p7Qpu0w0srdsFMZjlbKDnGnWsBWTOSJP6Y601nxf2Ckxm0" },
	{ "PBE-MD5-DES",
	  "MFcwGwYJKoZIhvcNAQUDMA4ECCHNiF7KH0PzAgIIAAQ4tTYbaMJEEOeQHgOllFusccYPJ2f6nncJoYaiXt4cYvenC7bZfqGGh/UQ"
	  "+3g8u3QJ/a/N/mgMJA0=" },
	{ "PBE-SHA1-DES",
	  "MFcwGwYJKoZIhvcNAQUKMA4ECM7mOXME6L3xAgIIAAQ4OlIs4J5S+Hprclc3DhA9jDyE/Q3ai72CPe/RVMHa3Bf1wJWghuN3quj8"
	  "rOCrFRuJ6DQKtlm1y64=" },
	{ "PBE-MD5-RC2-64",
	  "MFcwGwYJKoZIhvcNAQUGMA4ECJNe4M+fRYE2AgIIAAQ4KdDouqfjlOLgH5x/so1TtceMMW9PkbY5lDquFs0SaMxOXSUH4zAEkEkz"
	  "VBNWrp5Gt9NSm+5z7BA=" },
	{ "PBE-SHA1-RC2-64",
	  "MFcwGwYJKoZIhvcNAQULMA4ECF2+oYeDqRGiAgIIAAQ4YertGG8OQIHtQnjay5OalqCLALA9jf/JQA6pg5NHVW+h+L8hsVuJIyaa"
	  "OjMFID+TZv6dWcB1qDc=" },
	{ "PBE-SHA1-RC4-128",
	  "MFAwHAYKKoZIhvcNAQwBATAOBAguiyxGjsbfnwICCAAEMJ9n25EP+U52AA6ePJuLYYDM7LkaqnvJrl5QUCex28nm56rwq856kdUt"
	  "mw7hSL6Y+g==" },
	{ "PBE-SHA1-RC4-40",
	  "MFAwHAYKKoZIhvcNAQwBAjAOBAhErLf0zbWx0wICCAAEMAHy+gpq07wEbXMJoqFPBHIhp+8PhPfMnG2pxVIZObzanQ2TyydOVQtX"
	  "pCGcyGzOig==" },
	{ "PBE-SHA1-3DES",
	  "MFgwHAYKKoZIhvcNAQwBAzAOBAgbXQ4VBFsHoAICCAAEOFlyI7HDBLEFpr8kAGQpf2IQtN0c8qGk6JyPMvAub3xZ6lTSsKfLg0t0"
	  "uGnMYPhoLBaSYCy267YL" },
	{ "PBE-SHA1-2DES",
	  "MFgwHAYKKoZIhvcNAQwBBDAOBAh3EXqLSmTOAwICCAAEOKXDE62GKs82LfeB11Gtbb075yw04bLCSVMZIGnTZDY3ewUCyc84SXQO"
	  "KcM8C+W/KQqQg7x31j3x" },
	{ "PBE-SHA1-RC2-128",
	  "MFgwHAYKKoZIhvcNAQwBBTAOBAjQBLXPxeGERAICCAAEOPuJTl8DUaeOrhLb6IqY4q9PvDqN2+JvzAaVmmBOD8Wgi49SbiLXhdXR"
	  "Fm4+L5pSNZz2/FBXT+Nh" },
	{ "PBE-SHA1-RC2-40",
	  "MFgwHAYKKoZIhvcNAQwBBjAOBAiaqbn03mYGQgICCAAEOGsgr8WwQQdHR5jh7hAlgSLfbxYl14mv2xpRswsjz+o9oT6Pam5mrtT8"
	  "MGwUupGtU6GLSX4gwljf" },
};

static struct ks_ctx *context(uint64_t max_iterations)
{
	struct ks_settings settings = { .max_iterations = max_iterations };
	struct ks_ctx *ctx = NULL;

	assert_int_equal(ks_ctx_new(&ctx, &settings), 0);
	return ctx;
}

static struct ks_secret *password(struct ks_ctx *ctx, const char *text)
{
	struct ks_secret *secret = NULL;

	assert_int_equal(ks_secret_new(&secret, ctx), 0);
	assert_int_equal(ks_secret_append(secret, ctx, text, strlen(text)), 0);
	return secret;
}

static struct ks_buffer *unbase64(const char *text)
{
	struct ks_buffer *out = ks_buffer_new(1024);
	size_t length = strlen(text);
	int size = EVP_DecodeBlock(ks_buffer_room(out, 1024), (const unsigned char *)text, (int)length);

	assert_true(size > 0);
	while (length && text[length - 1] == '=') {
		length--;
		size--;
	}
	out->size = (size_t)size;
	return out;
}

static void every_algorithm_of_openssl_pkcs8_opens(void **state)
{
	struct ks_ctx *ctx = context(0);
	ks_auto(secret) secret = password(ctx, "geheim");
	ks_auto(buffer) expected = unbase64(clear_key);

	(void)state;
	for (size_t i = 0; i < sizeof(sealed_keys) / sizeof(sealed_keys[0]); i++) {
		ks_auto(buffer) sealed = unbase64(sealed_keys[i].base64);
		ks_auto(buffer) clear = NULL;

		if (ks_sealed_key_open(&clear, ctx, ks_buffer_bytes(sealed), secret, NULL) < 0)
			fail_msg("%s: %s (%s)", sealed_keys[i].how, ks_ctx_text(ctx), ks_ctx_causes(ctx));
		assert_true(ks_bytes_equal(ks_buffer_bytes(clear), ks_buffer_bytes(expected)));
	}
	secret = (ks_secret_free(secret), NULL);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void a_wrong_password_is_told_for_every_algorithm(void **state)
{
	struct ks_ctx *ctx = context(0);
	ks_auto(secret) secret = password(ctx, "gehein");

	(void)state;
	for (size_t i = 0; i < sizeof(sealed_keys) / sizeof(sealed_keys[0]); i++) {
		ks_auto(buffer) sealed = unbase64(sealed_keys[i].base64);
		ks_auto(buffer) clear = NULL;

		assert_int_equal(ks_sealed_key_open(&clear, ctx, ks_buffer_bytes(sealed), secret, NULL), KS_EPASSWORD);
		assert_null(clear);
	}
	secret = (ks_secret_free(secret), NULL);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void rounds_beyond_the_budget_are_refused_before_they_are_spent(void **state)
{
	struct ks_ctx *ctx = context(2047); /* one less than the key asks for */
	ks_auto(secret) secret = password(ctx, "geheim");
	ks_auto(buffer) sealed = unbase64(sealed_keys[0].base64);
	ks_auto(buffer) clear = NULL;

	(void)state;
	assert_int_equal(ks_sealed_key_open(&clear, ctx, ks_buffer_bytes(sealed), secret, NULL), KS_ELIMIT);
	assert_int_equal(ks_spend(ctx, 2047, "the whole budget, which is still there"), 0);
	assert_int_equal(ks_spend(ctx, 1, "one more"), KS_ELIMIT);
	secret = (ks_secret_free(secret), NULL);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void a_key_sealed_anew_opens_only_with_its_password(void **state)
{
	struct ks_ctx *ctx = context(0);
	ks_auto(secret) secret = password(ctx, "gr\xc3\xbc\xc3\x9f");
	ks_auto(secret) other = password(ctx, "gruss");
	ks_auto(buffer) clear = unbase64(clear_key);
	ks_auto(buffer) sealed = ks_buffer_new(1024);
	ks_auto(buffer) again = NULL;
	struct ks_protection how;

	(void)state;
	assert_int_equal(ks_sealed_key_put(sealed, ctx, ks_buffer_bytes(clear), secret, NULL), 0);
	assert_true(ks_sealed_key_shaped(ks_buffer_bytes(sealed)));
	assert_int_equal(ks_sealed_key_protection(&how, ctx, ks_buffer_bytes(sealed)), 0);
	assert_string_equal(how.cipher_name, "AES-256-CBC");
	assert_string_equal(how.kdf_name, "PBKDF2-HMAC-SHA256");
	assert_int_equal(how.iterations, 10000);
	assert_false(how.weak);
	assert_int_equal(ks_sealed_key_open(&again, ctx, ks_buffer_bytes(sealed), other, NULL), KS_EPASSWORD);
	assert_int_equal(ks_sealed_key_open(&again, ctx, ks_buffer_bytes(sealed), secret, NULL), 0);
	assert_true(ks_bytes_equal(ks_buffer_bytes(clear), ks_buffer_bytes(again)));
	again = (ks_buffer_free(again), NULL);
	secret = (ks_secret_free(secret), NULL);
	other = (ks_secret_free(other), NULL);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void an_old_password_form_is_found_and_remembered(void **state)
{
	struct ks_ctx *ctx = context(0);
	ks_auto(secret) utf8 = password(ctx, "gr\xc3\xbc\xc3\x9f");
	ks_auto(secret) latin1 = password(ctx, "gr\xfc\xdf");
	ks_auto(buffer) clear = unbase64(clear_key);
	ks_auto(buffer) sealed = ks_buffer_new(1024);
	ks_auto(buffer) again = NULL;
	enum ks_password_form form = KS_PASSWORD_UTF8;

	(void)state;
	assert_int_equal(ks_sealed_key_put(sealed, ctx, ks_buffer_bytes(clear), latin1, NULL), 0);
	assert_int_equal(ks_sealed_key_open(&again, ctx, ks_buffer_bytes(sealed), utf8, &form), 0);
	assert_int_equal(form, KS_PASSWORD_LATIN1);
	again = (ks_buffer_free(again), NULL);
	utf8 = (ks_secret_free(utf8), NULL);
	latin1 = (ks_secret_free(latin1), NULL);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static struct ks_buffer *sealed_with(struct ks_ctx *ctx, struct ks_bytes clear, const struct ks_secret *secret)
{
	struct ks_buffer *sealed = ks_buffer_new(1024);

	assert_int_equal(ks_sealed_key_put(sealed, ctx, clear, secret, NULL), 0);
	return sealed;
}

/* Bytes as a wrong key makes them when chance is against us; each once opened, and was then called damaged. */
static void a_key_that_makes_only_a_fitting_header_is_a_wrong_password(void **state)
{
	static const struct ks_bytes chances[] = {
		KS_BYTES("\x30\x80\x5a\x11\x92\x03\xfe\x77\x08\x10\x40\x02", 12),
		KS_BYTES("\x30\x80\x02\x7f\x92\x03\xfe\x77\x08\x10\x40\x02", 12),
		KS_BYTES("\x30\x80\x30\x83\x92\x03\xfe\x77\x08\x10\x40\x02", 12),
		KS_BYTES("\x30\x80\x00\x00\x92\x03\xfe\x77\x08\x10\x40\x02\x30\x80\x00\x00\x92\x03\xfe", 19),
		KS_BYTES("\x30\x0a\x5a\x11\x92\x03\xfe\x77\x08\x10\x40\x02", 12),
		KS_BYTES("\x30\x0a\x30\x08\x92\x03\xfe\x77\x08\x10\x40\x02", 12),
		KS_BYTES("\x30\x82\x40\x0a\x02\x01\x00\x77\x08\x10\x40\x02", 12),
	};
	struct ks_ctx *ctx = context(0);
	ks_auto(secret) secret = password(ctx, "geheim");

	(void)state;
	for (size_t i = 0; i < sizeof(chances) / sizeof(chances[0]); i++) {
		ks_auto(buffer) sealed = sealed_with(ctx, chances[i], secret);
		ks_auto(buffer) clear = NULL;

		assert_int_equal(ks_sealed_key_open(&clear, ctx, ks_buffer_bytes(sealed), secret, NULL), KS_EPASSWORD);
	}
	secret = (ks_secret_free(secret), NULL);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void what_der_and_ber_may_begin_with_opens(void **state)
{
	static const struct ks_bytes contents[] = {
		KS_BYTES("\x30\x00", 2),
		KS_BYTES("\x30\x80\x00\x00", 4),
		KS_BYTES("\x30\x80\x02\x01\x00\x00\x00", 7),
		KS_BYTES("\x30\x03\x02\x01\x01", 5),
		KS_BYTES("\x30\x83\x00\x00\x03\x02\x01\x00", 8),
		KS_BYTES("\x30\x80\x30\x80\x06\x01\x2a\x00\x00\x00\x00", 11),
		KS_BYTES("\x30\x81\x08\x30\x84\x00\x00\x00\x02\x06\x00", 11),
	};
	struct ks_ctx *ctx = context(0);
	ks_auto(secret) secret = password(ctx, "geheim");

	(void)state;
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		ks_auto(buffer) sealed = sealed_with(ctx, contents[i], secret);
		ks_auto(buffer) clear = NULL;

		assert_int_equal(ks_sealed_key_open(&clear, ctx, ks_buffer_bytes(sealed), secret, NULL), 0);
		assert_true(ks_bytes_equal(ks_buffer_bytes(clear), contents[i]));
	}
	secret = (ks_secret_free(secret), NULL);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void an_unknown_algorithm_is_named(void **state)
{
	/* PBES2 with GOST 28147-89 would be id 1.2.643.2.2.21; here the whole scheme is replaced */
	static const unsigned char gost[] = { 0x30, 0x10, 0x30, 0x0a, 0x06, 0x06, 0x2a, 0x85, 0x03,
					      0x02, 0x02, 0x15, 0x05, 0x00, 0x04, 0x02, 0x00, 0x00 };
	struct ks_ctx *ctx = context(0);
	struct ks_protection how;

	(void)state;
	assert_int_equal(ks_sealed_key_protection(&how, ctx, KS_BYTES(gost, sizeof(gost))), KS_EALGORITHM);
	assert_non_null(strstr(ks_ctx_text(ctx), "GOST 28147-89"));
	assert_int_equal(ks_ctx_free(ctx), 0);
}

static void the_key_of_clear_pkcs8_is_usable(void **state)
{
	struct ks_ctx *ctx = context(0);
	ks_auto(buffer) clear = unbase64(clear_key);
	EVP_PKEY *key = NULL;

	(void)state;
	assert_int_equal(ks_clear_key_pkey(&key, ctx, ks_buffer_bytes(clear)), 0);
	assert_true(EVP_PKEY_is_a(key, "ED25519"));
	EVP_PKEY_free(key);
	assert_int_equal(ks_clear_key_pkey(&key, ctx, KS_BYTES("0\x01x", 3)), KS_EDAMAGED);
	assert_int_equal(ks_ctx_free(ctx), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_algorithm_of_openssl_pkcs8_opens),
		cmocka_unit_test(a_wrong_password_is_told_for_every_algorithm),
		cmocka_unit_test(rounds_beyond_the_budget_are_refused_before_they_are_spent),
		cmocka_unit_test(a_key_sealed_anew_opens_only_with_its_password),
		cmocka_unit_test(an_old_password_form_is_found_and_remembered),
		cmocka_unit_test(a_key_that_makes_only_a_fitting_header_is_a_wrong_password),
		cmocka_unit_test(what_der_and_ber_may_begin_with_opens),
		cmocka_unit_test(an_unknown_algorithm_is_named),
		cmocka_unit_test(the_key_of_clear_pkcs8_is_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
