/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function of a Cryptoki 2.40 function list, once: its name, the class of its deadline, parameters, arguments, and what the
 * arguments mean (enum ks_p11_meaning). What wraps a module, and what tells of its calls, is made from these rows.
 *
 * No guard: it is included more than once, with KS_P11_FUNCTION defined.
 */
KS_P11_FUNCTION(C_Initialize, LOOK, (void *arguments), (arguments), (ARGUMENTS))
KS_P11_FUNCTION(C_Finalize, END, (void *reserved), (reserved), (IGNORED))
KS_P11_FUNCTION(C_GetInfo, LOOK, (CK_INFO *info), (info), (INFO))
KS_P11_FUNCTION(C_GetSlotList, LOOK,
		(CK_BYTE token_present, CK_SLOT_ID *slot_list, CK_ULONG *count),
		(token_present, slot_list, count), (PRESENT, SLOTS))
KS_P11_FUNCTION(C_GetSlotInfo, LOOK, (CK_SLOT_ID slot_id, CK_SLOT_INFO *info), (slot_id, info), (SLOT, SLOT_INFO))
KS_P11_FUNCTION(C_GetTokenInfo, LOOK, (CK_SLOT_ID slot_id, CK_TOKEN_INFO *info), (slot_id, info), (SLOT, TOKEN_INFO))
KS_P11_FUNCTION(C_GetMechanismList, LOOK,
		(CK_SLOT_ID slot_id, CK_MECHANISM_TYPE *mechanism_list, CK_ULONG *count),
		(slot_id, mechanism_list, count), (SLOT, TYPES))
KS_P11_FUNCTION(C_GetMechanismInfo, LOOK,
		(CK_SLOT_ID slot_id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info),
		(slot_id, type, info), (SLOT, TYPE, TYPE_INFO))
KS_P11_FUNCTION(C_InitToken, INIT,
		(CK_SLOT_ID slot_id, CK_BYTE *pin, CK_ULONG pin_len, CK_BYTE *label),
		(slot_id, pin, pin_len, label), (SLOT, PIN, LABEL))
KS_P11_FUNCTION(C_InitPIN, INIT,
		(CK_SESSION_HANDLE session, CK_BYTE *pin, CK_ULONG pin_len),
		(session, pin, pin_len), (SESSION, PIN))
KS_P11_FUNCTION(C_SetPIN, INIT,
		(CK_SESSION_HANDLE session, CK_BYTE *old_pin, CK_ULONG old_len, CK_BYTE *new_pin, CK_ULONG new_len),
		(session, old_pin, old_len, new_pin, new_len), (SESSION, PIN, PIN))
KS_P11_FUNCTION(C_OpenSession, LOOK,
		(CK_SLOT_ID slot_id, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session),
		(slot_id, flags, application, notify, session), (SLOT, SESSION_FLAGS, IGNORED, IGNORED, MADE_SESSION))
KS_P11_FUNCTION(C_CloseSession, END, (CK_SESSION_HANDLE session), (session), (SESSION))
KS_P11_FUNCTION(C_CloseAllSessions, END, (CK_SLOT_ID slot_id), (slot_id), (SLOT))
KS_P11_FUNCTION(C_GetSessionInfo, LOOK,
		(CK_SESSION_HANDLE session, CK_SESSION_INFO *info),
		(session, info), (SESSION, SESSION_INFO))
KS_P11_FUNCTION(C_GetOperationState, LOOK,
		(CK_SESSION_HANDLE session, CK_BYTE *operation_state, CK_ULONG *operation_state_len),
		(session, operation_state, operation_state_len), (SESSION, RESULT))
KS_P11_FUNCTION(C_SetOperationState, LOOK,
		(CK_SESSION_HANDLE session, CK_BYTE *operation_state, CK_ULONG operation_state_len,
		 CK_OBJECT_HANDLE encryption_key, CK_OBJECT_HANDLE authentication_key),
		(session, operation_state, operation_state_len, encryption_key,
		 authentication_key), (SESSION, HIDDEN, OBJECT, OBJECT))
KS_P11_FUNCTION(C_Login, LOGIN,
		(CK_SESSION_HANDLE session, CK_USER_TYPE user_type, CK_BYTE *pin, CK_ULONG pin_len),
		(session, user_type, pin, pin_len), (SESSION, USER, PIN))
KS_P11_FUNCTION(C_Logout, END, (CK_SESSION_HANDLE session), (session), (SESSION))
KS_P11_FUNCTION(C_CreateObject, WRITE,
		(CK_SESSION_HANDLE session, CK_ATTRIBUTE *templ, CK_ULONG count, CK_OBJECT_HANDLE *object),
		(session, templ, count, object), (SESSION, TEMPLATE, MADE))
KS_P11_FUNCTION(C_CopyObject, WRITE,
		(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *templ, CK_ULONG count,
		 CK_OBJECT_HANDLE *new_object),
		(session, object, templ, count, new_object), (SESSION, OBJECT, TEMPLATE, MADE))
KS_P11_FUNCTION(C_DestroyObject, WRITE,
		(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object),
		(session, object), (SESSION, OBJECT))
KS_P11_FUNCTION(C_GetObjectSize, LOOK,
		(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG *size),
		(session, object, size), (SESSION, OBJECT, NUMBER))
KS_P11_FUNCTION(C_GetAttributeValue, LOOK,
		(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *templ, CK_ULONG count),
		(session, object, templ, count), (SESSION, OBJECT, ASKED))
KS_P11_FUNCTION(C_SetAttributeValue, WRITE,
		(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *templ, CK_ULONG count),
		(session, object, templ, count), (SESSION, OBJECT, TEMPLATE))
KS_P11_FUNCTION(C_FindObjectsInit, LOOK,
		(CK_SESSION_HANDLE session, CK_ATTRIBUTE *templ, CK_ULONG count),
		(session, templ, count), (SESSION, TEMPLATE))
KS_P11_FUNCTION(C_FindObjects, LOOK,
		(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *object, CK_ULONG max_object_count, CK_ULONG *object_count),
		(session, object, max_object_count, object_count), (SESSION, FOUND))
KS_P11_FUNCTION(C_FindObjectsFinal, END, (CK_SESSION_HANDLE session), (session), (SESSION))
KS_P11_FUNCTION(C_EncryptInit, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
		(session, mechanism, key), (SESSION, MECHANISM, OBJECT))
KS_P11_FUNCTION(C_Encrypt, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *encrypted_data,
		 CK_ULONG *encrypted_data_len),
		(session, data, data_len, encrypted_data, encrypted_data_len), (SESSION, HIDDEN, RESULT))
KS_P11_FUNCTION(C_EncryptUpdate, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *encrypted_part,
		 CK_ULONG *encrypted_part_len),
		(session, part, part_len, encrypted_part, encrypted_part_len), (SESSION, HIDDEN, RESULT))
KS_P11_FUNCTION(C_EncryptFinal, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *last_encrypted_part, CK_ULONG *last_encrypted_part_len),
		(session, last_encrypted_part, last_encrypted_part_len), (SESSION, RESULT))
KS_P11_FUNCTION(C_DecryptInit, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
		(session, mechanism, key), (SESSION, MECHANISM, OBJECT))
KS_P11_FUNCTION(C_Decrypt, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *encrypted_data, CK_ULONG encrypted_data_len, CK_BYTE *data,
		 CK_ULONG *data_len),
		(session, encrypted_data, encrypted_data_len, data, data_len), (SESSION, TEXT, RESULT))
KS_P11_FUNCTION(C_DecryptUpdate, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *encrypted_part, CK_ULONG encrypted_part_len, CK_BYTE *part,
		 CK_ULONG *part_len),
		(session, encrypted_part, encrypted_part_len, part, part_len), (SESSION, TEXT, RESULT))
KS_P11_FUNCTION(C_DecryptFinal, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *last_part, CK_ULONG *last_part_len),
		(session, last_part, last_part_len), (SESSION, RESULT))
KS_P11_FUNCTION(C_DigestInit, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism),
		(session, mechanism), (SESSION, MECHANISM))
KS_P11_FUNCTION(C_Digest, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *digest, CK_ULONG *digest_len),
		(session, data, data_len, digest, digest_len), (SESSION, HIDDEN, RESULT))
KS_P11_FUNCTION(C_DigestUpdate, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len),
		(session, part, part_len), (SESSION, HIDDEN))
KS_P11_FUNCTION(C_DigestKey, USE, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key), (session, key), (SESSION, OBJECT))
KS_P11_FUNCTION(C_DigestFinal, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *digest, CK_ULONG *digest_len),
		(session, digest, digest_len), (SESSION, RESULT))
KS_P11_FUNCTION(C_SignInit, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
		(session, mechanism, key), (SESSION, MECHANISM, OBJECT))
KS_P11_FUNCTION(C_Sign, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature,
		 CK_ULONG *signature_len),
		(session, data, data_len, signature, signature_len), (SESSION, TEXT, RESULT))
KS_P11_FUNCTION(C_SignUpdate, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len),
		(session, part, part_len), (SESSION, TEXT))
KS_P11_FUNCTION(C_SignFinal, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *signature_len),
		(session, signature, signature_len), (SESSION, RESULT))
KS_P11_FUNCTION(C_SignRecoverInit, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
		(session, mechanism, key), (SESSION, MECHANISM, OBJECT))
KS_P11_FUNCTION(C_SignRecover, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature,
		 CK_ULONG *signature_len),
		(session, data, data_len, signature, signature_len), (SESSION, TEXT, RESULT))
KS_P11_FUNCTION(C_VerifyInit, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
		(session, mechanism, key), (SESSION, MECHANISM, OBJECT))
KS_P11_FUNCTION(C_Verify, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature, CK_ULONG signature_len),
		(session, data, data_len, signature, signature_len), (SESSION, TEXT, TEXT))
KS_P11_FUNCTION(C_VerifyUpdate, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len),
		(session, part, part_len), (SESSION, TEXT))
KS_P11_FUNCTION(C_VerifyFinal, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signature_len),
		(session, signature, signature_len), (SESSION, TEXT))
KS_P11_FUNCTION(C_VerifyRecoverInit, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
		(session, mechanism, key), (SESSION, MECHANISM, OBJECT))
KS_P11_FUNCTION(C_VerifyRecover, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signature_len, CK_BYTE *data,
		 CK_ULONG *data_len),
		(session, signature, signature_len, data, data_len), (SESSION, TEXT, RESULT))
KS_P11_FUNCTION(C_DigestEncryptUpdate, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *encrypted_part,
		 CK_ULONG *encrypted_part_len),
		(session, part, part_len, encrypted_part, encrypted_part_len), (SESSION, HIDDEN, RESULT))
KS_P11_FUNCTION(C_DecryptDigestUpdate, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *encrypted_part, CK_ULONG encrypted_part_len, CK_BYTE *part,
		 CK_ULONG *part_len),
		(session, encrypted_part, encrypted_part_len, part, part_len), (SESSION, TEXT, RESULT))
KS_P11_FUNCTION(C_SignEncryptUpdate, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len, CK_BYTE *encrypted_part,
		 CK_ULONG *encrypted_part_len),
		(session, part, part_len, encrypted_part, encrypted_part_len), (SESSION, HIDDEN, RESULT))
KS_P11_FUNCTION(C_DecryptVerifyUpdate, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *encrypted_part, CK_ULONG encrypted_part_len, CK_BYTE *part,
		 CK_ULONG *part_len),
		(session, encrypted_part, encrypted_part_len, part, part_len), (SESSION, TEXT, RESULT))
KS_P11_FUNCTION(C_GenerateKey, MAKE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *templ, CK_ULONG count,
		 CK_OBJECT_HANDLE *key),
		(session, mechanism, templ, count, key), (SESSION, MECHANISM, TEMPLATE, MADE))
KS_P11_FUNCTION(C_GenerateKeyPair, MAKE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_key_template,
		 CK_ULONG public_key_attribute_count, CK_ATTRIBUTE *private_key_template,
		 CK_ULONG private_key_attribute_count, CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key),
		(session, mechanism, public_key_template, public_key_attribute_count, private_key_template,
		 private_key_attribute_count, public_key,
		 private_key), (SESSION, MECHANISM, TEMPLATE, TEMPLATE, MADE, MADE))
KS_P11_FUNCTION(C_WrapKey, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping_key, CK_OBJECT_HANDLE key,
		 CK_BYTE *wrapped_key, CK_ULONG *wrapped_key_len),
		(session, mechanism, wrapping_key, key, wrapped_key,
		 wrapped_key_len), (SESSION, MECHANISM, OBJECT, OBJECT, RESULT))
KS_P11_FUNCTION(C_UnwrapKey, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping_key,
		 CK_BYTE *wrapped_key, CK_ULONG wrapped_key_len, CK_ATTRIBUTE *templ, CK_ULONG attribute_count,
		 CK_OBJECT_HANDLE *key),
		(session, mechanism, unwrapping_key, wrapped_key, wrapped_key_len, templ, attribute_count,
		 key), (SESSION, MECHANISM, OBJECT, TEXT, TEMPLATE, MADE))
KS_P11_FUNCTION(C_DeriveKey, USE,
		(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base_key, CK_ATTRIBUTE *templ,
		 CK_ULONG attribute_count, CK_OBJECT_HANDLE *key),
		(session, mechanism, base_key, templ, attribute_count, key), (SESSION, MECHANISM, OBJECT, TEMPLATE, MADE))
KS_P11_FUNCTION(C_SeedRandom, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *seed, CK_ULONG seed_len),
		(session, seed, seed_len), (SESSION, HIDDEN))
KS_P11_FUNCTION(C_GenerateRandom, USE,
		(CK_SESSION_HANDLE session, CK_BYTE *random_data, CK_ULONG random_len),
		(session, random_data, random_len), (SESSION, RANDOM))
KS_P11_FUNCTION(C_GetFunctionStatus, LOOK, (CK_SESSION_HANDLE session), (session), (SESSION))
KS_P11_FUNCTION(C_CancelFunction, END, (CK_SESSION_HANDLE session), (session), (SESSION))
KS_P11_FUNCTION(C_WaitForSlotEvent, PAD,
		(CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved),
		(flags, slot, reserved), (SESSION_FLAGS, MADE_SLOT, IGNORED))
