#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Made the samples in this folder once, with programs of other people; README.md says which. Every password is `sample`.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pass=pass:sample

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ca.key" -out "$work/ca.pem" -days 3650 \
  -subj "/C=GB/O=Sample/CN=Sample CA" 2>/dev/null
for name in web mail; do
  openssl req -newkey rsa:2048 -nodes -keyout "$work/$name.key" -out "$work/$name.csr" -subj "/O=Sample/CN=$name" \
    -addext "subjectAltName=DNS:$name.example" 2>/dev/null
  openssl x509 -req -in "$work/$name.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -days 3650 -out "$work/$name.pem" \
    -copy_extensions copy 2>/dev/null
done

openssl pkcs12 -export -in "$work/web.pem" -inkey "$work/web.key" -certfile "$work/ca.pem" -name web -passout $pass \
  -out p12-openssl-aes.p12
openssl pkcs12 -export -legacy -in "$work/web.pem" -inkey "$work/web.key" -certfile "$work/ca.pem" -name web -passout $pass \
  -out p12-openssl-rc2-and-3des.p12
openssl pkcs12 -export -nomac -in "$work/web.pem" -inkey "$work/web.key" -name web -passout $pass -out p12-openssl-no-mac.p12
openssl pkcs12 -export -nokeys -in "$work/ca.pem" -passout $pass -out p12-openssl-certificates-only.p12
openssl pkcs12 -export -in "$work/web.pem" -inkey "$work/web.key" -keypbe NONE -certpbe NONE -passout $pass \
  -out p12-openssl-clear-under-a-mac.p12
certtool --to-p12 --load-privkey "$work/mail.key" --load-certificate "$work/mail.pem" --p12-name mail --password sample --outder \
  --outfile p12-gnutls.p12 2>/dev/null

java=p12-java-two-keys-a-secret-and-trust.p12
rm -f "$java"
store=(-keystore "$java" -storetype PKCS12 -storepass sample)
keytool -genkeypair -alias One -keyalg EC -groupname secp256r1 -dname "CN=One,O=Sample" "${store[@]}" 2>/dev/null
keytool -genkeypair -alias two -keyalg RSA -keysize 2048 -dname "CN=Two,O=Sample" "${store[@]}" 2>/dev/null
keytool -genseckey -alias secret -keyalg AES -keysize 128 "${store[@]}" 2>/dev/null
keytool -importcert -noprompt -alias "sample ca" -file "$work/ca.pem" "${store[@]}" 2>/dev/null
rm -f p12-java-trust-without-password.p12
keytool -importcert -noprompt -alias "sample ca" -file "$work/ca.pem" -keystore p12-java-trust-without-password.p12 \
  -storetype PKCS12 -storepass sample -J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE \
  -J-Dkeystore.pkcs12.macAlgorithm=NONE 2>/dev/null

cat "$work/web.key" "$work/web.pem" "$work/ca.pem" >pem-key-and-chain.pem
openssl pkey -in "$work/web.key" -aes256 -passout $pass -out pem-sealed-key.pem
openssl rsa -in "$work/web.key" -traditional -aes128 -passout $pass -out pem-sealed-key-of-1996.pem 2>/dev/null
openssl pkcs12 -in p12-openssl-aes.p12 -passin $pass -passout $pass -out pem-with-bag-attributes.pem
openssl x509 -in "$work/ca.pem" -addtrust serverAuth -addreject emailProtection -setalias "Sample CA" -trustout \
  -out pem-trusted-certificate.pem
openssl x509 -in "$work/web.pem" -outform DER -out der-certificate.der
openssl pkcs8 -topk8 -in "$work/web.key" -outform DER -v2 aes-256-cbc -passout $pass -out der-sealed-key.der
openssl pkcs8 -topk8 -in "$work/mail.key" -outform DER -nocrypt -out der-clear-key.der
openssl req -in "$work/web.csr" -outform DER -out der-request.der
openssl crl2pkcs7 -nocrl -certfile "$work/web.pem" -certfile "$work/ca.pem" -outform DER -out p7-two-certificates.p7b
