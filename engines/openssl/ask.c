/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of a host program. The pin-source of openssl.cnf belongs to the first token that wants a PIN, and to no other: a secret
 * is never tried on a second store. What is no token is not given it at all.
 */
#include "ask.h"

#include "told.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Thread_local OSSL_PASSPHRASE_CALLBACK *host_callback;
static _Thread_local void *host_arg;

void ask_through(OSSL_PASSPHRASE_CALLBACK *callback, void *arg)
{
	host_callback = callback;
	host_arg = arg;
}

/* ---- file: ---- */

static int first_line(struct ks_secret *into, struct ks_ctx *ctx, int fd)
{
	char line[KS_SECRET_MAX + 1];
	const char *end;
	size_t size = 0, length;
	ssize_t got;
	int rc;

	do {
		got = read(fd, line + size, sizeof(line) - size);
		if (got > 0)
			size += (size_t)got;
	} while ((got > 0 && size < sizeof(line) && !memchr(line, '\n', size)) || (got < 0 && errno == EINTR));
	end = memchr(line, '\n', size);
	length = end ? (size_t)(end - line) : size;
	rc = length ? ks_secret_append(into, ctx, line, length) : KS_ENOSECRET;
	OPENSSL_cleanse(line, sizeof(line));
	return rc;
}

static int from_file(struct instance *instance, struct ks_ctx *ctx, const char *path, struct ks_secret *into)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
	struct stat facts;

	if (fd < 0) {
		told_sentence(instance, KS_ENOSECRET, "the secret's file %s cannot be opened: %s", path, strerror(errno));
		return KS_ENOSECRET;
	}
	if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) {
		told_sentence(instance, KS_ENOSECRET, "%s is not a regular file, so no secret is read from it", path);
		rc = KS_ENOSECRET;
	} else if (facts.st_mode & 077) {
		told_sentence(instance, KS_ENOSECRET, "the secret's file %s is open to others (mode %04o); next: chmod 600 %s",
			      path, (unsigned)(facts.st_mode & 07777), path);
		rc = KS_ENOSECRET;
	} else {
		rc = first_line(into, ctx, fd);
		if (rc == KS_ENOSECRET)
			told_sentence(instance, rc, "the secret's file %s is empty", path);
	}
	close(fd);
	return rc;
}

/* ---- the host's callback ---- */

static const char *what(enum ks_ask ask)
{
	switch (ask) {
	case KS_ASK_PIN:
		return "PIN";
	case KS_ASK_SO_PIN:
		return "security officer's PIN";
	case KS_ASK_CONTEXT_PIN:
		return "PIN for this signature";
	default:
		return "password";
	}
}

static int from_host(struct instance *instance, struct ks_ctx *ctx, const struct ks_question *question,
		     struct ks_secret *into)
{
	char pass[KS_SECRET_MAX], info[512];
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_PASSPHRASE_PARAM_INFO, info, 0),
				      OSSL_PARAM_construct_end() };
	size_t size = 0;
	int rc = KS_ENOSECRET;

	if (!host_callback) {
		told_sentence(instance, rc,
			      "%s needs its %s, and there is nobody to ask here; next: put ?pin-source=file:PATH behind the "
			      "address, or pin-source = file:PATH into keystow's section of openssl.cnf",
			      question->store, what(question->ask));
		return rc;
	}
	snprintf(info, sizeof(info), "%s (%s)", question->store, what(question->ask));
	if (host_callback(pass, sizeof(pass), &size, params, host_arg) && size && size <= sizeof(pass))
		rc = ks_secret_append(into, ctx, pass, size);
	else
		told_sentence(instance, rc, "nobody gave the %s of %s; next: put ?pin-source=file:PATH behind the address",
			      what(question->ask), question->store);
	OPENSSL_cleanse(pass, sizeof(pass));
	return rc;
}

/* ---- which of them ---- */

/* Is it the token that the section's pin-source went to, or the first one that could have it? */
static bool first_token(struct instance *instance, const struct ks_question *question)
{
	char *token = NULL;
	bool same;

	if ((question->ask != KS_ASK_PIN && question->ask != KS_ASK_CONTEXT_PIN) || !question->serial ||
	    asprintf(&token, "%s\n%s", question->serial, question->label ? question->label : "") < 0)
		return false;
	same = !instance->pin_token || strcmp(instance->pin_token, token) == 0;
	if (instance->pin_token || !same)
		free(token);
	else
		instance->pin_token = token;
	return same;
}

int ask_host(void *user, struct ks_ctx *ctx, const struct ks_question *question, struct ks_secret *into)
{
	struct instance *instance = user;
	const char *source = question->source;

	if (question->fresh)
		return KS_ENOSECRET;
	if (!source && instance->pin_source && first_token(instance, question))
		source = instance->pin_source;
	if (!source || strcmp(source, "prompt") == 0)
		return from_host(instance, ctx, question, into);
	if (strncmp(source, "file:", strlen("file:")) == 0) {
		source += strlen("file:");
		return from_file(instance, ctx, strncmp(source, "///", 3) == 0 ? source + 2 : source, into);
	}
	told_sentence(instance, KS_ENOSECRET,
		      "inside another program a PIN comes from file:PATH or prompt; env:, fd: and cmd: are for keystow itself");
	return KS_ENOSECRET;
}
