/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call of a Cryptoki 2.40 function list, once: PLAIN is counted and forwarded, TOLD goes through an answer of lies.c,
 * which forwards and then bends what comes back. (name, session or 0, parameters, arguments).
 * No guard: it is included more than once.
 */
PLAIN(C_Initialize, 0, (void *init_args), (init_args))
PLAIN(C_Finalize, 0, (void *reserved), (reserved))
PLAIN(C_GetInfo, 0, (CK_INFO *info), (info))
TOLD(C_GetSlotList, 0, (CK_BYTE token_present, CK_SLOT_ID *slot_list, CK_ULONG *count),
	(token_present, slot_list, count))
PLAIN(C_GetSlotInfo, 0, (CK_SLOT_ID slot_id, CK_SLOT_INFO *info), (slot_id, info))
TOLD(C_GetTokenInfo, 0, (CK_SLOT_ID slot_id, CK_TOKEN_INFO *info), (slot_id, info))
TOLD(C_GetMechanismList, 0, (CK_SLOT_ID slot_id, CK_MECHANISM_TYPE *mechanism_list, CK_ULONG *count),
	(slot_id, mechanism_list, count))
PLAIN(C_GetMechanismInfo, 0, (CK_SLOT_ID slot_id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info),
	(slot_id, type, info))
PLAIN(C_InitToken, 0, (CK_SLOT_ID slot_id, CK_BYTE *pin, CK_ULONG pin_len, CK_BYTE *label),
	(slot_id, pin, pin_len, label))
PLAIN(C_InitPIN, session, (CK_SESSION_HANDLE session, CK_BYTE *pin, CK_ULONG pin_len), (session, pin, pin_len))
TOLD(C_SetPIN, session, (CK_SESSION_HANDLE session, CK_BYTE *old_pin, CK_ULONG old_len, CK_BYTE *new_pin,
	CK_ULONG new_len),
	(session, old_pin, old_len, new_pin, new_len))
TOLD(C_OpenSession, 0, (CK_SLOT_ID slot_id, CK_FLAGS flags, void *application, CK_NOTIFY notify,
	CK_SESSION_HANDLE *session),
	(slot_id, flags, application, notify, session))
PLAIN(C_CloseSession, session, (CK_SESSION_HANDLE session), (session))
PLAIN(C_CloseAllSessions, 0, (CK_SLOT_ID slot_id), (slot_id))
TOLD(C_GetSessionInfo, session, (CK_SESSION_HANDLE session, CK_SESSION_INFO *info), (session, info))
PLAIN(C_GetOperationState, session, (CK_SESSION_HANDLE session, CK_BYTE *operation_state,
	CK_ULONG *operation_state_len),
	(session, operation_state, operation_state_len))
PLAIN(C_SetOperationState, session, (CK_SESSION_HANDLE session, CK_BYTE *operation_state,
	CK_ULONG operation_state_len, CK_OBJECT_HANDLE encryption_key, CK_OBJECT_HANDLE authentication_key),
	(session, operation_state, operation_state_len, encryption_key, authentication_key))
TOLD(C_Login, session, (CK_SESSION_HANDLE session, CK_USER_TYPE user_type, CK_BYTE *pin, CK_ULONG pin_len),
	(session, user_type, pin, pin_len))
PLAIN(C_Logout, session, (CK_SESSION_HANDLE session), (session))
TOLD(C_CreateObject, session, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *templ, CK_ULONG count,
	CK_OBJECT_HANDLE *object),
	(session, templ, count, object))
PLAIN(C_CopyObject, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *templ,
	CK_ULONG count, CK_OBJECT_HANDLE *new_object),
	(session, object, templ, count, new_object))
PLAIN(C_DestroyObject, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object), (session, object))
PLAIN(C_GetObjectSize, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG *size),
	(session, object, size))
TOLD(C_GetAttributeValue, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *templ,
	CK_ULONG count),
	(session, object, templ, count))
PLAIN(C_SetAttributeValue, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *templ,
	CK_ULONG count),
	(session, object, templ, count))
TOLD(C_FindObjectsInit, session, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *templ, CK_ULONG count),
	(session, templ, count))
TOLD(C_FindObjects, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *object, CK_ULONG max_object_count,
	CK_ULONG *object_count),
	(session, object, max_object_count, object_count))
PLAIN(C_FindObjectsFinal, session, (CK_SESSION_HANDLE session), (session))
PLAIN(C_EncryptInit, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
	(session, mechanism, key))
PLAIN(C_Encrypt, session, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *encrypted_data,
	CK_ULONG *encrypted_data_len),
	(session, data, data_len, encrypted_data, encrypted_data_len))
PLAIN(C_EncryptUpdate, session, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len,
	CK_BYTE *encrypted_part, CK_ULONG *encrypted_part_len),
	(session, part, part_len, encrypted_part, encrypted_part_len))
PLAIN(C_EncryptFinal, session, (CK_SESSION_HANDLE session, CK_BYTE *last_encrypted_part,
	CK_ULONG *last_encrypted_part_len),
	(session, last_encrypted_part, last_encrypted_part_len))
PLAIN(C_DecryptInit, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
	(session, mechanism, key))
TOLD(C_Decrypt, session, (CK_SESSION_HANDLE session, CK_BYTE *encrypted_data, CK_ULONG encrypted_data_len,
	CK_BYTE *data, CK_ULONG *data_len),
	(session, encrypted_data, encrypted_data_len, data, data_len))
PLAIN(C_DecryptUpdate, session, (CK_SESSION_HANDLE session, CK_BYTE *encrypted_part, CK_ULONG encrypted_part_len,
	CK_BYTE *part, CK_ULONG *part_len),
	(session, encrypted_part, encrypted_part_len, part, part_len))
PLAIN(C_DecryptFinal, session, (CK_SESSION_HANDLE session, CK_BYTE *last_part, CK_ULONG *last_part_len),
	(session, last_part, last_part_len))
PLAIN(C_DigestInit, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism), (session, mechanism))
PLAIN(C_Digest, session, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *digest,
	CK_ULONG *digest_len),
	(session, data, data_len, digest, digest_len))
PLAIN(C_DigestUpdate, session, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len),
	(session, part, part_len))
PLAIN(C_DigestKey, session, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key), (session, key))
PLAIN(C_DigestFinal, session, (CK_SESSION_HANDLE session, CK_BYTE *digest, CK_ULONG *digest_len),
	(session, digest, digest_len))
TOLD(C_SignInit, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
	(session, mechanism, key))
TOLD(C_Sign, session, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature,
	CK_ULONG *signature_len),
	(session, data, data_len, signature, signature_len))
PLAIN(C_SignUpdate, session, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len), (session, part, part_len))
PLAIN(C_SignFinal, session, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *signature_len),
	(session, signature, signature_len))
PLAIN(C_SignRecoverInit, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
	(session, mechanism, key))
PLAIN(C_SignRecover, session, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature,
	CK_ULONG *signature_len),
	(session, data, data_len, signature, signature_len))
PLAIN(C_VerifyInit, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
	(session, mechanism, key))
PLAIN(C_Verify, session, (CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *signature,
	CK_ULONG signature_len),
	(session, data, data_len, signature, signature_len))
PLAIN(C_VerifyUpdate, session, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len),
	(session, part, part_len))
PLAIN(C_VerifyFinal, session, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signature_len),
	(session, signature, signature_len))
PLAIN(C_VerifyRecoverInit, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key),
	(session, mechanism, key))
PLAIN(C_VerifyRecover, session, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signature_len,
	CK_BYTE *data, CK_ULONG *data_len),
	(session, signature, signature_len, data, data_len))
PLAIN(C_DigestEncryptUpdate, session, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len,
	CK_BYTE *encrypted_part, CK_ULONG *encrypted_part_len),
	(session, part, part_len, encrypted_part, encrypted_part_len))
PLAIN(C_DecryptDigestUpdate, session, (CK_SESSION_HANDLE session, CK_BYTE *encrypted_part,
	CK_ULONG encrypted_part_len, CK_BYTE *part, CK_ULONG *part_len),
	(session, encrypted_part, encrypted_part_len, part, part_len))
PLAIN(C_SignEncryptUpdate, session, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG part_len,
	CK_BYTE *encrypted_part, CK_ULONG *encrypted_part_len),
	(session, part, part_len, encrypted_part, encrypted_part_len))
PLAIN(C_DecryptVerifyUpdate, session, (CK_SESSION_HANDLE session, CK_BYTE *encrypted_part,
	CK_ULONG encrypted_part_len, CK_BYTE *part, CK_ULONG *part_len),
	(session, encrypted_part, encrypted_part_len, part, part_len))
PLAIN(C_GenerateKey, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *templ,
	CK_ULONG count, CK_OBJECT_HANDLE *key),
	(session, mechanism, templ, count, key))
TOLD(C_GenerateKeyPair, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
	CK_ATTRIBUTE *public_key_template, CK_ULONG public_key_attribute_count, CK_ATTRIBUTE *private_key_template,
	CK_ULONG private_key_attribute_count, CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key),
	(session, mechanism, public_key_template, public_key_attribute_count, private_key_template,
	private_key_attribute_count, public_key, private_key))
PLAIN(C_WrapKey, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping_key,
	CK_OBJECT_HANDLE key, CK_BYTE *wrapped_key, CK_ULONG *wrapped_key_len),
	(session, mechanism, wrapping_key, key, wrapped_key, wrapped_key_len))
PLAIN(C_UnwrapKey, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping_key,
	CK_BYTE *wrapped_key, CK_ULONG wrapped_key_len, CK_ATTRIBUTE *templ, CK_ULONG attribute_count,
	CK_OBJECT_HANDLE *key),
	(session, mechanism, unwrapping_key, wrapped_key, wrapped_key_len, templ, attribute_count, key))
PLAIN(C_DeriveKey, session, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base_key,
	CK_ATTRIBUTE *templ, CK_ULONG attribute_count, CK_OBJECT_HANDLE *key),
	(session, mechanism, base_key, templ, attribute_count, key))
PLAIN(C_SeedRandom, session, (CK_SESSION_HANDLE session, CK_BYTE *seed, CK_ULONG seed_len), (session, seed, seed_len))
PLAIN(C_GenerateRandom, session, (CK_SESSION_HANDLE session, CK_BYTE *random_data, CK_ULONG random_len),
	(session, random_data, random_len))
PLAIN(C_GetFunctionStatus, session, (CK_SESSION_HANDLE session), (session))
PLAIN(C_CancelFunction, session, (CK_SESSION_HANDLE session), (session))
PLAIN(C_WaitForSlotEvent, 0, (CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved), (flags, slot, reserved))
