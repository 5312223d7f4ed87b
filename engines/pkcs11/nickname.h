/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a token that is particular about certificates accepts: NSS wants one subject for a label, and one certificate for an issuer
 * and serial number. For other tokens everything here says yes.
 */
#ifndef KS_P11_NICKNAME_H
#define KS_P11_NICKNAME_H

#include "object.h"
#include "certificate.h"

/* Has a certificate with another subject that label? */
bool ks_p11_nickname_taken(const struct ks_p11_token *token, struct ks_bytes label, struct ks_bytes subject);
/* The label itself, or while it is taken one that is free, kept in *room. */
struct ks_bytes ks_p11_nickname_free(char **room, const struct ks_p11_token *token, struct ks_bytes label,
				     const struct ks_certificate_facts *facts, struct ks_bytes der);
/* KS_EEXISTS when the token would refuse the certificate because of its issuer and serial number. */
int ks_p11_certificate_welcome(const struct ks_p11_token *token, const struct ks_certificate_facts *facts);

#endif
