/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on its way into a module: told to the host before and after, with its deadline.
 *
 * Only calls.c and its sisters (calls_*.c) make calls; everybody else uses their wrappers, which check what comes back.
 */
#ifndef KS_P11_CALL_H
#define KS_P11_CALL_H

#include "calls.h"
#include "words.h"

#include <signal.h>
#include <time.h>

struct ks_p11_mark {
	struct ks_trace event;
	struct timespec since;
	struct ks_p11_words words;
	bool made;
	sigset_t signals; /* of the thread, before */
	bool told; /* before, so after too */
	bool detailed;
};

/*
 * CKR_OK, or KS_CKR_STOPPED: the host wants to end (ks_settings.stop), so that only calls which put something away are still made;
 * or KS_CKR_FORKED: the module belongs to the parent of this process.
 * `arguments` are looked at only when the host wants to see them.
 */
CK_RV ks_p11_call_enter(struct ks_p11_mark *mark, const struct ks_p11_on *on, enum ks_p11_function function,
		   const uintptr_t *arguments);
CK_RV ks_p11_call_leave(struct ks_p11_mark *mark, const struct ks_p11_on *on, CK_RV rv);
/* The call that counts as this thread's last one, for the causes of a failure. */
void ks_p11_note_call(const char *function);

/* KS_P11_CALL(on, C_Logout, session): the module's answer. Arguments are evaluated twice. */
#define KS_P11_CALL(on, function, ...)                                                                                 \
	({                                                                                                             \
		struct ks_p11_mark mark_;                                                                              \
		CK_RV rv_ = ks_p11_call_enter(&mark_, (on), KS_P11_##function, KS_P11_ARRAY(__VA_ARGS__));                  \
		if (rv_ == CKR_OK)                                                                                     \
			rv_ = (on)->module->functions->function                                                        \
				      ? (on)->module->functions->function(__VA_ARGS__)                                 \
				      : KS_CKR_FUNCTION;                                                               \
		ks_p11_call_leave(&mark_, (on), rv_);                                                                       \
	})

#endif
