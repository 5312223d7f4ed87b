#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The samples of Java's own key stores, made once with keytool 17; make-odd-jks.py makes of them what keytool never writes.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Few rounds, so that the mutation test can open the keys again and again.
java=(keytool -J-Duser.language=en -J-Djdk.jceks.iterationCount=10000 -noprompt)

# make TYPE FILE: an RSA key under the store's password with a chain of two, an EC key under its own, two trusted certificates.
make() {
  local at=(-storetype "$1" -keystore "$2" -storepass sample)
  rm -f "$2"
  "${java[@]}" -genkeypair -alias ca -keyalg EC -groupname secp256r1 -dname "CN=Sample CA" -ext bc:c -validity 36500 "${at[@]}"
  "${java[@]}" -genkeypair -alias web -keyalg RSA -keysize 2048 -dname "CN=web" -validity 36500 "${at[@]}"
  "${java[@]}" -certreq -alias web "${at[@]}" >"$work/web.csr"
  "${java[@]}" -gencert -alias ca -infile "$work/web.csr" -outfile "$work/web.pem" -rfc -validity 36500 "${at[@]}"
  "${java[@]}" -exportcert -alias ca -rfc -file "$work/ca.pem" "${at[@]}"
  cat "$work/web.pem" "$work/ca.pem" >"$work/chain.pem"
  "${java[@]}" -importcert -alias web -file "$work/chain.pem" "${at[@]}"
  "${java[@]}" -genkeypair -alias own -keyalg EC -groupname secp256r1 -dname "CN=own" -validity 36500 -keypass "sample of its own" "${at[@]}"
  "${java[@]}" -delete -alias ca "${at[@]}"
  "${java[@]}" -importcert -alias anchor -file "$work/ca.pem" "${at[@]}"
  "${java[@]}" -importcert -alias $'\xc3\xbcber \xf0\x9f\x94\x91' -file "$work/ca.pem" "${at[@]}"
}

make jks jks-java-two-keys-and-trust.jks
make jceks jceks-java-keys-secrets-and-trust.jceks
secrets=(-storetype jceks -keystore jceks-java-keys-secrets-and-trust.jceks -storepass sample)
"${java[@]}" -genseckey -alias aes -keyalg AES -keysize 256 "${secrets[@]}"
"${java[@]}" -genseckey -alias triple -keyalg DESede "${secrets[@]}"
printf 'hunter22\nhunter22\n' | "${java[@]}" -importpass -alias words "${secrets[@]}"
chmod 644 ./*.jks ./*.jceks
