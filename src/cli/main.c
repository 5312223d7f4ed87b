/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: from words to an exit code.
 */
#include "commands.h"
#include "run.h"
#include "secrets.h"
#include "settings.h"
#include "term.h"
#include "watchdog.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* A closed standard stream would be the number of the next file opened, and our words would land in a store. Each
 * gets a descriptor on which its use fails. */
static void streams_fill(void)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
			_exit(8);
	}
}

/* The leak checker of a sanitized build looks at the process from outside, which an undumpable one forbids. */
#ifdef __SANITIZE_ADDRESS__
static const bool leak_checked = true;
#else
static const bool leak_checked = false;
#endif

static void harden(void)
{
	struct rlimit none = { 0, 0 };

	if (!leak_checked)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGPIPE, SIG_IGN); /* a reader that went away is a failed write, not a signal */
}

/*
 * All work is done in a library context of our own, which no configuration touches; the default one would read openssl.cnf, and start
 * what it names, for its engines' sake. Nor is libcrypto taken apart at the end, when the process is: modules that use it may end later.
 * Only a leak checker wants to see it taken apart, because it blames us for what SoftHSM left in libcrypto's default context.
 */
static void crypto_start(void)
{
#ifdef __SANITIZE_ADDRESS__
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
#else
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL);
#endif
}

/* Answers that need nothing but the tables. */
static bool answered_at_once(struct run *run)
{
	const struct options *options = run->options;

	if (options->version)
		out_line(&run->out, "keystow %s", KS_VERSION);
	else if (options->man_options)
		help_man(&run->out);
	else if (options->help)
		help_command(&run->out, run->args.command);
	else
		return false;
	return true;
}

/* A call into a module is overdue: what was found out so far still leaves as a whole document. */
static void last_words(void *user, int status, const char *text, const char *hint)
{
	struct run *run = user;

	out_problem(&run->out, status, text, hint, NULL);
	out_end(&run->out);
}

static int work(struct run *run)
{
	int rc = 0;

	if (!run->args.command->alone)
		rc = settings_apply(run);
	if (rc == 0)
		rc = run->args.command->run(run);
	term_progress_clear();
	if (rc < 0 && run->ctx && run->first == 0)
		run_failed(run, rc, NULL);
	if (run->ctx)
		run_notices(run);
	return rc;
}

static int finish(struct run *run, int rc)
{
	char text[128];
	int written = out_end(&run->out);

	if (written == 0)
		return ks_status_exit(rc);
	if (run->out.error == EPIPE)
		return ks_status_exit(written); /* the reader has seen enough and does not want a lecture */
	snprintf(text, sizeof(text), "standard output did not take the whole answer: %s", strerror(run->out.error));
	run_problem(run, written, text, "what was to be changed has been changed; the exit code is about the output");
	return ks_status_exit(written);
}

int main(int argc, char **argv)
{
	struct run run = { .out.to = stdout, .trace = -1 };
	int rc, code;

	streams_fill();
	harden();
	rc = args_parse(&run.args, argc, argv);
	run.options = &run.args.options;
	run.out.json = run.options->json && !run.options->help && !run.options->version;
	run.out.quiet = run.options->quiet;
	run.out.command = run.args.command ? run.args.command->name : "";
	if (rc < 0) {
		run_problem(&run, rc, run.args.problem, run.args.hint);
	} else if (!answered_at_once(&run)) {
		crypto_start();
		watchdog_guard();
		watchdog_last_words(last_words, &run);
		rc = work(&run);
	}
	code = finish(&run, rc);
	watchdog_finishing(code);
	secrets_end();
	out_free(&run.out);
	ks_ctx_free(run.ctx);
	args_free(&run.args);
	return code;
}
