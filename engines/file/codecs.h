/* SPDX-License-Identifier: Apache-2.0 */
/* The codecs of this build, for the rows of engines/table.c. */
#ifndef KS_CODECS_H
#define KS_CODECS_H

#include "engine.h"

extern const struct ks_codec ks_codec_der;
extern const struct ks_codec ks_codec_jceks;
extern const struct ks_codec ks_codec_jks;
extern const struct ks_codec ks_codec_kdb;
extern const struct ks_codec ks_codec_pem;
extern const struct ks_codec ks_codec_pkcs7;
extern const struct ks_codec ks_codec_pkcs12;

#endif
