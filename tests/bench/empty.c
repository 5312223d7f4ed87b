/* SPDX-License-Identifier: Apache-2.0 */
/* The empty program that start-up is measured against: linked with libcrypto, does nothing. */
int main(void)
{
	return 0;
}
