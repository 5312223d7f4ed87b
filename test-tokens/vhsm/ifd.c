/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A smart card reader for pcscd with the card inside: no wire, no port, no other process. For tests only.
 *
 * reader.conf names this module and, as the device, the folder of a card (card.h). Each entry is a reader of its own.
 */
#include "apdu.h"
#include "pinpad.h"

#include <ifdhandler.h>
#include <reader.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define READERS 8

/* A SmartCard-HSM's: T=1, historical bytes "HSM1". */
static const uint8_t atr[] = { 0x3B, 0xFE, 0x18, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x45, 0x80, 0x31, 0x81,
			       0x54, 0x48, 0x53, 0x4D, 0x31, 0x73, 0x80, 0x21, 0x40, 0x81, 0x07, 0xFA };

static struct reader {
	DWORD lun;
	struct card *card; /* NULL = this place is free */
} readers[READERS];

static struct reader *reader_of(DWORD lun)
{
	for (size_t i = 0; i < READERS; i++)
		if (readers[i].card && readers[i].lun == lun)
			return &readers[i];
	return NULL;
}

static struct card *card_in(DWORD lun)
{
	const struct reader *reader = reader_of(lun);

	return reader && card_present(reader->card) ? reader->card : NULL;
}

EXPORT RESPONSECODE IFDHCreateChannelByName(DWORD lun, LPSTR folder)
{
	for (size_t i = 0; i < READERS; i++) {
		if (readers[i].card)
			continue;
		readers[i] = (struct reader){ lun, card_open(folder) };
		return readers[i].card ? IFD_SUCCESS : IFD_NO_SUCH_DEVICE;
	}
	return IFD_NO_SUCH_DEVICE;
}

EXPORT RESPONSECODE IFDHCreateChannel(DWORD lun, DWORD channel)
{
	(void)lun;
	(void)channel;
	return IFD_NO_SUCH_DEVICE;
}

EXPORT RESPONSECODE IFDHCloseChannel(DWORD lun)
{
	struct reader *reader = reader_of(lun);

	if (!reader)
		return IFD_NO_SUCH_DEVICE;
	card_close(reader->card);
	*reader = (struct reader){ 0 };
	return IFD_SUCCESS;
}

EXPORT RESPONSECODE IFDHGetCapabilities(DWORD lun, DWORD tag, PDWORD length, PUCHAR value)
{
	(void)lun;
	switch (tag) {
	case TAG_IFD_ATR:
	case SCARD_ATTR_ATR_STRING:
		if (*length < sizeof(atr))
			return IFD_ERROR_INSUFFICIENT_BUFFER;
		memcpy(value, atr, sizeof(atr));
		*length = sizeof(atr);
		return IFD_SUCCESS;
	case TAG_IFD_SIMULTANEOUS_ACCESS:
		*value = READERS;
		break;
	case TAG_IFD_SLOTS_NUMBER:
		*value = 1;
		break;
	case TAG_IFD_THREAD_SAFE:
	case TAG_IFD_SLOT_THREAD_SAFE:
		*value = 0;
		break;
	default:
		return IFD_ERROR_TAG;
	}
	*length = 1;
	return IFD_SUCCESS;
}

EXPORT RESPONSECODE IFDHSetCapabilities(DWORD lun, DWORD tag, DWORD length, PUCHAR value)
{
	(void)lun;
	(void)tag;
	(void)length;
	(void)value;
	return IFD_ERROR_VALUE_READ_ONLY;
}

EXPORT RESPONSECODE IFDHSetProtocolParameters(DWORD lun, DWORD protocol, UCHAR flags, UCHAR pts1, UCHAR pts2,
					      UCHAR pts3)
{
	(void)lun;
	(void)flags;
	(void)pts1;
	(void)pts2;
	(void)pts3;
	return protocol == SCARD_PROTOCOL_T1 ? IFD_SUCCESS : IFD_PROTOCOL_NOT_SUPPORTED;
}

EXPORT RESPONSECODE IFDHPowerICC(DWORD lun, DWORD action, PUCHAR answer, PDWORD length)
{
	struct card *card = card_in(lun);

	*length = 0;
	if (!card)
		return IFD_ERROR_POWER_ACTION;
	card_reset(card);
	if (action == IFD_POWER_DOWN)
		return IFD_SUCCESS;
	memcpy(answer, atr, sizeof(atr));
	*length = sizeof(atr);
	return IFD_SUCCESS;
}

EXPORT RESPONSECODE IFDHTransmitToICC(DWORD lun, SCARD_IO_HEADER send, PUCHAR in, DWORD in_length, PUCHAR out,
				      PDWORD out_length, PSCARD_IO_HEADER received)
{
	struct card *card = card_in(lun);
	struct buffer answer = { 0 };
	DWORD room = *out_length;

	(void)send;
	*out_length = 0;
	if (!card)
		return IFD_ICC_NOT_PRESENT;
	apdu_do(card, (struct slice){ in, in_length }, &answer);
	if (answer.length > room)
		return IFD_COMMUNICATION_ERROR;
	memcpy(out, answer.at, answer.length);
	*out_length = answer.length;
	received->Protocol = 1;
	return IFD_SUCCESS;
}

EXPORT RESPONSECODE IFDHControl(DWORD lun, DWORD code, PUCHAR in, DWORD in_length, PUCHAR out, DWORD room,
				LPDWORD length)
{
	struct card *card = card_in(lun);
	struct buffer answer = { 0 };

	*length = 0;
	if (!card)
		return IFD_ICC_NOT_PRESENT;
	if (!pinpad_control(card, code, (struct slice){ in, in_length }, &answer))
		return IFD_ERROR_NOT_SUPPORTED;
	if (answer.length > room)
		return IFD_ERROR_INSUFFICIENT_BUFFER;
	memcpy(out, answer.at, answer.length);
	*length = answer.length;
	return IFD_SUCCESS;
}

EXPORT RESPONSECODE IFDHICCPresence(DWORD lun)
{
	return card_in(lun) ? IFD_SUCCESS : IFD_ICC_NOT_PRESENT;
}
