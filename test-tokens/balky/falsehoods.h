/* SPDX-License-Identifier: Apache-2.0 */
/* Things that are not so: values, lists, signatures and pairs that a module makes up. */
#ifndef BALKY_FALSEHOODS_H
#define BALKY_FALSEHOODS_H

#include "call.h"

/* A list of numbers that stand for nothing, with the manners of C_GetSlotList. */
CK_RV numbers_make_up(const struct row *row, CK_ULONG *list, CK_ULONG *count);
/* The first of a list, as A_FIRST wants it. */
void first_replace(const struct call *call, CK_ULONG *list, CK_ULONG count);
/* What A_FIELD says of the token. */
void fields_tell(const struct call *call, CK_TOKEN_INFO *info);
/* The attributes as they are, but for what A_VALUE and A_SIZE say. */
CK_RV attributes_give(const struct call *call, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *templ,
		      CK_ULONG count);
/* What a search found, twice or backwards or begun by another handle. */
void search_twist(const struct call *call, CK_OBJECT_HANDLE *object, CK_ULONG room, CK_ULONG *count);
/* A true signature of the same key, but of another text. */
CK_RV sign_other(CK_SESSION_HANDLE session, const CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature,
		 CK_ULONG *signature_len);
/* Two bare numbers become a SEQUENCE of INTEGERs, which is longer. */
void signature_wrap(CK_BYTE *signature, CK_ULONG *signature_len);
/* The public half becomes that of a second pair, whose private half nobody has; the true one goes. */
CK_RV pair_mix(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_key_template,
	       CK_ULONG public_key_attribute_count, CK_ATTRIBUTE *private_key_template,
	       CK_ULONG private_key_attribute_count, CK_OBJECT_HANDLE *public_key);

#endif
