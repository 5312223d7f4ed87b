/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as ops may use it: the contract is the engine's, the choice of backend is made here when there is a second. */
#ifndef KS_STORE_LEDGER_H
#define KS_STORE_LEDGER_H

#include "ledger/ledger.h"

#endif
