/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people hand over by mistake, told by its first bytes: a download that failed is empty, or a page that says so; an archive
 * holds the store and is none; a key store of another program has another reader.
 */
#include "stranger.h"

#include "stash.h"

#include <string.h>

struct row {
	struct ks_bytes magic;
	struct ks_stranger stranger;
};

#define MAGIC(text)                                                                                                    \
	{                                                                                                              \
		(const unsigned char *)(text), sizeof(text) - 1                                                        \
	}
#define UNPACK "unpack it, and name the store that was in it"
#define NSS                                                                                                            \
	"it may be cert9.db or key4.db of an NSS database: pk12util -d sql:FOLDER -n LABEL -o FILE.p12 takes a key "   \
	"out"

static const struct row rows[] = {
	{ MAGIC("\x03\xd9\xa2\x9a"),
	  { "a KeePass database of passwords",
	    "IBM key databases have the same ending and are something else; name one of these" } },
	{ MAGIC("PK\x03\x04"), { "a ZIP archive", UNPACK } },
	{ MAGIC("\x1f\x8b"), { "compressed by gzip", UNPACK } },
	{ MAGIC("BZh"), { "compressed by bzip2", UNPACK } },
	{ MAGIC("\xfd"
		"7zXZ"),
	  { "compressed by xz", UNPACK } },
	{ MAGIC("SQLite format 3"), { "an SQLite database", NSS } },
	{ MAGIC("%PDF-"), { "a PDF document", "ask whoever sent it for the store itself" } },
	{ MAGIC("\x7f"
		"ELF"),
	  { "a program or library", "a PKCS#11 module is named by --module, and its tokens by pkcs11:token=LABEL" } },
};
static const struct ks_stranger nothing = { "empty", "make or fetch the file again; keystow new makes a new store" };
static const struct ks_stranger page = {
	"a web page or XML, and no store",
	"where it came from may want a login first, or has moved: fetch the file again"
};
static const struct ks_stranger stash = {
	"a stash: it holds the password of an IBM key database, and nothing else",
	"name the database beside it, as in keystow list key.kdb; its stash is used without being named"
};
static const struct ks_stranger zeros = {
	"nothing but zero bytes", "a disk or a copy that was interrupted leaves that: take the file from a backup"
};

static bool only_zeros(struct ks_bytes content)
{
	return content.data[0] == 0 && memcmp(content.data, content.data + 1, content.size - 1) == 0;
}

const struct ks_stranger *ks_stranger(struct ks_bytes content)
{
	size_t blank = 0;

	if (content.size == 0)
		return &nothing;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (content.size >= rows[i].magic.size &&
		    memcmp(content.data, rows[i].magic.data, rows[i].magic.size) == 0)
			return &rows[i].stranger;
	}
	while (blank < content.size && strchr(" \t\r\n", content.data[blank]) && content.data[blank])
		blank++;
	if (blank < content.size && content.data[blank] == '<')
		return &page;
	if (ks_stash_shaped(content))
		return &stash;
	return only_zeros(content) ? &zeros : NULL;
}
